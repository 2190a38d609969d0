"""TLS of both ports: version 1.3 or newer (gRPC's: see ``gensafe.server``), and files that are followed.

A changed pair of certificate and key is used for connections that begin after it; those that are open go on. A pair
that cannot be read or does not belong together leaves the one before in use, and the server's log says so.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import grpc

from gensafe.core.config import ServerConfig
from gensafe.core.errors import ConfigError

log = logging.getLogger("gensafe.server")


class Certificates:
    """The certificate, key and clients' CA of one server. Safe between threads.

    Args:
        config: Names the files; ``tls_certificate`` is set.

    Raises:
        ConfigError: they cannot be read now, or do not belong together.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._problem = ""
        self._contexts: list[ssl.SSLContext] = []
        self._given = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """For the gRPC port: each handshake asks whether the files changed."""
        return grpc.dynamic_ssl_server_credentials(
            self._given,
            self._fetcher(),  # type: ignore[arg-type] # None = unchanged, as grpc documents it and its types do not
            require_client_authentication=bool(self._config.tls_client_ca),
        )

    def follow(self, context: ssl.SSLContext) -> None:
        """Keep a context of the HTTP port up to date, at ``step``; TLS 1.3 from now on."""
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._contexts.append(context)

    def step(self) -> None:
        """Take over changed files."""
        with self._lock:
            now = self._stamp()
            if now == self._seen:
                return
            try:
                self._given = self._read()
                for context in self._contexts:
                    context.load_cert_chain(self._config.tls_certificate, self._config.tls_key)
            except (ConfigError, OSError) as error:
                if str(error) != self._problem:
                    log.error("certificates: %s; the ones read before stay in use", error)
                self._problem = str(error)  # and looked at again: a pair may be half written
                return
            self._seen, self._problem = now, ""
            log.warning("certificates: %s changed and is in use for new connections", self._config.tls_certificate)

    def _fetcher(self) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
        used = self._given

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            nonlocal used
            self.step()
            if self._given is used:
                return None
            used = self._given
            return used

        return fetch

    def _read(self) -> grpc.ServerCertificateConfiguration:
        names = self._config
        try:
            pair = Path(names.tls_key).read_bytes(), Path(names.tls_certificate).read_bytes()
            clients = Path(names.tls_client_ca).read_bytes() if names.tls_client_ca else None
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._config.tls_certificate, self._config.tls_key)
        except ssl.SSLError:
            raise ConfigError(
                "is not a certificate with the key in server.tls_key", field="server.tls_certificate"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"cannot read {error.filename}: {error.strerror}", field="server.tls_certificate"
            ) from None
        return grpc.ssl_server_certificate_configuration([pair], clients)

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        names = (self._config.tls_certificate, self._config.tls_key, self._config.tls_client_ca)
        found = []
        for name in filter(None, names):
            try:
                now = os.stat(name)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((now.st_mtime_ns, now.st_size, now.st_ino))
        return tuple(found)
