"""What a caller of ``gensafe verify`` demands of a file beyond its verdict: signer, policy, mark, log, time-stamp."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from gensafe.cli.common import Exit
from gensafe.core.errors import ConfigError, InvalidRequest, VerificationError
from gensafe.core.textfile import read_text
from gensafe.core.types import Conclusion, VerificationReport

if TYPE_CHECKING:
    from gensafe.verify.policy import Policy
    from gensafe.verify.render import Result

REQUIREMENTS: Final = ("marked", "logged", "time-stamped")
MAX_POLICY_BYTES: Final = 1 << 20  # a policy is a page of TOML
_OPEN: Final = (Conclusion.UNREADABLE, Conclusion.UNEXAMINED)  # not examined: keep their own exit code


def add_demands(parser: argparse.ArgumentParser) -> None:
    """Add --signer, --policy, --require and --fail-on."""
    parser.add_argument(
        "--signer",
        action="append",
        metavar="SUBJECT|FINGERPRINT",
        help="demand this signer: the certificate's subject, or its SHA-256 fingerprint (repeat: any of them)",
    )
    parser.add_argument("--policy", metavar="FILE", help="demand what a policy file (TOML) says")
    parser.add_argument(
        "--require", metavar="WHAT[,..]", help=f"demand these of a proved file: {', '.join(REQUIREMENTS)}"
    )
    names = ", ".join(_spelled(c) for c in Conclusion)
    parser.add_argument(
        "--fail-on", metavar="CONCLUSION[,..]", help=f"exit with 1 for these conclusions too; of: {names}"
    )


class Demands:
    """The demands of one command line.

    Raises:
        InvalidRequest: a demand that is unknown or empty, or a policy file that cannot be read.
        ConfigError: a policy file with errors.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._policies: list[tuple[str, Policy]] = []
        if args.signer:
            self._policies.append(("--signer", _signers(args.signer)))
        if args.policy:
            self._policies.append(("--policy", _policy_file(args.policy)))
        self._policies += [(f"--require {name}", _requirement(name)) for name in _listed(args.require, "--require")]
        self.fail_on = tuple(_conclusion(name) for name in _listed(args.fail_on, "--fail-on"))

    def unmet(self, report: Result) -> list[str]:
        """One sentence for each demand that ``report`` does not meet."""
        if not isinstance(report, VerificationReport):
            return []
        found = []
        for name, policy in self._policies:
            try:
                policy.verify(report)
            except VerificationError as error:
                found.append(f"{name} is not met: {error.message}")
        if report.conclusion in self.fail_on:
            found.append(f"--fail-on {_spelled(report.conclusion)}: it is")
        return found

    def exit_code(self, report: Result, code: int) -> int:
        """What to exit with for ``report``, whose verdict alone gives ``code``: an unmet demand is a failure.

        A file that could not be examined keeps its own code, unless --fail-on names it: nothing was found out about it.
        """
        if not isinstance(report, VerificationReport):
            return code
        if report.conclusion in _OPEN and report.conclusion not in self.fail_on:
            return code
        return Exit.FAILED if self.unmet(report) else code


def _signers(values: list[str]) -> Policy:
    from gensafe.verify.policy import AnyOf, SignedBy, SignedByName

    prints = tuple(found for found in map(_fingerprint, values) if found)
    names = tuple(value for value in values if not _fingerprint(value))
    try:
        chosen: list[Policy] = [SignedBy(prints)] if prints else []
        chosen += [SignedByName(names)] if names else []
    except ConfigError:
        raise InvalidRequest("a signer without a name would accept nobody", field="--signer") from None
    return chosen[0] if len(chosen) == 1 else AnyOf(chosen)


def _fingerprint(value: str) -> str:
    """``value`` as "sha256:<hex>" where it is a fingerprint, with or without colons as openssl prints it; else ""."""
    digits = value.lower().removeprefix("sha256:").replace(":", "")
    if len(digits) == 64 and all(c in "0123456789abcdef" for c in digits):
        return f"sha256:{digits}"
    if value.lower().startswith("sha256:"):
        raise InvalidRequest(f"{value!r} is not a fingerprint", field="--signer", fix="sha256: and 64 hex digits")
    return ""


def _policy_file(path: str) -> Policy:
    from gensafe.verify.policy import load_policy

    return load_policy(read_text(path, "--policy", largest=MAX_POLICY_BYTES))


def _requirement(name: str) -> Policy:
    from gensafe.verify.policy import Logged, MarkedWith, TimeStamped

    known: dict[str, Policy] = {"marked": MarkedWith(), "logged": Logged(), "time-stamped": TimeStamped()}
    if name not in known:
        raise InvalidRequest(f"{name!r} cannot be required", field="--require", fix=f"of {', '.join(known)}")
    return known[name]


def _listed(value: str | None, field: str) -> list[str]:
    if value is None:
        return []
    names = [name.strip().lower() for name in value.split(",")]
    if not all(names):
        raise InvalidRequest("names nothing, or has an empty place between commas", field=field)
    return list(dict.fromkeys(names))


def _spelled(conclusion: Conclusion) -> str:
    return conclusion.value.replace(" ", "-")


def _conclusion(name: str) -> Conclusion:
    known = {_spelled(c): c for c in Conclusion}
    found = known.get(name.replace(" ", "-"))
    if found is None:
        raise InvalidRequest(f"{name!r} is not a conclusion", field="--fail-on", fix=f"of {', '.join(known)}")
    return found
