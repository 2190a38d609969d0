"""``gensafe serve``: the gRPC server and, if asked for, the HTTP app."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from dataclasses import replace

from gensafe.cli.common import Commands, Exit, add_config_arguments, read_config, say

log = logging.getLogger("gensafe.server")


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "serve",
        help="run the gRPC server",
        description="Run the gRPC server until SIGTERM or Ctrl-C. Prints 'ready ADDRESS' once it answers. "
        "Limits, quotas and health: docs/serving.md. "
        "Exit codes: 0 drained and stopped, 1 failed, 64 configuration error, 70 stopped while a part hung.",
    )
    add_config_arguments(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", help="gRPC address (default 127.0.0.1:50051; port 0 = any)")
    parser.add_argument("--http", metavar="HOST:PORT", help="OpenAI API, verify page, soft-binding API (default: off)")
    parser.add_argument("--test-crash-at", metavar="POINT", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve."""
    from gensafe.installation import Installation
    from gensafe.pipeline import open_chain
    from gensafe.server import logs
    from gensafe.server.app import Addresses, serve
    from gensafe.server.listen import claim
    from gensafe.server.metrics import Metrics
    from gensafe.verify import open_context

    config = read_config(args, listen=args.listen, http=args.http)
    logs.configure(config.server)
    http_socket = claim(config)  # before models are loaded

    def ready(addresses: Addresses) -> None:
        if config.environment == "development":
            log.warning("development keys: signatures made here prove nothing to third parties")
        say(f"ready {addresses.grpc}" + (f" {addresses.http}" if addresses.http else ""))
        sys.stdout.flush()

    crash_at = args.test_crash_at

    def fault_point(point: str) -> None:
        if point == crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    metrics = Metrics(tenants=config.server.metrics_tenants, names=config.server.metrics_tenant_names)
    chain = open_chain(config, fault_point=fault_point, observe=metrics.observe)
    chain.engines.warm()
    context = open_context(
        chain.keys,
        registry=chain.registry,
        log=chain.log,
        tokenizers=chain.engines.tokenizers,
        folder=Installation(config).trust_folder(),
    )
    context = replace(context, observe=metrics.observe)
    asyncio.run(serve(chain, context, ready, http_socket, metrics))
    return Exit.OK
