"""The verify page and refusals in the reader's language: nothing left in English, nothing else changed."""

import html
import re

import httpx
import pytest

from gensafe import media
from gensafe.core.languages import LANGUAGES, words_of
from gensafe.core.types import Conclusion, Image, Outcome
from gensafe.media.transform import resize
from gensafe.server.http import create_app
from gensafe.server.http.layers import NAMES
from gensafe.server.http.page import Reader, form, result
from gensafe.verify import verify_bytes

OTHERS = [code for code in LANGUAGES if code != "en"]
# words that no other language here has, and no name in these files
ENGLISH = re.compile(r"\b(the|and|this|that|which|with|signed|found|unchanged|made|there|not|was made|layer)\b")


@pytest.fixture(scope="module")
def boxed(outputs):
    """An output with a box painted over, without its credentials."""
    pixels = media.decode(outputs["image"].data, "image/png").pixels.copy()
    pixels[116:140, 116:140] = 20
    return media.encode(Image(pixels), "image/png")


@pytest.fixture(scope="module")
def reports(outputs, deployment, boxed):
    data = outputs["image"].data
    copy = media.encode(resize(media.decode(data, "image/png"), 0.75), "image/jpeg", quality=80)
    cut = data[: len(data) // 2]
    files = {"a.png": data, "b.jpg": copy, "c.png": cut, "d.bin": b"\0\1junk", "e.txt": b"some words", "f.png": boxed}
    return [verify_bytes(content, name=name, context=deployment.context) for name, content in files.items()]


def seen(page):
    """The text of a page as a person reads it, without what comes from files and without the names of languages."""
    page = re.sub(r'<nav.*?</nav>|<p class="file">.*?</p>', " ", page, flags=re.S)
    attributes = " ".join(re.findall(r'(?:aria-label|data-several|data-checking|alt)="([^"]*)"', page))
    return html.unescape(re.sub(r"<[^>]*>", " ", page) + " " + attributes)


@pytest.mark.parametrize("code", OTHERS)
def test_no_english_is_left_on_the_page(reports, code):
    reader = Reader(words_of(code), named=True, links=True)
    for page in [form("choose a file first", reader), *(result(report, reader) for report in reports)]:
        assert f'<html lang="{code}" dir="{"rtl" if code == "ar" else "ltr"}">' in page
        assert f'action="/verify?lang={code}"' in page
        assert not ENGLISH.findall(seen(page)), ENGLISH.findall(seen(page))


def test_the_english_page_says_what_the_report_says(reports):
    assert {r.conclusion.value for r in reports} >= {"proved", "derived", "unreadable"}
    for report in reports:
        page = html.unescape(result(report))
        assert ENGLISH.findall(seen(page)) and report.explanation[:200] in page
        assert all(check.summary[:200] in page for check in report.checks)


def test_the_owner_sees_the_changed_place_over_the_image(reports, boxed):
    report = next(r for r in reports if r.conclusion is Conclusion.ALTERED and r.name == "f.png")
    page = result(report, data=boxed)
    (box,) = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/>', page)
    left, top, width, height = map(float, box)  # % of the picture; the box is at 45 to 55
    assert left <= 46 and top <= 46 and left + width >= 54 and top + height >= 54 and width < 25
    assert 'src="data:image/png;base64,' in page and "Where it was changed" in page
    assert all("Where it was changed" not in result(r) for r in reports if r.conclusion is not Conclusion.ALTERED)


def test_every_line_has_a_name_in_the_catalogues(reports):
    assert {check.name for report in reports for check in report.checks} <= set(NAMES)
    assert any(check.outcome is Outcome.FAIL for report in reports for check in report.checks)


@pytest.mark.asyncio
async def test_the_browser_and_the_parameter_choose(deployment):
    transport = httpx.ASGITransport(app=create_app(deployment.context, per_minute=0))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        asked = {"accept-language": "pl,en;q=0.5"}
        page = await client.get("/verify", headers=asked)
        assert "Sprawdź plik" in page.text and 'action="/verify"' in page.text
        assert page.headers["vary"] == "Accept-Language"
        page = await client.get("/verify?lang=ar", headers=asked)
        assert 'dir="rtl"' in page.text and "التحقق من ملف" in page.text
        page = await client.post("/verify?lang=de", files={"file": ("x.bin", b"\0\1junk")}, headers=asked)
        assert "Diese Datei konnte nicht gelesen werden" in page.text and 'action="/verify?lang=de"' in page.text
        page = await client.post("/verify?lang=de", files={"other": ("x", b"text")})
        assert page.status_code == 400 and "wählen Sie zuerst eine Datei" in page.text
        program = await client.post("/verify?lang=de", content=b"\0\1junk", headers={"accept": "application/json"})
        assert program.json()["conclusion"] == "unreadable" and "damaged" in program.json()["explanation"]
