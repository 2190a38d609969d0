"""``gensafe keys api``: make, list, show, rotate and revoke the keys of callers. Every change is in the log.

A new key is in force once the log has its entry; a revoked one is refused before it has.
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import re
import secrets
import string
import time
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, say
from gensafe.core.clock import iso
from gensafe.core.config import Config
from gensafe.core.errors import Conflict, InvalidRequest
from gensafe.core.names import problem_of
from gensafe.installation import Installation
from gensafe.registry import ApiKey, KeyAct, KeyChange, KeyState, OrderKind, Registry

ROLES: Final = ("admin", "audit", "classify", "generate", "metrics", "review", "verify")
NAMED: Final = ("admin", "metrics", "review")  # as gensafe.server.identity.NAMED
PREFIX: Final = "gsk_"  # programs that look for leaked secrets can look for it
_SECRET_BYTES: Final = 32  # 256 bits: nobody guesses it, so its digest needs no slow hash
_ID_CHARS: Final = 12  # of 36 letters: ids never meet
_SPANS: Final = {"m": 60, "h": 3600, "d": 86_400}  # seconds
_MAX_NAME: Final = 80  # characters of a name, a person or a reason's line. Chosen by eye
_MAX_REASON: Final = 200  # likewise


def add_parser(verbs: Commands) -> None:
    """Declare the verb ``api`` of ``gensafe keys``."""
    parser = verbs.add_parser("api", help="make, list, rotate and revoke API keys of callers")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key; it is shown once, on standard output")
    create.add_argument("--tenant", required=True, metavar="NAME", help="whom the key's calls belong to")
    create.add_argument(
        "--role", action="append", choices=ROLES, help="repeat it; default: all but admin, metrics and review"
    )
    create.add_argument("--model", action="append", metavar="NAME", help="may use this one; repeat it; default: all")
    create.add_argument("--name", default="", metavar="TEXT", help="what it is for; stays out of the log")
    listing = actions.add_parser("list", help="list keys, without their secrets")
    listing.add_argument("--tenant", metavar="NAME", help="of one tenant")
    listing.add_argument("--all", action="store_true", help="expired and revoked ones as well")
    show = actions.add_parser("show", help="one key and what was done to it, by whom and why")
    rotate = actions.add_parser("rotate", help="make a key that replaces another; the old one works for a while")
    rotate.add_argument("--overlap", default="24h", metavar="SPAN", help="for how long (default 24h; 0m = at once)")
    revoke = actions.add_parser("revoke", help="withdraw a key for good, within seconds")
    for each in (show, rotate, revoke):
        each.add_argument("key_id", metavar="KEY_ID", help="as gensafe keys api list shows it")
    for each in (create, rotate):
        each.add_argument(
            "--expires", default="365d", metavar="SPAN", help="e.g. 90d, 12h, 2027-06-30 (UTC) or never; default 365d"
        )
    for each in (create, rotate, revoke):
        each.add_argument("--reason", required=True, metavar="TEXT", help="why; the log gets a keyed digest of it")
        each.add_argument(
            "--actor", metavar="NAME", help="who; the log gets a pseudonym; default: the user's name here"
        )
    for each in actions.choices.values():
        each.add_argument("--json", action="store_true", help="print JSON")
        add_config_arguments(each)


def run(args: argparse.Namespace, config: Config) -> int:
    """Run one action."""
    home = Installation(config)
    if args.action != "create":
        home.existing()
    changes = args.action in ("create", "rotate", "revoke")
    ring = home.open_keys() if changes else home.read_keys()
    if changes and not home.has_log:
        home.open_log(ring).close()
    with home.open_registry(ring, readonly=not changes) as registry:
        if args.action == "list":
            return _list(args, registry)
        if args.action == "show":
            return _show(args, registry)
        act = KeyAct(_now_ms(), KeyChange(_CHANGES[args.action]), _words(args.actor or _user(), "--actor", _MAX_NAME),
                     _words(args.reason, "--reason", _MAX_REASON))  # fmt: skip
        changing = _Changing(home, ring, registry, act)
        if args.action == "revoke":
            return _revoke(args, changing)
        return _make(args, changing, config)


_CHANGES: Final = {"create": "created", "rotate": "rotated", "revoke": "revoked"}


class _Changing:
    """One change, from the row to the entry."""

    def __init__(self, home: Installation, ring: Any, registry: Registry, act: KeyAct) -> None:  # noqa: ANN401
        self._home, self._ring, self.registry, self.act = home, ring, registry, act

    def log(self, key: ApiKey, expire_replaced_ms: int | None = None) -> int:
        """Have it logged, here or by the running server; returns the entry's index.

        Raises:
            LogUnavailable: not logged yet.
        """
        from gensafe.cli.orders import have_done

        body = {
            "key_id": key.key_id,
            "change": self.act.change.value,
            "actor": self.registry.pseudonym(f"operator:{self.act.actor}"),
            "reason": self.registry.keyed_digest("reason", self.act.reason.encode()),
            "expire_replaced_ms": expire_replaced_ms,
        }
        return int(have_done(self.registry, self._home, self._ring, OrderKind.API_KEY, body)["log_index"])


def _make(args: argparse.Namespace, changing: _Changing, config: Config) -> int:
    """Make a key, from what was said or after the one that it replaces."""
    now_ms = changing.act.at_ms
    until, replaced = None, None
    if args.action == "rotate":
        replaced = changing.registry.api_keys.get(args.key_id)
        if replaced.state(now_ms) is not KeyState.ACTIVE:
            raise Conflict(
                f"the key is {replaced.state(now_ms)}", field="key_id", fix="make a new one: keys api create"
            )
        until = now_ms + _span_s(args.overlap, "--overlap") * 1000
    elif problem := problem_of(args.tenant):
        raise InvalidRequest(f"the name {problem}", field="--tenant")
    key_id = "k" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(_ID_CHARS))
    secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = ApiKey(
        key_id=key_id,
        digest="sha256:" + hashlib.sha256(secret.encode()).hexdigest(),
        tenant=replaced.tenant if replaced else args.tenant,
        name=replaced.name if replaced else _words(args.name, "--name", _MAX_NAME, empty=True),
        roles=replaced.roles if replaced else frozenset(args.role or set(ROLES) - set(NAMED)),
        models=replaced.models if replaced else frozenset(args.model or ()),
        created_ms=now_ms,
        expires_ms=_moment_ms(args.expires, now_ms),
        replaces=replaced.key_id if replaced else "",
    )
    changing.registry.api_keys.add(key, changing.act)
    index = changing.log(key, until)
    if args.json:
        print_json({"key": secret, "log_index": index} | _plain(changing.registry.api_keys.get(key_id)))
    else:
        say(secret)
        ends = f"expires {iso(key.expires_ms)}" if key.expires_ms is not None else "never expires"
        note(f"{key_id} of {key.tenant}, {ends}; logged as entry {index}; the key is not shown again")
        if until is not None and replaced is not None:
            note(f"{replaced.key_id}, which it replaces, works until {iso(until)} at the latest")
        if not config.server.managed_keys:
            note("server.managed_keys is off in this configuration: the server takes no such keys")
    return Exit.OK


def _revoke(args: argparse.Namespace, changing: _Changing) -> int:
    key = changing.registry.api_keys.get(args.key_id)
    if key.revoked_ms is not None:
        raise Conflict(f"was revoked on {iso(key.revoked_ms)}", field="key_id")
    changing.registry.api_keys.revoke(key.key_id, changing.act)
    index = changing.log(key)
    if args.json:
        print_json({"log_index": index} | _plain(changing.registry.api_keys.get(key.key_id)))
    else:
        say(f"revoked {key.key_id} of {key.tenant}; logged as entry {index}; refused within seconds")
    return Exit.OK


def _list(args: argparse.Namespace, registry: Registry) -> int:
    now_ms = _now_ms()
    keys = [k for k in registry.api_keys.all() if args.tenant in (None, k.tenant)]
    if not args.all:
        keys = [k for k in keys if k.state(now_ms) in (KeyState.ACTIVE, KeyState.PENDING)]
    if args.json:
        print_json([_plain(key) for key in keys])
        return Exit.OK
    for key in keys:
        used = _day(key.used_day) if key.used_day is not None else "never"
        ends = iso(key.expires_ms)[:10] if key.expires_ms is not None else "never"
        models = f"  models {','.join(sorted(key.models))}" if key.models else ""
        facts = f"{key.key_id}  {key.state(now_ms):8} {key.tenant}  {','.join(sorted(key.roles))}"
        say(f"{facts}  expires {ends}  last used {used}{models}  {key.name}".rstrip())
    if not keys:
        note("no keys" if args.all else "no keys in force; --all lists all")
    return Exit.OK


def _show(args: argparse.Namespace, registry: Registry) -> int:
    key, history = registry.api_keys.get(args.key_id), registry.api_keys.history(args.key_id)
    if args.json:
        print_json(_plain(key) | {"history": [asdict(act) for act in history]})
        return Exit.OK
    for name, value in _plain(key).items():
        say(f"{name:12} {value}")
    for act in history:
        entry = f"entry {act.log_index}" if act.log_index is not None else "not logged yet"
        say(f"{iso(act.at_ms)}  {act.change} by {act.actor}: {act.reason} ({entry})")
    return Exit.OK


def _plain(key: ApiKey) -> dict[str, Any]:
    """What may be shown: everything but the digest."""
    times = {"created": iso(key.created_ms)}
    times |= {"expires": iso(key.expires_ms) if key.expires_ms is not None else "never"}
    times |= {"revoked": iso(key.revoked_ms)} if key.revoked_ms is not None else {}
    return {
        "key_id": key.key_id,
        "state": key.state(_now_ms()).value,
        "tenant": key.tenant,
        "name": key.name,
        "roles": sorted(key.roles),
        "models": sorted(key.models),
        **times,
        "last_used": _day(key.used_day) if key.used_day is not None else "never",
        "replaces": key.replaces,
    }


def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        raise InvalidRequest("this user has no name here", field="--actor", fix="say who you are") from None


def _words(text: str, field: str, most: int, *, empty: bool = False) -> str:
    text = text.strip()
    if not text and not empty:
        raise InvalidRequest("is empty", field=field)
    if len(text) > most or not text.isprintable():
        raise InvalidRequest("is not one line of readable characters", field=field, fix=f"at most {most} characters")
    return text


def _span_s(text: str, field: str) -> int:
    """Seconds of "90d", "24h" or "0m".

    Raises:
        InvalidRequest: something else.
    """
    match = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    if not match:
        raise InvalidRequest(f"{text!r} is no span of time", field=field, fix="for example 90d, 24h or 30m")
    return int(match[1]) * _SPANS[match[2]]


def _moment_ms(text: str, now_ms: int) -> int | None:
    """When a key ends: a span from now, the end of a day (UTC), or None for "never".

    Raises:
        InvalidRequest: none of these, or in the past.
    """
    if text == "never":
        return None
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise InvalidRequest(f"{text!r} is no date", field="--expires") from None
        moment = int((day + timedelta(days=1)).timestamp() * 1000)
    else:
        moment = now_ms + _span_s(text, "--expires") * 1000
    if moment <= now_ms:
        raise InvalidRequest("is not in the future", field="--expires")
    return moment
