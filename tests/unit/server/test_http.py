"""The verify page and the Soft Binding Resolution API over a real ASGI stack."""

import base64
import json

import httpx
import pytest

from gensafe import media
from gensafe.media.transform import resize
from gensafe.provenance import read_store
from gensafe.server.http import create_app
from gensafe.server.http.guard import HEADERS
from gensafe.server.quota import RateLimiter

NASTY = '<script>alert(1)</script>"\u202egnp.exe\x1b[31m=HYPERLINK("x")'


def client_for(context, **options):
    transport = httpx.ASGITransport(app=create_app(context, **{"per_minute": 0, **options}))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
def copy(outputs):
    content = media.decode(outputs["image"].data, "image/png")
    return media.encode(resize(content, 0.75), "image/jpeg", quality=80)


@pytest.mark.asyncio
async def test_page_is_strict_and_self_contained(deployment):
    async with client_for(deployment.context) as client:
        page = await client.get("/verify")
        assert page.status_code == 200
        for name, value in HEADERS.items():
            assert page.headers[name] == value
        assert "http://" not in page.text and "https://" not in page.text and "style=" not in page.text
        assert 'lang="en"' in page.text and "viewport" in page.text and '<label for="file">' in page.text
        for name in ("verify.css", "verify.js"):
            asset = await client.get(f"/static/{name}")
            assert asset.status_code == 200 and "http" not in asset.text.replace("http-equiv", "")
        assert (await client.get("/static/../app.py")).status_code == 404
        assert (await client.get("/static/app.py")).status_code == 404
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/")).headers["location"] == "/verify"


@pytest.mark.asyncio
async def test_upload_shows_the_verdict(deployment, outputs, copy):
    async with client_for(deployment.context) as client:
        for data, name, words in (
            (outputs["image"].data, "image.png", "Proved: unchanged since a trusted signer signed it"),
            (copy, "copy.jpg", "Made from an output of this service; not shown to be unchanged"),
            (b"\x00\x01junk", "junk.bin", "could not be read"),
        ):
            answer = await client.post("/verify", files={"file": (name, data)})
            assert answer.status_code == 200
            assert words in answer.text
            assert "What this does not prove" in answer.text


@pytest.mark.asyncio
async def test_json_for_programs_has_no_scores_and_no_names(deployment, copy):
    async with client_for(deployment.context) as client:
        answer = await client.post("/verify", content=copy, headers={"accept": "application/json"})
        report = answer.json()
        assert report["conclusion"] == "derived" and report["exit_code"] == 5
        text = json.dumps(report)
        for word in ("p_value", "similarity", "p \u2264", "prompt", "recordId", "difference"):
            assert word not in text
    async with client_for(deployment.context, public=False) as client:
        answer = await client.post("/verify", content=copy, headers={"accept": "application/json"})
        assert "p_value" in answer.text


@pytest.mark.asyncio
async def test_hostile_names_are_escaped(deployment, samples):
    data, _ = deployment.bench.sign(samples.image("PNG"), "image/png", title=NASTY, system_name=NASTY)
    async with client_for(deployment.context, public=False) as client:
        answer = await client.post("/verify", files={"file": ('x"><img src=x>.png', data)})
        assert "<script>alert" not in answer.text and "<img" not in answer.text
        assert "\u202e" not in answer.text and "\x1b" not in answer.text
        assert "&lt;script&gt;" in answer.text


@pytest.mark.asyncio
async def test_bad_uploads(deployment):
    async with client_for(deployment.context, max_bytes=1000) as client:
        assert (await client.post("/verify")).status_code == 400
        assert (await client.post("/verify", files={"other": ("x", b"text")})).status_code == 400
        assert (await client.post("/verify", files={"file": ("", b"")})).status_code == 400
        broken = {"content-type": "multipart/form-data; boundary=x"}
        assert (await client.post("/verify", content=b"--y garbage", headers=broken)).status_code == 400
        assert (await client.post("/verify", content=bytes(2000))).status_code == 413

        async def endless():
            for _ in range(50):
                yield bytes(100)

        assert (await client.post("/verify", content=endless())).status_code == 413
        assert (await client.delete("/verify")).status_code == 405


@pytest.mark.asyncio
async def test_rate_limit_is_per_client(deployment):
    async with client_for(deployment.context, per_minute=3) as client:
        codes = [(await client.post("/verify", content=b"text")).status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        refused = await client.post("/verify", content=b"x")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert (await client.get("/healthz")).status_code == 200


def test_bucket_refills_and_forgets():
    now = [0.0]
    limiter = RateLimiter(60, lambda: now[0])
    assert [limiter.admit("a") for _ in range(60)] == [0.0] * 60
    assert limiter.admit("a") > 0
    assert limiter.admit("b") == 0.0
    now[0] = 1.0
    assert limiter.admit("a") == 0.0
    for i in range(20_000):
        limiter.admit(str(i))
    assert len(limiter._buckets) <= 10_000


@pytest.mark.asyncio
async def test_discovery_and_services(deployment):
    async with client_for(deployment.context) as client:
        well_known = (await client.get("/.well-known/c2pa-soft-binding-resolution")).json()
        assert well_known["apiEndpoint"] == "/softbinding/v1" and well_known["c2paSpecificationVersion"] == "2.4.0"
        capabilities = (await client.get(well_known["capabilitiesEndpoint"])).json()
        assert "queryByContent" in capabilities["supportedCapabilities"]
        assert "storeManifests" not in capabilities["supportedCapabilities"]
        algorithms = (await client.get("/softbinding/v1/services/supportedAlgorithms")).json()
        assert algorithms["watermarks"] and all(a["alg"].startswith("org.gensafe.") for a in algorithms["watermarks"])
        assert (await client.get("/softbinding/v1/services/status")).json()["status"] == "ok"


@pytest.mark.asyncio
async def test_lost_manifest_is_recovered_over_the_api(deployment, outputs, copy):
    output = outputs["image"]
    async with client_for(deployment.context) as client:
        found = (await client.post("/softbinding/v1/matches/byContent", content=copy)).json()["matches"]
        assert found[0]["manifestId"] == output.manifest.label
        assert found[0]["similarityScore"] % 10 == 0
        manifest = await client.get(f"/softbinding/v1/manifests/{found[0]['manifestId']}")
        assert manifest.headers["content-type"] == "application/c2pa"
        assert manifest.content == output.manifest.data
        reading = read_store(manifest.content, deployment.context.trust)
        assert reading.state == "trusted"

    async with client_for(deployment.context, public=False) as client:
        alg = next(a for a in deployment.context.algorithms if "image" in a)
        value = base64.b64encode(output.record.watermark_payload).decode()
        by_get = await client.get("/softbinding/v1/matches/byBinding", params={"alg": alg, "value": value})
        by_post = await client.post("/softbinding/v1/matches/byBinding", json={"alg": alg, "value": value})
        assert by_get.json() == by_post.json() == {"matches": [{"manifestId": output.manifest.label}]}
        # A stranger who reads the signed file has only what stands in it.
        promised = reading.soft_bindings[0]
        as_written = await client.get(
            "/softbinding/v1/matches/byBinding", params={"alg": promised.alg, "value": promised.value}
        )
        assert as_written.json() == by_get.json()


@pytest.mark.asyncio
async def test_transplanted_mark_leads_nowhere(deployment, outputs, picture_of):
    from gensafe.core import ids, plugins
    from gensafe.core.types import Modality

    payload = ids.pack_payload(outputs["image"].record.record_id, 0)
    key = deployment.bench.ring.watermark_key(Modality.IMAGE)
    forged = plugins.load("gensafe.watermarks", "image").embed(picture_of(seed=50), payload, key)
    async with client_for(deployment.context) as client:
        answer = await client.post("/softbinding/v1/matches/byContent", content=media.encode(forged, "image/png"))
        assert answer.json() == {"matches": []}


@pytest.mark.asyncio
async def test_receipts_are_log_proofs(deployment, outputs):
    label = outputs["image"].manifest.label
    async with client_for(deployment.context) as client:
        receipt = (await client.get(f"/softbinding/v1/manifests/{label}/receipts")).json()
        assert receipt["verified"] is True
        proof = base64.b64decode(receipt["anchor"]["proof"]["value"])
        assert proof.startswith(b"c2sp.org/tlog-proof@v1")
        again = (await client.post(f"/softbinding/v1/manifests/{label}/receipts", json=receipt)).json()
        assert again["verified"] is True
        other = outputs["audio"].manifest.label
        wrong = (await client.post(f"/softbinding/v1/manifests/{other}/receipts", json=receipt)).json()
        assert wrong["verified"] is False and wrong["error"]
        for body in ({}, [], {"anchor": {"proof": {"alg": "x", "value": "y"}}}, {"anchor": 1}):
            assert (await client.post(f"/softbinding/v1/manifests/{label}/receipts", json=body)).status_code == 400


@pytest.mark.asyncio
async def test_errors_have_the_apis_shape(deployment):
    async with client_for(deployment.context) as client:
        for method, path, status in (
            ("GET", "/softbinding/v1/matches/byBinding", 400),
            ("GET", "/softbinding/v1/matches/byBinding?alg=x&value=!!", 400),
            ("GET", "/softbinding/v1/matches/byBinding?alg=x&value=AAAA&maxResults=0", 400),
            ("GET", "/softbinding/v1/matches/byBinding?alg=x&value=" + "A" * 4000, 414),
            ("POST", "/softbinding/v1/matches/byBinding", 400),
            ("POST", "/softbinding/v1/matches/byContent", 400),
            ("POST", "/softbinding/v1/matches/byReference", 403),
            ("POST", "/softbinding/v1/manifests", 403),
            ("PUT", "/softbinding/v1/bindings", 403),
            ("POST", "/softbinding/v1/bindings", 403),
            ("GET", "/softbinding/v1/manifests/urn:c2pa:none", 404),
            ("DELETE", "/softbinding/v1/manifests/urn:c2pa:none", 403),
            ("GET", "/softbinding/v1/manifests/urn:c2pa:none/receipts", 404),
        ):
            answer = await client.request(method, path)
            assert answer.status_code == status, (method, path, answer.status_code)
            assert isinstance(answer.json()["error"], str)
        assert (await client.get("/softbinding/v1/matches/byBinding?alg=x&value=AAAA")).json() == {"matches": []}
        assert (await client.post("/softbinding/v1/matches/byContent", content=b"%PDF-1.7 x")).status_code == 415
        assert (await client.post("/softbinding/v1/matches/byContent", content=b"\x00\xff")).status_code == 400


@pytest.mark.asyncio
async def test_every_described_operation_answers_as_described(deployment):
    async with client_for(deployment.context) as client:
        document = (await client.get("/softbinding/v1/openapi.json")).json()
        assert document["openapi"].startswith("3.0")
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for body in (b"", b"{}", b"[1]", b'{"alg": 1, "value": []}', b"\xff\xfe", b"[" * 5000):
                    url = "/softbinding/v1" + path.replace("{manifestId}", "urn:c2pa:x")
                    answer = await client.request(method, url, content=body)
                    assert str(answer.status_code) in operation["responses"], (method, path, answer.status_code)
                    assert answer.status_code < 500


@pytest.mark.asyncio
async def test_paths_of_before_lead_to_the_prefix(deployment, outputs):
    async with client_for(deployment.context) as client:
        moved = await client.get("/v1/matches/byBinding", params={"alg": "a/b", "value": "AAAA"})
        assert moved.status_code == 308
        assert moved.headers["location"] == "/softbinding/v1/matches/byBinding?alg=a%2Fb&value=AAAA"
        label = outputs["image"].record.manifest_label
        followed = await client.get(f"/v1/manifests/{label}", follow_redirects=True)
        assert followed.status_code == 200 and followed.headers["content-type"] == "application/c2pa"
        posted = await client.post("/v1/matches/byContent", content=outputs["image"].data, follow_redirects=True)
        assert posted.json()["matches"]


@pytest.mark.asyncio
async def test_the_page_begins_with_what_people_ask_first(deployment, outputs, copy):
    """Before: AI, signer and time were rows 9, 3 and 7, and a proof by a development key was said last."""
    async with client_for(deployment.context) as client:
        for data, facts in (
            (outputs["image"].data, ("made by AI (", "this installation", "unchanged since it was signed")),
            (copy, ("carries this service&#x27;s mark", "signed by nobody on your lists", "no trusted time")),
        ):
            shown = (await client.post("/verify", files={"file": ("f", data)})).text
            first = shown[: shown.index("<h2>Layers")]
            assert all(fact in first for fact in facts), first
        proved = (await client.post("/verify", files={"file": ("f", outputs["image"].data)})).text
        assert 'class="verdict open"' in proved and "development key" in proved[: proved.index("<dl>")]


@pytest.mark.asyncio
async def test_several_files_at_once_are_refused_in_words(deployment, copy):
    """Before: "choose a file first"."""
    async with client_for(deployment.context) as client:
        for count in (2, 5):
            files = [("file", (f"{n}.jpg", copy)) for n in range(count)]
            answer = await client.post("/verify", files=files)
            assert answer.status_code == 400 and "one file at a time" in answer.text
        nothing = await client.post("/verify", files={"file": ("x", b"")})
        assert nothing.status_code == 400 and "choose a file first" in nothing.text
