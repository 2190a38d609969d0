"""Load one named plugin from an entry-point group.

Never "all installed": a process that holds signing keys must not run strangers' code.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from gensafe.core.errors import GensafeError, PluginError
from gensafe.core.ports import PluginInfo

GROUPS = (
    "gensafe.backends",
    "gensafe.classifiers",
    "gensafe.concepts",
    "gensafe.watermarks",
    "gensafe.exporters",
    "gensafe.signers",
)


def list_plugins(group: str | None = None) -> tuple[PluginInfo, ...]:
    """List installed plugins from package metadata, without importing any of them."""
    found: list[PluginInfo] = []
    for name in GROUPS if group is None else (group,):
        for point in entry_points(group=name):
            dist = point.dist
            found.append(
                PluginInfo(
                    group=name,
                    name=point.name,
                    target=point.value,
                    distribution=dist.name if dist else "",
                    version=dist.version if dist else "",
                )
            )
    return tuple(sorted(found, key=lambda p: (p.group, p.name, p.distribution)))


def load(group: str, name: str, options: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - the caller names the Protocol
    """Create the plugin ``name`` of ``group``.

    Raises:
        PluginError: no such plugin, two of one name, or its factory failed.
    """
    points = [p for p in entry_points(group=group) if p.name == name]
    if not points:
        known = ", ".join(p.name for p in list_plugins(group)) or "none"
        raise PluginError(f"no plugin named {name!r} in {group}", fix=f"installed: {known}")
    if len({p.value for p in points}) > 1:
        owners = ", ".join(sorted(p.value for p in points))
        raise PluginError(f"two plugins are named {name!r} in {group}: {owners}", fix="uninstall one of them")
    try:
        return points[0].load()(dict(options or {}))
    except GensafeError:
        raise
    except Exception as error:
        raise PluginError(f"plugin {name!r} of {group} could not be loaded: {error}") from error
