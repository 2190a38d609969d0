"""Have something logged: by this command if no process has the log open, else by the running server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from gensafe.core.errors import LogUnavailable, RegistryRefused
from gensafe.installation import Installation
from gensafe.keys import KeyRing
from gensafe.registry import OrderKind, Registry

POLL_S: Final = 0.2  # a look costs one query; people do not notice the wait. Chosen
# a running server looks every 2 s (server.watch); the rest is for a busy one. Chosen, not measured
WAIT_S: Final = 30.0


def have_done(
    registry: Registry, home: Installation, ring: KeyRing | None, kind: OrderKind, body: Mapping[str, Any]
) -> dict[str, Any]:
    """Place an order and wait until it is carried out.

    Raises:
        LogUnavailable: no server carried it out in time; it will be, by the next process that opens the log.
        RegistryRefused: it was refused.
    """
    from gensafe.pipeline.orders import carry_out_orders

    order_id = registry.orders.place(kind, body)
    writer = home.writer_if_free(ring)
    if writer is not None and ring is not None:
        with writer:
            carry_out_orders(registry, writer, ring)
    end = time.monotonic() + WAIT_S
    while (result := registry.orders.get(order_id).result) is None:
        if time.monotonic() > end:
            fix = "start the server, or run the command again when no other process has the log open"
            raise LogUnavailable(
                f"not done yet: another process has the log open and did not carry out order {order_id}", fix=fix
            )
        time.sleep(POLL_S)
    if "error" in result:
        raise RegistryRefused(str(result["error"]), fix=str(result.get("fix") or ""))
    return dict(result)
