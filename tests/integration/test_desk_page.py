"""The desk in a real Chromium: sign in with a key, decide by keyboard alone, nothing from elsewhere, mobile width."""

import hashlib
import os
from importlib.resources import files
from pathlib import Path

import pytest

from gensafe.audit import AuditLog
from gensafe.client import Client, ClientOptions
from gensafe.client.statuses import HeldForReview
from gensafe.v1 import admin_pb2 as pb
from tests.integration.test_verify_page import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
KEYS = {"maker": ("acme", "generate"), "a-review": ("acme", "review"), "officer": ("ops", "admin")}
NASTY = "<img src=x onerror=alert(1)> sends it to my employer"
SIZES = {"wide": (1280, 900, False), "phone": (390, 844, True)}


@pytest.fixture(scope="module")
def site(tmp_path_factory, write_config, server_process):
    """Two held pictures and a case, behind keys; every picture comes out blank."""
    folder = tmp_path_factory.mktemp("desk")
    policy, keys = folder / "policy.toml", folder / "keys.txt"
    default = files("gensafe.safety").joinpath("policies/default.toml").read_text("utf-8")
    policy.write_text(default.replace("[categories.bad]", "[categories.bad]\nblock_action = 'review'", 1))
    keys.write_text("".join(f"sha256:{hashlib.sha256(k.encode()).hexdigest()} {t} {r}\n" for k, (t, r) in KEYS.items()))
    config = write_config(folder, server={"api_keys": str(keys), "http": "127.0.0.1:0"}, options={"blank": "1"})
    config.write_text(config.read_text() + f'[safety]\npolicy = "{policy}"\n')
    server = server_process(folder / "data", ("--config", str(config)))
    server.start()
    with Client(ClientOptions(server.address, api_key="maker")) as maker:
        for seed in (1, 2):
            with pytest.raises(HeldForReview):
                maker.generate("a garden", "image", seed=seed)
        text = maker.generate("a quiet garden", "text")
    with Client(ClientOptions(server.address, api_key="officer")) as officer:
        report = pb.ReportMisuseRequest(record_id=text.record_id, words=NASTY, category="privacy", actor="Ada")
        officer.unary(officer.admin.ReportMisuse, report)
        hold = pb.PlaceHoldRequest(hold_id="case 7", scope="tenant:acme", reason="court order", actor="Ada")
        officer.unary(officer.admin.PlaceHold, hold)
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def logged(site) -> list[dict]:
    with AuditLog.open_readonly(site.data_dir / "log") as log:
        return [dict(e.entry) for e in log.entries()]


def resize(browser, name: str) -> None:
    width, height, mobile = SIZES[name]
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    browser.page("Emulation.setDeviceMetricsOverride", size)


def shot(browser, name: str) -> None:
    folder = os.environ.get("TEST_SCREENSHOTS", "")
    if folder:
        browser.screenshot(Path(folder) / f"desk-{name}.png")


def press(browser, key: str) -> None:
    code = {"Tab": 9, "Enter": 13}[key]
    text = {"text": "\r"} if key == "Enter" else {}
    for kind in ("keyDown", "keyUp"):
        event = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, **text}
        browser.page("Input.dispatchKeyEvent", event)


def write(browser, text: str) -> None:
    browser.page("Input.insertText", {"text": text})


def tab_to(browser, what: str) -> None:
    """Tab until the element in focus fits a selector."""
    for _ in range(60):
        if browser.evaluate(f"document.activeElement.matches({what!r})"):
            return
        press(browser, "Tab")
    raise AssertionError(f"Tab never came to {what}")


def sign_in(browser, site, key: str) -> None:
    browser.open(f"{site.http}/desk")
    tab_to(browser, "#key")
    write(browser, key)
    tab_to(browser, "#actor")
    write(browser, "Ada Example")
    press(browser, "Enter")


def status(browser) -> str:
    return browser.evaluate("document.getElementById('status').textContent")


OPENED = "document.getElementById('status').textContent === 'The desk is open.'"


def test_a_wrong_key_is_said_and_shows_nothing(site, browser):
    resize(browser, "wide")
    sign_in(browser, site, "guess")
    browser.wait_until("document.getElementById('alert').textContent !== ''")
    assert browser.evaluate("document.getElementById('desk').hidden")
    shot(browser, "refused")


def test_a_reviewer_decides_by_keyboard_alone(site, browser):
    browser.events.clear()
    sign_in(browser, site, "a-review")
    browser.wait_until(OPENED)
    assert browser.evaluate("[...document.querySelectorAll('section.admin')].every((part) => part.hidden)")
    browser.wait_until("document.querySelectorAll('#reviews-list canvas').length === 2")
    assert browser.evaluate("getComputedStyle(document.querySelector('canvas')).filter").startswith("blur")
    assert browser.evaluate("document.querySelector('blockquote').textContent") == NASTY
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    shot(browser, "reviewer")
    browser.evaluate("document.querySelector('#reviews-list button[value=copy]').click()")
    browser.wait_until("document.getElementById('status').textContent.includes('saved; logged as entry')")
    [shown] = [e for e in logged(site) if e["event"] == "review.shown"]
    assert shown["copy_id"] in status(browser)
    tab_to(browser, "#reviews-list textarea")
    press(browser, "Tab")
    press(browser, "Enter")  # without a reason nothing is sent
    assert browser.evaluate("document.querySelectorAll('#reviews-list article').length") == 2
    tab_to(browser, "#reviews-list textarea")
    write(browser, "blank on purpose")
    press(browser, "Tab")
    press(browser, "Enter")
    browser.wait_until("document.getElementById('status').textContent.startsWith('Released as record')")
    assert browser.evaluate("document.querySelectorAll('#reviews-list article').length") == 1
    [entry] = [e for e in logged(site) if e["event"] == "generation.released" and e["modality"] == "image"]
    assert entry["review"]["decision"] == "released"

    tab_to(browser, "#cases-list textarea")
    write(browser, "his own words")
    press(browser, "Tab")
    write(browser, "We looked, and it is not ours.")
    press(browser, "Tab")
    press(browser, "Tab")
    press(browser, "Enter")
    browser.wait_until("document.getElementById('status').textContent.includes('dismissed')")
    assert [e["decision"] for e in logged(site) if e["event"] == "misuse.decided"] == ["dismissed"]
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert asked and all(url.startswith((site.http, "about:")) for url in asked)
    assert [e for e in browser.events if e.get("method") == "Log.entryAdded" and "Content Security" in str(e)] == []
    assert "a-review" not in browser.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_officer_sees_all_of_it_on_every_screen(size, dark, site, browser):
    resize(browser, size)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.page("Emulation.setEmulatedMedia", {"features": scheme})
    sign_in(browser, site, "officer")
    browser.wait_until(OPENED)
    browser.wait_until("document.querySelectorAll('#reviews-list canvas').length === 1")
    assert browser.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert (
        browser.evaluate("Math.min(...[...document.querySelectorAll('button')].map((b) => b.offsetHeight || 99))") >= 44
    )
    assert browser.evaluate("[...document.querySelectorAll('input, select, textarea')].every((f) => f.labels.length)")
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    shot(browser, f"{size}-{'dark' if dark else 'light'}")


def test_an_erasure_shows_first_what_it_would_take(site, browser):
    resize(browser, "wide")
    sign_in(browser, site, "officer")
    browser.wait_until(OPENED)
    assert browser.evaluate("document.getElementById('erase-now').disabled")
    browser.evaluate("document.getElementById('erase-tenant').value = 'acme'")
    browser.evaluate("document.querySelector('#erasure button').click()")
    browser.wait_until("document.getElementById('status').textContent.startsWith('Would erase')")
    browser.wait_until("!document.getElementById('erase-now').disabled")
    browser.evaluate("document.getElementById('erase-now').click()")
    browser.wait_until("document.getElementById('alert').textContent.includes('legal hold case 7 forbids')")
    assert not [e for e in logged(site) if e["event"] == "log.tombstone"]
