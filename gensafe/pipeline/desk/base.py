"""What an act at the desk works on, and who acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gensafe.core.clock import SystemClock
from gensafe.core.config import Config
from gensafe.core.errors import InvalidRequest
from gensafe.core.ports import Clock
from gensafe.core.types.caller import Everything, Scope
from gensafe.keys import KeyRing
from gensafe.registry import Act, HeldOutput, OrderKind, Registry
from gensafe.registry.reviews import MAX_REASON, MAX_REVIEWER

HaveDone = Callable[[OrderKind, Mapping[str, Any]], dict[str, Any]]
NO_ENTRY: Final = -1  # no index of an entry is negative


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts, by the name that they or their credential give, and whose matters they see."""

    name: str
    scope: Scope = field(default_factory=Everything)


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of an installation that acts need.

    Args:
        config: Its configuration.
        keys: Its keys; None = they cannot be read here, and what needs them is refused.
        registry: Its registry, open for writing.
        have_done: Has an order carried out by the one process that writes the log, and returns what came of it.
        carry_out: Has the decision about a held output carried out, or waits for it; returns how it stands then.
        clock: Source of times.
    """

    config: Config
    keys: KeyRing | None
    registry: Registry
    have_done: HaveDone
    carry_out: Callable[[HeldOutput], HeldOutput]
    clock: Clock = field(default_factory=SystemClock)

    def signed(self, person: Person, reason: str) -> dict[str, str]:
        """Who and why as the log takes them: a pseudonym and a keyed digest; nothing for what is not given."""
        said: dict[str, str] = {}
        if person.name:
            said["actor"] = self.registry.pseudonym(f"operator:{person.name}")
        if reason:
            said["why"] = self.registry.keyed_digest("desk reason", reason.encode("utf-8", "replace"))
        return said

    def note(self, target: str, act: OrderKind, person: Person, reason: str, log_index: int) -> None:
        """Keep the words of an act that was logged."""
        if person.name or reason:
            self.registry.acts.note(Act(target, act.value, person.name, reason, log_index))


def check_words(person: Person, reason: str, *, needed: bool = True) -> None:
    """Refuse an act without an actor or a reason, or with a page of either.

    Raises:
        InvalidRequest: names the field.
    """
    for field_name, said, most in (("actor", person.name, MAX_REVIEWER), ("reason", reason, MAX_REASON)):
        if len(said) > most or (needed and not said.strip()):
            what = "say who acts" if field_name == "actor" else "say why"
            raise InvalidRequest(what, field=field_name, fix=f"1 to {most} characters")
