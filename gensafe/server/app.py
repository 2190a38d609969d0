"""Assemble and run the server: services, health, reflection, TLS, HTTP app, graceful drain.

Drain on SIGTERM / SIGINT: 1. health NOT_SERVING; 2. admission closes; 3. running calls get ``drain_s`` to end;
4. what still runs is cancelled and logged, jobs that wait are left for the next start; 5. the log is flushed and
closed; 6. exit 0. What hangs is left behind: see ``drain``.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gensafe.core.config import Config, check_config
from gensafe.core.config_check import is_loopback, trusted_proxies
from gensafe.core.errors import ConfigError, LogUnavailable
from gensafe.pipeline import Chain
from gensafe.server import ext_proc, reflect, watch
from gensafe.server.access import SERVICES, AccessInterceptor
from gensafe.server.admin import AdminServicer
from gensafe.server.api_keys import AllKeys, ApiKeys, Keys
from gensafe.server.audit import AuditServicer
from gensafe.server.calls import Calls, CallsInterceptor
from gensafe.server.classify import SafetyServicer
from gensafe.server.deciding import Deciding
from gensafe.server.drain import end_by, end_now
from gensafe.server.generation import GenerationServicer
from gensafe.server.http import Front
from gensafe.server.inside import Methods
from gensafe.server.limits import Limits, LimitsInterceptor
from gensafe.server.managed_keys import ManagedKeys
from gensafe.server.metrics import Metrics
from gensafe.server.provenance import ProvenanceServicer
from gensafe.server.tls import Certificates
from gensafe.server.tokens import Tokens
from gensafe.server.webhooks import Webhooks, read_endpoints
from gensafe.v1 import admin_pb2_grpc, audit_pb2_grpc, generation_pb2_grpc, provenance_pb2_grpc, safety_pb2_grpc
from gensafe.verify import VerifyContext

log = logging.getLogger("gensafe.server")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the server really listens (ports may have been chosen by the system)."""

    grpc: str  # HOST:PORT
    http: str  # with its scheme; "" = no HTTP app


async def serve(
    chain: Chain,
    verify_context: VerifyContext,
    on_ready: Callable[[Addresses], None],
    http_socket: socket.socket | None = None,
    metrics: Metrics | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        chain: What serves.
        verify_context: What verification may use.
        on_ready: Called once with the addresses.
        http_socket: Where the HTTP app listens, as ``listen.claim`` made it; None = no HTTP app.
        metrics: What ``chain`` is observed by; None = nothing is counted.

    Raises:
        ConfigError: an address is taken, a certificate unreadable, or the combination unsafe.
    """
    config = chain.config
    check_config(config)
    managed = ManagedKeys(chain.registry.api_keys, chain.clock) if config.server.managed_keys else None
    tokens = Tokens(config.server.oidc) if config.server.oidc.issuer else None
    if tokens is not None:
        await asyncio.to_thread(tokens.keys.refresh)
    keys = _keys(config, managed, tokens)
    limits = Limits(config.server)
    if metrics is not None:
        metrics.watch(chain, limits)
    calls = Calls(chain.observe, limits.refusals, tenants=config.server.metrics_tenants)
    webhooks = Webhooks(read_endpoints(config.webhooks), chain.registry.webhooks, chain.clock)
    generation = GenerationServicer(chain, limits, webhooks)
    holding = (AccessInterceptor(config.server, keys), LimitsInterceptor(limits))
    server = grpc.aio.server(
        interceptors=(CallsInterceptor(calls), *holding),
        maximum_concurrent_rpcs=config.server.max_calls,
        options=channel_options(config),
    )
    methods = Methods(holding)
    safety, provenance = SafetyServicer(chain, limits), ProvenanceServicer(chain, verify_context)
    audit, deciding = AuditServicer(chain), Deciding(chain)
    admin = AdminServicer(deciding, limits, verify_context)
    doors: tuple[Any, ...] = (server, methods)  # the generated code is typed for the first
    for door in doors:
        generation_pb2_grpc.add_GenerationServiceServicer_to_server(generation, door)
        safety_pb2_grpc.add_SafetyServiceServicer_to_server(safety, door)
        provenance_pb2_grpc.add_ProvenanceServiceServicer_to_server(provenance, door)
        audit_pb2_grpc.add_AuditServiceServicer_to_server(audit, door)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(admin, door)
    ext_proc.add_to_server(ext_proc.ExternalProcessor(chain, limits), server)
    healths = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healths, server)
    if config.server.reflection:
        reflect.add_to_server((*SERVICES, health.SERVICE_NAME), server)
    certificates = Certificates(config.server) if config.server.tls_certificate else None
    port = _bind(server, config, certificates)
    await generation.jobs.resume()
    await server.start()
    front = Front(chain, generation, methods, keys, limits, config.server.max_request_bytes)
    http, http_address = await _start_http(front, verify_context, http_socket, metrics, certificates)
    for name in ("", *SERVICES, ext_proc.SERVICE):
        await healths.set(name, health_pb2.HealthCheckResponse.SERVING)
    host = config.server.listen.rpartition(":")[0]
    stop = _on_signal(chain)
    on_ready(Addresses(f"{host}:{port}", http_address))
    looks = [("reviews", deciding.step), ("webhooks", webhooks.step), *_looks(managed, tokens, certificates)]
    watchers = watch.start(chain, limits, healths, stop, *looks)
    watchers.append(asyncio.create_task(generation.jobs.watch(stop)))
    await stop.wait()
    limits.health.draining = True
    log.info("draining")
    await healths.enter_graceful_shutdown()  # 1.
    limits.drain()  # 2.
    if http is not None:
        http[0].should_exit = True
    await server.stop(config.server.drain_s)  # 3.
    await generation.stop()  # 4.
    await asyncio.gather(*watchers)  # a decision that is being carried out is carried out to its end
    if http is not None:
        await http[1]
    await asyncio.to_thread(_close, chain, limits)  # 5.


def _keys(config: Config, *others: Keys | None) -> Keys | None:
    kinds = [keys for keys in others if keys is not None]
    if config.server.api_keys:
        kinds.append(ApiKeys(Path(config.server.api_keys)))
    return AllKeys(*kinds) if kinds else None


def _looks(
    managed: ManagedKeys | None, tokens: Tokens | None, certificates: Certificates | None
) -> list[tuple[str, Callable[[], None]]]:
    """What the watcher looks at because of who may call."""
    steps: list[tuple[str, Callable[[], None]]] = []
    if managed is not None:
        steps.append(("API keys", managed.refresh))
    if tokens is not None:
        steps.append(("the issuer's keys", tokens.keys.refresh))
    if certificates is not None:
        steps.append(("certificates", certificates.step))
    return steps


def _close(chain: Chain, limits: Limits) -> None:
    try:
        limits.refusals.write(chain.log.append, everything=True)
    except LogUnavailable as error:
        log.warning("refused calls could not be logged: %s", error)
    chain.close()


def channel_options(config: Config) -> list[tuple[str, int]]:
    """Settings of the gRPC library."""
    return [
        ("grpc.max_receive_message_length", config.server.max_request_bytes),
        ("grpc.max_send_message_length", config.server.max_request_bytes),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.so_reuseport", 0),  # a second server on the same port must fail, not steal calls
        # The library cancels calls that it has received and that we have not taken for 30 s. A burst on a busy machine
        # takes longer; callers have deadlines, and the library bounds the number of such calls (1,000).
        ("grpc.server_max_unrequested_time_in_server", 86_400),
    ]


def _on_signal(chain: Chain) -> asyncio.Event:
    """Set at the first SIGTERM or SIGINT; from then on the end is certain. The second ends the process at once."""
    stop = asyncio.Event()

    def stopped() -> None:
        if stop.is_set():
            end_now()
        end_by(chain.config.server.drain_s, chain.close)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped)
    return stop


def _bind(server: grpc.aio.Server, config: Config, certificates: Certificates | None) -> int:
    listen = config.server.listen
    try:
        if certificates is not None:
            return server.add_secure_port(listen, certificates.credentials())
        return server.add_insecure_port(listen)
    except RuntimeError:
        raise ConfigError(f"cannot listen on {listen}", field="server.listen", fix="is the port taken?") from None


async def _start_http(
    front: Front,
    verify_context: VerifyContext,
    listening: socket.socket | None,
    metrics: Metrics | None,
    certificates: Certificates | None,
) -> tuple[tuple[uvicorn.Server, asyncio.Task[None]] | None, str]:
    chain, keys, config = front.chain, front.keys, front.chain.config.server
    if listening is None:
        return None, ""
    from gensafe.server.http import Classifying, create_app
    from gensafe.server.http.connection import bounded_protocol

    classifying = None
    if config.http_classify and keys is not None:
        classifying = Classifying(keys, chain.safety)
    secure = bool(config.tls_certificate) and not is_loopback(config.http, "server.http")
    proxies = trusted_proxies(config)
    hosts = config.http_hosts.split() if config.http_hosts or not secure else None  # with TLS the certificate names it
    settings = uvicorn.Config(
        create_app(
            verify_context,
            classifying=classifying,
            keys=keys,
            hosts=hosts,
            front=front,
            limits=front.limits,
            max_bytes=config.max_request_bytes,
            metrics=metrics,
        ),
        http=bounded_protocol(config.max_calls, config.header_timeout_s),
        timeout_graceful_shutdown=config.drain_s,
        # longer than the 5 s of common clients: they leave an idle connection before the server resets it under them
        timeout_keep_alive=max(1, config.header_timeout_s - 1),
        log_config=None,  # ours
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        ssl_certfile=config.tls_certificate if secure else None,
        ssl_keyfile=config.tls_key if secure else None,
    )
    settings.load()
    if certificates is not None and settings.ssl is not None:
        certificates.follow(settings.ssl)
    server = uvicorn.Server(settings)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined] # ours drain both servers
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        if task.done():
            task.result()
            raise ConfigError("the HTTP app could not start", field="server.http")
        await asyncio.sleep(0.01)
    host = config.http.rpartition(":")[0]
    return (server, task), f"{'https' if secure else 'http'}://{host}:{listening.getsockname()[1]}"
