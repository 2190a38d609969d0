"""How a command works at the desk: beside the data directory, or through a server that asks who acts (``--server``)."""

from __future__ import annotations

import argparse
import getpass
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gensafe.cli.common import read_config
from gensafe.cli.orders import have_done
from gensafe.cli.remote import add_server_arguments, client_options
from gensafe.core.config import Config
from gensafe.core.errors import InvalidRequest, LogUnavailable
from gensafe.installation import Installation
from gensafe.registry import HeldOutput, Registry

if TYPE_CHECKING:
    from gensafe.client import Client
    from gensafe.pipeline.desk import Desk

POLL_S: Final = 0.2  # as cli.orders.POLL_S


def add_desk_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --server and what goes with it."""
    add_server_arguments(parser, help="act through this server, with the role review or admin, instead of --data-dir")


def add_actor_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --actor and --reason, as the log takes them."""
    parser.add_argument(
        "--reason", default="", metavar="TEXT", help="why; the log gets a keyed digest of it; needed with --server"
    )
    parser.add_argument("--actor", metavar="NAME", help="who; the log gets a pseudonym; default: the user's name here")


def actor_of(args: argparse.Namespace) -> str:
    """Who acts: as --actor says, else the user's name on this machine; with --server, whom the credential names."""
    if args.actor is not None or args.server:
        return str(args.actor or "")
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "unknown"


@contextmanager
def open_server(args: argparse.Namespace) -> Generator[Client]:
    """A client of --server.

    Raises:
        InvalidRequest: a data directory is named too.
    """
    from gensafe.client import Client

    if args.config or args.data_dir:
        raise InvalidRequest("is the server's own matter", field="--data-dir", fix="leave it and --config out")
    with Client(client_options(args)) as client:
        yield client


@contextmanager
def open_desk(args: argparse.Namespace, *, wait_s: float = 30.0) -> Generator[Desk]:
    """The desk of --data-dir.

    Args:
        args: The command's.
        wait_s: How long to wait for a running server to carry out a decision.
    """
    from gensafe.pipeline.desk import Desk

    config = read_config(args)
    home = Installation(config).existing()
    keys = home.keys_if_readable()
    with home.open_registry(keys) as registry:
        carry_out = partial(_carried_out, config, registry, wait_s)
        yield Desk(config, keys, registry, partial(have_done, registry, home, keys), carry_out)


def _carried_out(config: Config, registry: Registry, wait_s: float, item: HeldOutput) -> HeldOutput:
    """Carry the decision out here, or wait for the server that has the log open."""
    from gensafe.pipeline import open_chain

    try:
        open_chain(config).close()  # opening a chain carries out what was decided
    except LogUnavailable:
        end = time.monotonic() + wait_s
        while not registry.reviews.get(item.review_id).done and time.monotonic() < end:
            time.sleep(POLL_S)
    return registry.reviews.get(item.review_id)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, also where one of that name was readable before."""
    try:
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise InvalidRequest(f"cannot write {path}: {error.strerror}", field="--out") from None


def fields(message: Any) -> dict[str, Any]:  # noqa: ANN401 - any protobuf message
    """A message of the wire as the commands print it in JSON: every field, numbers as numbers."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            value = [fields(one) if field.message_type else one for one in value]
        elif field.message_type:
            value = fields(value)
        found[field.name] = value
    return found
