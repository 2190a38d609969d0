"""How a command reaches a server: the same options and the same reading of them everywhere."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from gensafe.core.errors import InvalidRequest

if TYPE_CHECKING:
    from gensafe.client import ClientOptions

API_KEY = "GENSAFE_API_KEY"


def add_server_arguments(parser: argparse.ArgumentParser, *, help: str) -> None:
    """Add --server and what TLS and an identity need."""
    parser.add_argument("--server", metavar="HOST:PORT", help=help)
    parser.add_argument(
        "--ca",
        default="",
        metavar="PEM",
        help="CA of the server's certificate; without it the system's, for servers on other machines",
    )
    parser.add_argument("--client-cert", default="", metavar="PEM", help="certificate of this client (mutual TLS)")
    parser.add_argument("--client-key", default="", metavar="PEM", help="private key of that certificate")
    parser.add_argument(
        "--api-key-env", metavar="NAME", help=f"environment variable with the API key (default: {API_KEY})"
    )


def client_options(args: argparse.Namespace) -> ClientOptions:
    """The options of ``add_server_arguments`` as a client takes them.

    Raises:
        InvalidRequest: a client certificate without its key or the other way round; a named variable that is not set.
    """
    from gensafe.client import ClientOptions  # loads gRPC

    if bool(args.client_cert) != bool(args.client_key):
        raise InvalidRequest("a client certificate needs its key, and a key its certificate", field="--client-cert")
    key = os.environ.get(args.api_key_env or API_KEY, "")
    if args.api_key_env and not key:
        raise InvalidRequest(f"the environment variable {args.api_key_env!r} is not set", field="--api-key-env")
    return ClientOptions(
        args.server,
        root_certificates=args.ca,
        certificate=args.client_cert,
        key=args.client_key,
        api_key=key,
    )
