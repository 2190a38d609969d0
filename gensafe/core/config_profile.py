"""What production demands of a server's configuration beyond what is safe: nobody is anonymous, and time is real.

Development keys are refused where keys are opened, and a category that policy requires and nobody looks for where the
policy is loaded.
"""

from __future__ import annotations

from gensafe.core.config import Config
from gensafe.core.errors import ConfigError


def gaps(config: Config) -> list[ConfigError]:
    """What a server in production is refused for; none = it may start, as far as the configuration says."""
    found = []
    server = config.server
    if not server.knows_callers:
        found.append(
            ConfigError(
                "callers would be anonymous",
                field="server",
                fix="set server.managed_keys, [server.oidc], server.tls_client_ca or server.api_keys",
            )
        )
    if not config.signing.time_stamp:
        found.append(
            ConfigError("nobody stamps the time", field="signing.time_stamp", fix='authorities, or ["none"] by name')
        )
    return found
