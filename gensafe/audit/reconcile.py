"""Does the log account for every signature of a claim key? Compared with the count or journal of the key's token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from gensafe.audit import entries
from gensafe.audit.log import LogReader
from gensafe.audit.signatures import Pending, signatures_of, signer_of


@dataclass(slots=True)
class Account:
    """Signatures of one claim key as the log knows them.

    Args:
        known: Digests of signatures named by entries, or pending in the journal.
        unsure: Attempts that failed, or were cut off, after the token was asked: it may have counted them or not.
        unnamed: Released outputs logged before entries named signatures: one or two each.
        repeated: Signatures that two entries name.
    """

    known: set[str] = field(default_factory=set)
    unsure: int = 0
    unnamed: int = 0
    repeated: list[str] = field(default_factory=list)

    @property
    def least(self) -> int:
        """The fewest signatures that the log explains."""
        return len(self.known) + self.unnamed

    @property
    def most(self) -> int:
        """The most."""
        return self.least + self.unnamed + self.unsure


def accounts(log: LogReader, pending: Iterable[Pending] = ()) -> tuple[dict[str, Account], int]:
    """(signer's fingerprint -> account, entries whose content is no longer kept)."""
    found: dict[str, Account] = {}
    named: Counter[str] = Counter()
    rows = 0
    for logged in log.entries():
        rows += 1
        entry = logged.entry
        signer = signer_of(entry)
        if not signer:
            continue
        account = found.setdefault(signer, Account())
        digests = signatures_of(entry)
        named.update(digests)
        account.known.update(digests)
        account.repeated += [digest for digest in digests if named[digest] == 2]
        if entry["event"] == entries.SIGNATURE_DISCARDED:
            account.unsure += int(entry["unsure"])
        elif not digests:
            account.unnamed += 1
    for each in pending:
        account = found.setdefault(each.signer, Account())
        if each.signature:
            account.known.add(each.signature)
        else:
            account.unsure += 1
    return found, log.size - rows


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The answer. ``surplus``: signatures that nothing in the log explains; ``missing``: the token counted too few."""

    surplus: int
    missing: int
    rogue: tuple[str, ...] = ()  # their digests, where the token keeps a journal

    @property
    def agrees(self) -> bool:
        """Whether the token made what the log explains, no more and no less."""
        return not (self.surplus or self.missing or self.rogue)


def with_count(account: Account, count: int) -> Reconciled:
    """Compare with the token's counter, already less what it showed before the key's first use here."""
    return Reconciled(max(0, count - account.most), max(0, account.least - count))


def with_journal(account: Account, journal: Iterable[str]) -> Reconciled:
    """Compare with a journal that names every signature, "sha256:<hex>"."""
    made = list(journal)
    rogue = tuple(digest for digest in dict.fromkeys(made) if digest not in account.known)
    explained = account.unsure + 2 * account.unnamed
    surplus = max(0, len(rogue) - explained)
    return Reconciled(surplus, len(account.known - set(made)), rogue if surplus else ())
