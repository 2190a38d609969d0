"""Who a question is answered for. An answer about records is cut to what its asker may see.

Three kinds, and none of them is an empty string: one tenant, the public (anonymous callers, who see only what is
public anyway), and everything (the owner of the data directory, offline or through a server without identities).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class OneTenant:
    """Sees what belongs to ``tenant``, and what belongs to nobody and is public."""

    tenant: str

    def __post_init__(self) -> None:
        if not self.tenant:
            raise ValueError("a tenant needs a name")

    def sees(self, tenant: str) -> bool:
        """Whether things of ``tenant`` are shown."""
        return tenant == self.tenant


@dataclass(frozen=True, slots=True)
class Public:
    """Sees nothing that belongs to a tenant."""

    def sees(self, tenant: str) -> bool:
        """Whether things of ``tenant`` are shown: never."""
        return False


@dataclass(frozen=True, slots=True)
class Everything:
    """Sees all tenants, legal holds and entries without a tenant."""

    def sees(self, tenant: str) -> bool:
        """Whether things of ``tenant`` are shown: always."""
        return True


Scope: TypeAlias = OneTenant | Public | Everything
