"""``gensafe config``: write a first configuration file, check one, and show what is in force."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, read_config, say
from gensafe.core.config import Config, redacted
from gensafe.core.config_about import Section, kind_of, schema, sections
from gensafe.core.config_profile import gaps
from gensafe.core.errors import InvalidRequest
from gensafe.core.outfile import write_file

_HEAD: Final = """\
# GenSafe configuration. Every key is here with its default, as a comment; what is not set has that default.
# Environment variables go over it: GENSAFE_SERVER_LISTEN is [server] listen.
# To check it: gensafe config check --config FILE
"""


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "config",
        help="write, check and show the configuration",
        description="The configuration is one TOML file and GENSAFE_* variables over it (docs/configuration.md). "
        "Exit codes: 0 success, 1 not fit for production, 64 not a configuration.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    init = verbs.add_parser("init", help="write a file that names every key")
    init.add_argument("-o", "--out", default="gensafe.toml", metavar="FILE", help="default: gensafe.toml (- = show it)")
    check = verbs.add_parser("check", help="read a configuration as the server would, and its files")
    check.add_argument("--production", action="store_true", help="also say what production would refuse")
    shown = verbs.add_parser("print", help="what is in force, without secrets, as JSON")
    for each in (check, shown):
        add_config_arguments(each)
    verbs.add_parser("schema", help="a JSON schema of the file")


def run(args: argparse.Namespace) -> int:
    """Run one verb."""
    if args.verb == "init":
        return _init(args.out)
    if args.verb == "schema":
        print_json(schema(Config))
        return Exit.OK
    config = read_config(args)
    if args.verb == "print":
        print_json(redacted(config))
        return Exit.OK
    from gensafe.server.listen import check_files

    check_files(config)
    missing = gaps(config) if args.production or config.environment == "production" else []
    for gap in missing:
        note(f"{gap.field}: {gap.message} ({gap.fix})" if gap.fix else f"{gap.field}: {gap.message}")
    if missing:
        return Exit.FAILED
    say("the configuration can be used" + (" in production" if args.production else ""))
    return Exit.OK


def _init(out: str) -> int:
    text = _HEAD + "".join(_section(one) for one in sections(Config))
    if out == "-":
        say(text.rstrip("\n"))
        return Exit.OK
    if Path(out).exists():
        raise InvalidRequest(f"{out} is there already", field="--out", fix="name another file")
    write_file(out, text.encode(), "--out")
    note(f"wrote {out}")
    return Exit.OK


def _section(one: Section) -> str:
    title = f"[[{one.title}]]" if one.listed else f"[{one.title}]"
    lines = [""] if not one.title else ["", f"# {one.about}", f"# {title}" if one.listed else title]
    for setting in one.settings:
        bounds = f"; {setting.bounds[0]:.10g} to {setting.bounds[1]:.10g}" if setting.bounds else ""
        said = f"  # {kind_of(setting.hint)}{bounds}{': ' if setting.meaning else ''}{setting.meaning}"
        lines.append(f"# {setting.name} = {setting.default}{said}")
    return "\n".join(lines) + "\n"
