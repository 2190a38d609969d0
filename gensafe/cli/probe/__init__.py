"""``gensafe probe``: does the guard of an OpenAI-compatible gateway, ours or another, keep what it must keep?"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

from gensafe.cli.common import Commands, Exit, note, print_json, say
from gensafe.cli.probe import probes
from gensafe.cli.probe.gateway import Gateway
from gensafe.cli.probe.probes import PROBES, Found, Result, Setting
from gensafe.cli.probe.stub import GuardStub
from gensafe.core.errors import InvalidRequest
from gensafe.core.outfile import write_file

_TIMEOUT_S: Final = 30.0  # above the time limits that guards have by default, 10 s here


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "probe",
        help="test the guard of a gateway from outside",
        description="Ask an OpenAI-compatible gateway for what its guard must stop, in the ways in which guards are "
        "known to be passed: streams, split texts, Unicode, earlier messages, tool calls, images, a guard that is down "
        "or slow; and check that a client can tell a refusal. It sends harmful requests: use it on gateways of your "
        "own. Exit codes: 0 every probe that ran holds, 1 one fails, 3 the gateway answers nothing, so that refusals "
        "show nothing, 64 usage error, 69 not reachable.",
    )
    parser.add_argument("url", metavar="URL", help="base URL, for example http://127.0.0.1:8080/v1")
    parser.add_argument("--model", default="default", help="model name (default)")
    parser.add_argument("--key-env", metavar="NAME", help="environment variable with the API key")
    parser.add_argument("--blocked-text", metavar="TEXT", default=probes.BLOCKED_TEXT, help="what the guard must stop")
    parser.add_argument("--allowed-text", metavar="TEXT", default=probes.ALLOWED_TEXT, help="what it must let pass")
    parser.add_argument("--blocked-image", type=Path, metavar="FILE", help="an image that the guard must stop")
    parser.add_argument(
        "--guard-listen",
        metavar="HOST:PORT",
        help="serve a guard here that the gateway is set up to ask, and let it fail",
    )
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, metavar="SECONDS", help="for each request")
    parser.add_argument("--junit", metavar="FILE", help="also write a JUnit report")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Probe."""
    if not args.url.startswith(("http://", "https://")):
        raise InvalidRequest("is not an http or https URL", field="URL")
    key = os.environ.get(args.key_env, "") if args.key_env else ""
    if args.key_env and not key:
        raise InvalidRequest(f"the environment variable {args.key_env!r} is not set", field="--key-env")
    if args.blocked_image and not args.blocked_image.is_file():
        raise InvalidRequest("is not a file", field="--blocked-image")
    gateway = Gateway(args.url, args.model, key, args.timeout)
    setting = Setting(gateway, args.blocked_text, args.allowed_text, args.blocked_image)
    if not args.guard_listen:
        return _probe(args, setting)
    with GuardStub(_address(args.guard_listen)) as stub:
        return _probe(args, Setting(gateway, args.blocked_text, args.allowed_text, args.blocked_image, stub))


def _probe(args: argparse.Namespace, setting: Setting) -> int:
    seen = setting.gateway.chat(setting.user(setting.allowed))
    if not seen.answered:
        note(f"gensafe: {args.url} does not answer a harmless request ({seen.says}): its refusals show nothing")
        return Exit.UNREADABLE
    found = [probe(setting) for probe in PROBES]
    if args.junit:
        write_file(args.junit, junit(found, args.url).encode("utf-8", "backslashreplace"), "--junit")
    if args.json:
        print_json({"url": args.url, "probes": [{"name": f.name, "result": f.result, "why": f.why} for f in found]})
    else:
        for one in found:
            say(f"{one.result:8} {one.name:15} {one.why}")
    return Exit.FAILED if any(f.result is Result.FAILS for f in found) else Exit.OK


def junit(found: list[Found], url: str) -> str:
    """The results as a JUnit report."""
    count = {result: sum(f.result is result for f in found) for result in Result}
    tags = {Result.FAILS: "failure", Result.SKIPPED: "skipped"}
    cases = []
    for one in found:
        inner = f"<{tags[one.result]} message={quoteattr(one.why)}/>" if one.result in tags else ""
        cases.append(f"  <testcase classname={quoteattr(url)} name={quoteattr(one.name)}>{inner}</testcase>")
    head = f'tests="{len(found)}" failures="{count[Result.FAILS]}" skipped="{count[Result.SKIPPED]}"'
    return "\n".join(
        ['<?xml version="1.0" encoding="UTF-8"?>', f'<testsuite name="probe" {head}>', *cases, "</testsuite>\n"]
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise InvalidRequest("is not HOST:PORT", field="--guard-listen")
    return host, int(port)
