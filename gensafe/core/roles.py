"""Which part of GenSafe is installed here: the whole, the verifier alone or the client alone (docs/adr/0009).

What a smaller part lacks is said in one line that names what to install; it is never a traceback, and never a verdict.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Final

from gensafe.core.errors import ConfigError

WHOLE: Final = "gensafe"
PARTS: Final = ("gensafe-verifier", "gensafe-client")
EXTRAS: Final = {
    "av": "gensafe-verifier[media]",
    "google": "gensafe-verifier[remote]",
    "grpc": "gensafe-verifier[remote]",
    "grpc_status": "gensafe-verifier[remote]",
}
"""Top-level modules that an extra of the verifier brings; all others come with the whole."""


def installed() -> tuple[str, ...]:
    """Distributions of GenSafe in this environment, the whole first. Two share files: removing one breaks the other."""
    found = []
    for name in (WHOLE, *PARTS):
        try:
            distribution(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return tuple(found)


def brought_by(module: str) -> str | None:
    """What to install for a module that is missing here; None where the whole is installed: then it is a fault."""
    here = installed()
    if not here or WHOLE in here:
        return None
    return EXTRAS.get(module.partition(".")[0], WHOLE)


def lacking(error: ModuleNotFoundError, what: str) -> ConfigError | None:
    """The error to show for an import that this part cannot do; None where that is a fault of ours."""
    wanted = brought_by(error.name or "")
    if wanted is None:
        return None
    here = installed()[0]
    first = f"pip uninstall {here} && " if wanted == WHOLE else ""
    return ConfigError(f"{what} needs {wanted}; installed is {here} alone", fix=f"{first}pip install '{wanted}'")


def need(module: str, what: str) -> None:
    """Refuse ``what`` where a module that it needs is not part of this installation.

    Raises:
        ConfigError: names what to install.
    """
    if find_spec(module) is None:
        error = lacking(ModuleNotFoundError(name=module), what)
        if error is not None:
            raise error
