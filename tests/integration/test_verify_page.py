"""The verify page in a real Chromium, driven over its debugging pipe: upload, verdict, hostile names, mobile width."""

import base64
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image

from gensafe import media
from gensafe.audit import AuditLog
from gensafe.core.config import ServerConfig
from gensafe.media.transform import resize
from gensafe.provenance.types import InputFact
from gensafe.registry import Registry
from gensafe.safety import SafetyRunner, load_policy
from gensafe.server.api_keys import ApiKeys
from gensafe.server.http import Classifying, create_app
from gensafe.server.limits import Limits
from gensafe.verify import VerifyContext, open_context

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
TESTS = Path(__file__).parents[1]
AXE = TESTS.parent / "build" / "opinions" / "node" / "node_modules" / "axe-core" / "axe.min.js"
NASTY = "<img src=x onerror=alert(1)>\u202egnp.png"


class Browser:
    """Chrome DevTools Protocol over file descriptors 3 and 4: JSON messages that end with a NUL."""

    def __init__(self, profile):
        to_browser, self._send = os.pipe()
        self._receive, from_browser = os.pipe()
        launcher = (
            "import os, sys\n"
            f"a, b = os.dup({to_browser}), os.dup({from_browser})\n"
            "os.dup2(a, 3); os.dup2(b, 4)\n"
            "os.set_inheritable(3, True); os.set_inheritable(4, True)\n"
            "os.execv(sys.argv[1], sys.argv[1:])\n"
        )
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        flags += ["--remote-debugging-pipe", "--disable-background-networking", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", launcher, CHROMIUM, *flags, "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self.events = []
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "DOM", "Runtime", "Network", "Log"):
            self.page(f"{domain}.enable")

    def call(self, method, parameters=None, session=None):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def page(self, method, parameters=None):
        return self.call(method, parameters, self._session)

    def evaluate(self, expression):
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        return self.page("Runtime.evaluate", asked)["result"].get("value")

    def wait_until(self, expression, seconds=240):
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.1)

    def open(self, url):
        self.page("Page.navigate", {"url": url})
        self.wait_until(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def upload(self, path):
        root = self.page("DOM.getDocument")["root"]["nodeId"]
        node = self.page("DOM.querySelector", {"nodeId": root, "selector": "#file"})["nodeId"]
        self.page("DOM.setFileInputFiles", {"nodeId": node, "files": [str(path)]})
        self.evaluate("document.getElementById('form').requestSubmit()")
        self.wait_until("document.readyState === 'complete' && !!document.getElementById('verdict')")

    def screenshot(self, path):
        shot = self.page("Page.captureScreenshot", {"captureBeyondViewport": True})
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._send)
        os.close(self._receive)

    def _next(self):
        while b"\0" not in self._buffer:
            part = os.read(self._receive, 1 << 16)
            assert part, "the browser went away"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


def load_module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def served(context, **options):
    app = create_app(context, per_minute=0, **options)
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def site():
    with served(VerifyContext(contained=False)) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / NASTY.replace("/", "")
    pixels = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def shots():
    folder = os.environ.get("TEST_SCREENSHOTS", "")
    return Path(folder) if folder else None


def test_upload_verdict_and_nothing_from_elsewhere(site, browser, picture):
    browser.open(f"{site}/verify")
    assert browser.evaluate("document.querySelector('label[for=file]').textContent").startswith("Image")
    browser.upload(picture)
    assert browser.evaluate("document.getElementById('verdict').textContent") == "Nothing was found"
    assert browser.evaluate("document.querySelectorAll('tbody tr').length") >= 10
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert "<img src=x" in browser.evaluate("document.querySelector('.file').textContent")
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert asked and all(url.startswith((site, "about:")) for url in asked)
    violations = [e for e in browser.events if e.get("method") == "Log.entryAdded" and "Content Security" in str(e)]
    assert violations == []
    if shots():
        browser.screenshot(shots() / "verify-desktop.png")


def test_fits_a_phone(site, browser, picture):
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.page("Emulation.setDeviceMetricsOverride", phone)
    for step in ("empty", "verdict"):
        browser.open(f"{site}/verify") if step == "empty" else browser.upload(picture)
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390
        assert browser.evaluate("document.querySelector('button').getBoundingClientRect().height") >= 44
        if shots():
            browser.screenshot(shots() / f"verify-phone-{step}.png")


def test_ingredients_and_a_recovered_manifest_are_shown(browser, tmp_path):
    """A real deployment: a file made from others with hostile titles, and a copy whose credentials were removed."""
    parts = load_module("verify_parts", TESTS / "unit" / "conftest.py")
    bench = parts.samples_module.make_bench(tmp_path / "keys")
    registry = Registry.open(tmp_path / "registry", kek=bench.ring.kek())
    log = AuditLog.open(tmp_path / "log", origin=bench.ring.origin, key=bench.ring.checkpoint_private_key())
    context = open_context(bench.ring, registry=registry, log=log, contained=False)
    source = parts.Deployment(bench, registry, log, context).release(parts.picture(), "image/png")
    inputs = (InputFact(NASTY + "W" * 200, "image/png", "sha256:" + "0" * 64, source.data),)
    made, _ = bench.sign(parts.samples_module.image("PNG"), "image/png", inputs=inputs, soft_binding_alg="")
    pixels = media.decode(source.data, "image/png")
    files = {"made.png": made, "copy.jpg": media.encode(resize(pixels, 0.75), "image/jpeg", quality=80)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with log, served(context, public=False) as site:
        browser.open(f"{site}/verify")
        browser.upload(tmp_path / "made.png")
        said = browser.evaluate("document.querySelector('svg.chain').getAttribute('aria-label')")
        assert "<img src=x" in said and "trusted" in said and "\u202e" not in said
        assert browser.evaluate("document.querySelectorAll('img').length") == 0
        inner = "getComputedStyle(document.querySelector('svg.chain svg')).overflowX"
        assert browser.evaluate(inner) == "hidden"  # a long title does not run over its box
        if shots():
            browser.screenshot(shots() / "verify-ingredients.png")
        browser.open(f"{site}/verify")  # a fresh page: the old verdict must not be taken for the new one
        browser.upload(tmp_path / "copy.jpg")
        said = browser.evaluate("document.querySelector('h1').textContent")
        assert said.startswith("Made from an output of this service")
        assert "GenSafe development signer" in browser.evaluate("document.querySelector('main').textContent")
        if shots():
            browser.screenshot(shots() / "verify-recovered.png")


def test_the_classifiers_page_asks_for_a_key_and_shows_the_verdict(browser, tmp_path):
    """The browser answers the challenge by itself, sends the file, fetches the picture: seen wide and on a phone."""
    classify = load_module("classify_parts", TESTS / "unit" / "server" / "test_http_classify.py")
    digest = hashlib.sha256(b"alpha").hexdigest()
    (tmp_path / "keys.txt").write_text(f"sha256:{digest} acme classify\n")
    (tmp_path / "letter.png").write_bytes(classify.letter())
    runner = SafetyRunner.from_policy(load_policy())
    classifying = Classifying(ApiKeys(tmp_path / "keys.txt"), runner.for_tenant)
    desktop = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    with served(VerifyContext(contained=False), classifying=classifying) as site:
        browser.events.clear()
        browser.open(f"{site}/verify")
        assert browser.evaluate("document.querySelector('a[href=\"/classify\"]') !== null")
        browser.page("Page.navigate", {"url": f"{site.replace('//', '//me:alpha@')}/classify"})
        browser.wait_until("document.readyState === 'complete' && location.pathname === '/classify'")
        for name, size in (("desktop", desktop), ("phone", phone)):
            browser.page("Emulation.setDeviceMetricsOverride", size)
            browser.evaluate("document.getElementById('verdict')?.removeAttribute('id')")  # wait for the new verdict
            browser.upload(tmp_path / "letter.png")
            shown = "document.querySelector('img.shown')"
            browser.wait_until(f"{shown}.complete")
            assert browser.evaluate(f"{shown}.naturalWidth") == 960
            assert "personal data (pii)" in browser.evaluate(f"{shown}.alt")
            assert "pixels" in browser.evaluate("document.querySelector('tbody').textContent")
            assert browser.evaluate("document.documentElement.scrollWidth") <= size["width"]
            assert browser.evaluate("document.querySelectorAll('h1').length") == 1
            if shots():
                browser.screenshot(shots() / f"classify-{name}.png")
    assert not [e for e in browser.events if e.get("method") == "Log.entryAdded" and "Content Security" in str(e)]


def test_works_from_the_keyboard(site, browser):
    browser.open(f"{site}/verify")
    order = []
    for _ in range(2):
        for kind in ("keyDown", "keyUp"):
            key = {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
            browser.page("Input.dispatchKeyEvent", key)
        order.append(browser.evaluate("document.activeElement.tagName"))
    assert order == ["INPUT", "BUTTON"]
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1


def test_arabic_reads_from_the_right(site, browser, picture):
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    for size in (phone, {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}):
        browser.page("Emulation.setDeviceMetricsOverride", size)
        browser.open(f"{site}/verify?lang=ar")
        browser.upload(picture)
        assert browser.evaluate("location.search") == "?lang=ar"  # the language stays with the reader
        assert browser.evaluate("getComputedStyle(document.documentElement).direction") == "rtl"
        assert browser.evaluate("document.documentElement.scrollWidth") <= size["width"]
        edge = "getComputedStyle(document.querySelector('.verdict'))"
        assert browser.evaluate(f"parseFloat({edge}.borderRightWidth) > parseFloat({edge}.borderLeftWidth)")
        if shots():
            browser.screenshot(shots() / f"verify-arabic-{size['width']}.png")


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed in build/opinions/node (see .ci/run)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(site, browser, picture, scheme):
    """Rules of WCAG 2.2 A and AA, of axe-core, on the form and on a verdict."""
    browser.page("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    for step in ("form", "verdict"):
        browser.open(f"{site}/verify?lang=de") if step == "form" else browser.upload(picture)
        browser.evaluate(AXE.read_text("utf-8") + ";0")
        found = browser.evaluate(f"axe.run(document, {json.dumps(rules)}).then((r) => JSON.stringify(r))")
        report = json.loads(found)
        assert len(report["passes"]) > 15
        wrong = [(v["id"], [n["html"] for n in v["nodes"]]) for v in report["violations"]]
        assert wrong == []


class HostPage(BaseHTTPRequestHandler):
    """Somebody else's site, with the widget in it."""

    def do_GET(self):
        body = f"""<!doctype html><html lang="en"><title>News</title><h1>News</h1><gensafe-verify></gensafe-verify>
<script src="{self.server.script}"></script>""".encode()
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        policy = f"default-src 'none'; script-src {self.server.home}; connect-src {self.server.home}"
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def news():
    server = ThreadingHTTPServer(("127.0.0.1", 0), HostPage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.origin = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()
    thread.join(20)


@pytest.mark.parametrize("named", [True, False])
def test_the_widget_asks_its_own_service_from_a_page_of_another_site(browser, news, named):
    """Under a policy that lets the page reach that service only; a site that ``http_origins`` does not name is told."""
    limits = Limits(ServerConfig(http_origins=news.origin if named else "https://other.example"))
    with served(VerifyContext(contained=False), limits=limits) as site:
        news.home, news.script = site, f"{site}/static/gensafe-verify.js?lang=es"
        browser.events.clear()
        browser.open(f"{news.origin}/")
        widget = "document.querySelector('gensafe-verify')"
        browser.wait_until(f"!!{widget}.shadowRoot")
        assert browser.evaluate(f"{widget}.shadowRoot.querySelector('button').textContent") == "Verificar"
        given = "new File(['some words'], '<b>a</b>.txt', {type: 'text/plain'})"
        report = browser.evaluate(f"{widget}.check({given}).then((r) => r && r.conclusion)")
        text = browser.evaluate(f"{widget}.shadowRoot.querySelector('[role=status]').textContent")
        if named:
            assert report == "nothing found" and "No se encontr\u00f3 nada" in text and "persona" in text
            assert browser.evaluate(f"{widget}.shadowRoot.querySelectorAll('dd').length") == 4
            assert (
                browser.evaluate(f"getComputedStyle({widget}.shadowRoot.querySelector('.box')).borderStyle") == "solid"
            )
        else:
            assert report is None and text == "No se pudo contactar con el servicio."
        asked = [
            e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"
        ]
        assert asked and all(url.startswith((site, news.origin)) for url in asked)
        if shots():
            browser.screenshot(shots() / f"widget-{named}.png")
