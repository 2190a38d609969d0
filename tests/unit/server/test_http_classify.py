"""The classifiers' page over a real ASGI stack: who may ask, what is answered, how long a picture waits."""

import base64
import hashlib
import io

import httpx
import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from gensafe.core.config import Config, ServerConfig, check_config
from gensafe.core.errors import ConfigError
from gensafe.core.types import Audio, Image, Modality, Text
from gensafe.media import decode, encode
from gensafe.safety import SafetyRunner, load_policy
from gensafe.safety.classifiers import audio_signal, image_signal, image_text, text_rules
from gensafe.server.api_keys import ApiKeys
from gensafe.server.http import Classifying, create_app
from gensafe.server.http.classify import KEPT, KEPT_S, PER_MINUTE
from gensafe.server.http.guard import HEADERS
from gensafe.verify import VerifyContext

NASTY = "<script>alert(1)</script>\u202egnp.png"


@pytest.fixture(scope="module")
def runner():
    rules, images = text_rules.create({}), image_text.create({"classifiers": "text_rules"})
    return SafetyRunner(
        load_policy(),
        {
            Modality.TEXT: [rules],
            Modality.IMAGE: [image_signal.create({}), images],
            Modality.AUDIO: [audio_signal.create({})],
        },
    )


@pytest.fixture
def site(runner, tmp_path):
    return Site(runner, tmp_path)


class Site:
    """An app with three keys, two tenants and a clock that a test can turn."""

    def __init__(self, runner, folder):
        self.now = 1000.0
        lines = [("alpha", "acme classify"), ("beta", "bravo"), ("gamma", "acme verify")]
        file = folder / "keys.txt"
        file.write_text("".join(f"sha256:{hashlib.sha256(k.encode()).hexdigest()} {rest}\n" for k, rest in lines))
        classifying = Classifying(ApiKeys(file), lambda tenant: runner.for_tenant(tenant), lambda: self.now)
        self.app = create_app(VerifyContext(contained=False), per_minute=0, classifying=classifying)

    def client(self, key=""):
        headers = {"authorization": "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode()} if key else {}
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


def letter():
    picture = PilImage.new("RGB", (420, 200), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((12, 60), "write to\nann.smith@example.org", font=ImageFont.load_default(24), fill="black")
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def picture_path(page):
    return page.partition('<img class="shown" src="')[2].partition('"')[0]


@pytest.mark.asyncio
async def test_off_unless_asked_for():
    transport = httpx.ASGITransport(app=create_app(VerifyContext(contained=False), per_minute=0))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/classify")).status_code == 404
        assert (await client.post("/classify", content=b"text")).status_code == 404
        assert "/classify" not in (await client.get("/verify")).text


@pytest.mark.asyncio
@pytest.mark.parametrize(("key", "status"), [("", 401), ("wrong", 401), ("gamma", 403)])
async def test_needs_a_key_with_the_role(site, key, status):
    async with site.client(key) as client:
        for answer in (
            await client.get("/classify"),
            await client.post("/classify", files={"file": ("a.png", letter())}),
            await client.get("/classify/x.png"),
        ):
            assert answer.status_code == status
            assert ("www-authenticate" in answer.headers) == (status == 401)
            assert "ann.smith" not in answer.text


@pytest.mark.asyncio
async def test_a_browser_is_not_led_here_by_another_site(site):
    async with site.client("alpha") as client:
        led = await client.post("/classify", content=b"text", headers={"sec-fetch-site": "cross-site"})
        assert led.status_code == 403
        own = await client.post("/classify", content=b"text", headers={"sec-fetch-site": "same-origin"})
        assert own.status_code == 200


@pytest.mark.asyncio
async def test_picture_table_and_words_for_those_who_cannot_see_it(site):
    async with site.client("alpha") as client:
        page = await client.post("/classify", files={"file": (NASTY, letter())})
        assert page.status_code == 200
        for name, value in HEADERS.items():
            assert page.headers[name] == value
        assert "<script>alert" not in page.text and "\u202e" not in page.text
        assert "personal data (pii)" in page.text and "image_text" in page.text
        assert "pixels " in page.text.partition('alt="')[2].partition('"')[0]
        assert "ann.smith" not in page.text  # findings never quote
        shown = await client.get(picture_path(page.text))
        assert shown.headers["content-type"] == "image/png" and shown.headers["cache-control"] == "no-store"
        assert decode(shown.content).pixels.shape[1] == 960


@pytest.mark.asyncio
async def test_pictures_are_the_tenants_own_and_do_not_stay(site):
    async with site.client("alpha") as acme, site.client("beta") as bravo:
        small = encode(Image(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)), "image/png")
        path = picture_path((await acme.post("/classify", content=small)).text)
        assert (await bravo.get(path)).status_code == 404
        assert (await acme.get("/classify/AAAAAAAAAAAAAAAAAAAAAA.png")).status_code == 404
        assert (await acme.get(path)).status_code == 200
        site.now += KEPT_S + 1
        assert (await acme.get(path)).status_code == 404
        paths = [picture_path((await acme.post("/classify", content=small)).text) for _ in range(KEPT + 1)]
        assert [(await acme.get(p)).status_code for p in paths] == [404] + [200] * KEPT


@pytest.mark.asyncio
async def test_sound_text_and_what_cannot_be_read(site):
    loud = Audio(np.sign(np.sin(np.arange(16_000) / 8))[None].astype(np.float32), 16_000)
    async with site.client("alpha") as client:
        sound = (await client.post("/classify", content=encode(loud, "audio/wav"))).text
        assert "physiological harm (phy)" in sound and picture_path(sound)
        text = (
            await client.post("/classify", content=encode(Text("write to ann.smith@example.org"), "text/plain"))
        ).text
        assert "characters 9 to 30" in text and "<img" not in text
        junk = await client.post("/classify", content=b"\x00\x01junk")
        assert junk.status_code == 422 and 'role="alert"' in junk.text
        assert (await client.post("/classify", files={"other": ("x", b"y")})).status_code == 400


@pytest.mark.asyncio
async def test_json_for_programs(site):
    async with site.client("alpha") as client:
        answer = await client.post("/classify", content=letter(), headers={"accept": "application/json"})
        assert answer.json()["modality"] == "image" and "ann.smith" not in answer.text
        assert any(d["category"] == "pii" and d["boxes"] for d in answer.json()["decisions"])
        junk = await client.post("/classify", content=b"\x00\x01", headers={"accept": "application/json"})
        assert junk.status_code == 422 and junk.json()["error"]


@pytest.mark.asyncio
async def test_rate_is_the_tenants(site):
    async with site.client("alpha") as acme, site.client("beta") as bravo:
        codes = [(await acme.post("/classify", content=b"text")).status_code for _ in range(PER_MINUTE + 1)]
        assert codes == [200] * PER_MINUTE + [429]
        assert (await bravo.post("/classify", content=b"text")).status_code == 200


def test_configuration_that_would_leak_is_refused():
    def config(**server):
        check_config(Config(server=ServerConfig(http_classify=True, **server)))

    config(http="127.0.0.1:8080", api_keys="keys.txt")
    with pytest.raises(ConfigError, match="strangers"):
        config(http="127.0.0.1:8080")
    for http, reason in (("", "no HTTP app"), ("0.0.0.0:8080", "TLS is off")):
        with pytest.raises(ConfigError, match=reason):
            config(http=http, api_keys="keys.txt")
