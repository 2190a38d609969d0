"""``GENSAFE_*`` environment variables as configuration: every one is a setting, somebody else's by name, or refused.

``GENSAFE_SERVER_LISTEN`` is ``[server] listen``, ``GENSAFE_SERVER_OIDC_ISSUER`` is ``[server.oidc] issuer`` and
``GENSAFE_GENERATION_OPTIONS_URL`` the option ``url``. Lists of tables (``[[engines]]``) are for the file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, get_args, get_origin, get_type_hints

from gensafe.core.errors import ConfigError

PREFIX: Final = "GENSAFE_"
OTHERS: Final = frozenset(
    {
        "GENSAFE_API_KEY",  # clients
        "GENSAFE_KEY_PASSPHRASE",  # the key ring
        "GENSAFE_DEBUG",  # the command line shows tracebacks
        "GENSAFE_TEXT_MARK_KEY_FILE",  # the logits processor for vLLM
        "GENSAFE_TEXT_MARK_KEY_ID",
    }
)
# what Kubernetes sets in every pod of a namespace that has a Service whose name begins with "gensafe"
_SERVICE_LINK: Final = re.compile(r"GENSAFE_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT|PORT_\d+_(TCP|UDP)\w*)")


def place_all(document: dict[str, Any], kind: type, environ: Mapping[str, str]) -> None:
    """Put the settings of an environment into a document, over what is there.

    Raises:
        ConfigError: a name with the prefix is nobody's; names the nearest one that is.
    """
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in OTHERS:
            continue
        if not _place(document, kind, name.removeprefix(PREFIX).lower(), value, name):
            if _SERVICE_LINK.fullmatch(name):
                continue
            near = difflib.get_close_matches(name, [*names(kind), *OTHERS], 1)
            raise ConfigError("is no setting", field=name, fix=f"did you mean {near[0]}?" if near else "unset it")


def names(kind: type, prefix: str = PREFIX) -> list[str]:
    """Every variable that sets a value of a configuration class."""
    found, hints = [], get_type_hints(kind)
    for item in fields(kind):
        hint, name = hints[item.name], prefix + item.name.upper()
        if is_dataclass(hint) and isinstance(hint, type):
            found += names(hint, f"{name}_")
        elif not is_list_of_tables(hint):
            found.append(name)
    return found


def is_list_of_tables(hint: Any) -> bool:  # noqa: ANN401 - an annotation
    """Whether a field is ``[[like.this]]``."""
    return get_origin(hint) is tuple and is_dataclass(get_args(hint)[0])


def _place(document: dict[str, Any], kind: type, key: str, value: str, name: str) -> bool:
    hints = get_type_hints(kind)
    if key in hints and not is_dataclass(hints[key]):
        if is_list_of_tables(hints[key]) or get_origin(hints[key]) is Mapping or "Mapping" in str(hints[key]):
            raise ConfigError("is a table", field=name, fix="set it in the file")
        document[key] = value
        return True
    for item in fields(kind):
        hint, rest = hints[item.name], key.removeprefix(f"{item.name}_")
        if rest == key or not rest:
            continue
        table = document.setdefault(item.name, {})
        if not isinstance(table, dict):
            return True  # the file says something else there, which is refused by its name
        if is_dataclass(hint) and isinstance(hint, type):
            if _place(table, hint, rest, value, name):
                return True
        elif "Mapping" in str(hint):
            table[rest] = value
            return True
        if not table:
            del document[item.name]
    return False
