"""``gensafe usage``: who used how much on which day, and what it cost, as a table, CSV or JSON.

Sums are those that quotas are held to: settled use and, of requests that are running, what is reserved.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, read_config, say
from gensafe.core.errors import InvalidRequest
from gensafe.core.outfile import write_file
from gensafe.core.types.usage import MICRO, Amounts
from gensafe.installation import Installation
from gensafe.registry import DayOfUse

_DAYS: Final = 30  # shown where no first day is named. Chosen
_SCALES: Final = {
    "audio_ms": ("audio_s", 1000),
    "video_ms": ("video_s", 1000),
    "engine_ms": ("engine_s", 1000),
}  # ms


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "usage",
        help="who used how much, by day, and what it cost",
        description="Requests, tokens, pixels, seconds and cost by day (UTC), tenant and API key (docs/usage.md). "
        "Exit codes: 0 success, 1 failed, 64 usage error.",
    )
    parser.add_argument("--tenant", metavar="NAME", help="of one tenant")
    parser.add_argument("--from", dest="first", metavar="DATE", help="first day, e.g. 2026-01-01; default: 30 days ago")
    parser.add_argument("--to", dest="last", metavar="DATE", help="last day; default: today")
    parser.add_argument("--keys", action="store_true", help="a line for each managed API key as well")
    parser.add_argument("--format", choices=["table", "csv", "json"], default="table")
    parser.add_argument("-o", "--out", metavar="FILE", help="write there instead of to standard output")
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show what was used."""
    config = read_config(args)
    today = datetime.fromtimestamp(time.time(), UTC).date()
    last = _date(args.last, "--to") if args.last else today
    first = _date(args.first, "--from") if args.first else last - timedelta(days=_DAYS)
    if first > last:
        raise InvalidRequest(f"{first} is after {last}", field="--from")
    with Installation(config).existing().open_registry(readonly=True) as registry:
        found = registry.usage.days(_ms(first), _ms(last + timedelta(days=1)), args.tenant)
    rows = [_row(one, config.usage.currency) for one in found if args.keys or not one.key_id]
    if args.format == "json" and not args.out:
        print_json(rows)
        return Exit.OK
    text = _json(rows) if args.format == "json" else _csv(rows) if args.format == "csv" else _table(rows)
    if args.out:
        write_file(args.out, text.encode(), "--out")
    elif text:
        say(text.rstrip("\n"))
    if not rows:
        note(f"nothing was used from {first} to {last}")
    return Exit.OK


def _row(one: DayOfUse, currency: str) -> dict[str, Any]:
    row: dict[str, Any] = {"day": one.day, "tenant": one.tenant, "key": one.key_id}
    for name, value in one.spent.by_name().items():
        if name == "micros":
            row["cost"] = f"{value // MICRO}.{value % MICRO:06d}"  # exact
        else:
            shown, scale = _SCALES.get(name, (name, 1))
            row[shown] = value if scale == 1 else f"{value // scale}.{value % scale:03d}"
    return row | {"currency": currency}


_COLUMNS: Final = tuple(_row(DayOfUse("", "", "", Amounts()), ""))


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [_COLUMNS, *(tuple(str(row[name]) for name in _COLUMNS) for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(_COLUMNS))]
    left = {"day", "tenant", "key", "currency"}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if name in left else cell.rjust(width)
            for name, cell, width in zip(_COLUMNS, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _json(rows: list[dict[str, Any]]) -> str:
    import json

    return json.dumps(rows, indent=2) + "\n"


def _date(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{text!r} is no date", field=field, fix="for example 2026-01-31") from None


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
