"""Credentials of inputs and of engines' answers go on into the output.

Before, an input was named by its digest only and its manifest was dropped, an edit was recorded as a creation, an
engine's own manifest was destroyed when its answer was decoded, and the report counted all of that as kept.
"""

import base64
import io
import json
import uuid
from dataclasses import replace

import c2pa
import numpy as np
import pytest
from PIL import Image as Pillow

from gensafe.compliance.evidence import collect
from gensafe.core.config import Config, EngineConfig, SafetyConfig
from gensafe.core.errors import ConfigError, CredentialsLost
from gensafe.core.types import Answer, Conclusion, Draft, Fate, GenerationRecord, Image, InputMedia, Modality
from gensafe.core.types import GenerationRequest as Request
from gensafe.engines.wire import event_in, event_out
from gensafe.pipeline import CallControl, Released, open_chain, run
from gensafe.pipeline.held import pack, unpack
from gensafe.pipeline.sources import find_sources
from gensafe.provenance import TrustStore, read_asset, sign_asset
from gensafe.provenance.sources import MAX_CARRIED_BYTES, read_contained, read_source
from gensafe.provenance.types import ManifestState
from gensafe.safety.policy import parse_policy
from gensafe.verify import open_context, verify_bytes
from gensafe.verify.render import report_text
from tests.contract.openai_engine import Answer as Says
from tests.contract.openai_engine import running

POLICY = """
id = "sources"
mode = "monitor"  # the smallest real files are plain pictures, which the default would hold
[classifiers]
text = ["text_rules"]
image = ["image_signal"]
audio = ["audio_signal"]
video = ["video_signal"]
"""
KINDS = {
    "image/png": Modality.IMAGE,
    "image/jpeg": Modality.IMAGE,
    "audio/mpeg": Modality.AUDIO,
    "video/mp4": Modality.VIDEO,
}


@pytest.fixture(scope="module")
def engine():
    """A remote engine on a real socket."""
    with running() as running_engine:
        yield running_engine


@pytest.fixture(scope="module")
def chain(engine, tmp_path_factory):
    """A simulator, and a remote engine that answers with files."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "policy.toml").write_text(POLICY)
    remote = {"url": engine.url, "model": "remote", "outputs": "image,audio,video"}
    config = Config(
        data_dir=str(folder / "data"),
        safety=SafetyConfig(policy=str(folder / "policy.toml")),
        engines=(
            EngineConfig(backend="simulator", isolated=False),
            EngineConfig(backend="openai_http", options=remote, isolated=False),
        ),
    )
    with open_chain(config) as opened:
        yield opened


@pytest.fixture(scope="module")
def own(chain, samples):
    """A file per container, signed as this service signs."""
    tools, plain = chain.signing.tools(), samples.all_files()

    def sign(media_type):
        facts = samples.facts()
        return sign_asset(plain[media_type], media_type, facts, tools.signer, tools.time_stamper, tools.trust)[0]

    signed = {media_type: sign(media_type) for media_type in KINDS}
    return signed.__getitem__


def ask(chain, model, media_type, *inputs):
    files = tuple(InputMedia(data, kind) for data, kind in inputs)
    request = Request(
        str(uuid.uuid4()), "a red circle", KINDS[media_type], files, model=model, media_type=media_type, seed=7
    )
    *_, last = run(chain, request, CallControl())
    assert isinstance(last, Released)
    return last


def answers(engine, media_type, data):
    if media_type.startswith("image/"):
        said = json.dumps({"data": [{"b64_json": base64.b64encode(data).decode()}]}).encode()
        engine.says("POST /images/generations", Says(said, kind="application/json"))
    elif media_type.startswith("audio/"):
        engine.says("POST /audio/speech", Says(data, kind=media_type))
    else:
        done = json.dumps({"id": "v1", "status": "completed", "progress": 100}).encode()
        engine.says("POST /videos", Says(done, kind="application/json"))
        engine.says("GET /videos/v1/content", Says(data, kind=media_type))


def entry_of(chain, released):
    return chain.log.entry(released.recorded.log_index).entry


def foreign_reading(chain, data, media_type):
    """c2pa's own reader: (state, manifests, active manifest)."""
    anchors = chain.keys.trust_anchors().decode()
    settings = {"trust": {"trust_anchors": anchors}, "verify": {"remote_manifest_fetch": False}}
    with c2pa.Reader(media_type, io.BytesIO(data), context=c2pa.Context.from_dict(settings)) as reader:
        report = json.loads(reader.json())
        return reader.get_validation_state(), report["manifests"], report["manifests"][report["active_manifest"]]


def verified(chain, data):
    context = open_context(chain.keys, registry=chain.registry, log=chain.log, contained=False)
    return verify_bytes(data, name="x", context=context)


@pytest.mark.parametrize("media_type", KINDS)
def test_our_own_file_as_input_and_as_answer_keeps_both_manifests(chain, engine, own, media_type):
    earlier = own(media_type)
    label = read_asset(earlier, media_type, trust=chain.signing.trust()).label
    answers(engine, media_type, earlier)
    edited = ask(chain, "simulator", media_type, (earlier, media_type))
    relayed = ask(chain, "remote", media_type)
    for released, role in ((edited, "input 1"), (relayed, "answer")):
        data = released.recorded.signed.data
        state, manifests, active = foreign_reading(chain, data, media_type)
        assert state == "Trusted" and len(manifests) == 2 and label in manifests
        [parent] = [i for i in active["ingredients"] if i["relationship"] == "parentOf"]
        assert parent["active_manifest"] == label and not parent["validation_results"]["activeManifest"]["failure"]
        actions = [a["action"] for x in active["assertions"] if "actions" in x["label"] for a in x["data"]["actions"]]
        assert actions[:2] == ["c2pa.opened", "c2pa.edited"] and "c2pa.created" not in actions
        [source] = entry_of(chain, released)["sources"]
        assert (source["role"], source["state"], source["fate"]) == (role, "trusted", "kept")
        assert source["mark"].startswith("org.gensafe.") and source["mark_fate"] == Fate.TRANSFORMED
    report = verified(chain, edited.recorded.signed.data)
    assert report.conclusion is Conclusion.PROVED
    text = report_text(report)
    assert "└─ parentOf: input 1" in text and "[trusted] by GenSafe" in text


def test_several_inputs_are_components_and_other_media_went_into_it(chain, own):
    picture, sound = own("image/png"), own("audio/mpeg")
    plain = io.BytesIO()
    Pillow.new("RGB", (64, 64), "red").save(plain, "PNG")
    inputs = ((picture, "image/png"), (plain.getvalue(), "image/png"), (sound, "audio/mpeg"))
    released = ask(chain, "simulator", "image/png", *inputs)
    _, _, active = foreign_reading(chain, released.recorded.signed.data, "image/png")
    by = {i["title"]: i for i in active["ingredients"]}
    related = {title: item["relationship"] for title, item in by.items() if title.startswith("input")}
    assert related == {"input 1": "componentOf", "input 2": "componentOf", "input 3": "inputTo"}
    assert [bool(by[f"input {n}"].get("active_manifest")) for n in (1, 2, 3)] == [True, False, True]
    actions = [a["action"] for x in active["assertions"] if "actions" in x["label"] for a in x["data"]["actions"]]
    assert actions == ["c2pa.created", "c2pa.placed", "c2pa.watermarked.bound"]
    assert [s["role"] for s in entry_of(chain, released)["sources"]] == ["input 1", "input 3"]


def test_broken_and_strangers_credentials_are_recorded_as_such(chain, own, samples, tmp_path):
    broken = bytearray(own("image/jpeg"))
    broken[-40] ^= 1
    stranger, _ = samples.make_bench(tmp_path).sign(samples.image("PNG"), "image/png")
    for data, media_type, state in ((bytes(broken), "image/jpeg", "invalid"), (stranger, "image/png", "valid")):
        released = ask(chain, "simulator", media_type, (data, media_type))
        [source] = entry_of(chain, released)["sources"]
        assert (source["state"], source["fate"]) == (state, "kept")
        [item] = [
            i
            for i in read_asset(
                released.recorded.signed.data, media_type, trust=chain.signing.source_trust()
            ).ingredients
            if i.relationship == "parentOf"
        ]
        assert item.state is not ManifestState.TRUSTED and item.state.value == state
        assert ("broken" in report_text(verified(chain, released.recorded.signed.data))) == (state == "invalid")


def test_a_signer_whom_only_the_library_trusts_is_not_recorded_as_trusted(samples, tmp_path, judged_picture):
    """The library knows nothing of a certificate that was revoked here."""
    bench = samples.make_bench(tmp_path)
    data, manifest = bench.sign(samples.image("PNG"), "image/png")
    revoked = replace(bench.trust, revoked=frozenset((manifest.signer_fingerprint,)))
    found = find_sources(judged_picture(data), revoked, keep=False)
    assert found.fates[0].state == "invalid" and found.trust.signers == ()
    assert find_sources(judged_picture(data), bench.trust, keep=True).trust == bench.trust
    other = replace(samples.facts(), inputs=found.inputs)
    signer = samples.make_bench(tmp_path / "service")
    out, _ = sign_asset(
        samples.image("PNG", 2), "image/png", other, signer.ring.claim_signer(), None, signer.trust, found.trust
    )
    both = replace(signer.trust, signers=signer.trust.signers + bench.trust.signers)
    [item] = [i for i in read_asset(out, "image/png", trust=both).ingredients if i.relationship == "parentOf"]
    assert item.state is ManifestState.VALID  # not TRUSTED, although the library trusts it
    both = replace(both, revoked=revoked.revoked)
    [item] = [i for i in read_asset(out, "image/png", trust=both).ingredients if i.relationship == "parentOf"]
    assert item.state is ManifestState.INVALID


def test_what_cannot_be_carried_is_lost_with_its_reason_and_refused_where_policy_demands_it(
    samples, tmp_path, signed_text, judged_picture
):
    bench = samples.make_bench(tmp_path)
    signed, _ = bench.sign(samples.image("PNG"), "image/png")
    cases = {
        "text": (judged_picture(signed_text(bench)), "cannot be an ingredient"),
        "redacted": (judged_picture(None, Answer(signed, "parts of the content were removed")), "were removed"),
        "into text": (judged_picture(signed, modality=Modality.TEXT), "takes no ingredients"),
    }
    for name, (judged, why) in cases.items():
        found = find_sources(judged, bench.trust, keep=False)
        assert (found.fates[0].fate, why in found.fates[0].note) == (Fate.LOST, True), name
        assert all(item.data is None for item in found.inputs), name
        with pytest.raises(CredentialsLost, match=why):
            find_sources(judged, bench.trust, keep=True)
    assert find_sources(judged_picture(samples.image("PNG")), bench.trust, keep=True).fates == ()


def test_damage_is_unreadable_not_a_crash(samples, tmp_path):
    bench = samples.make_bench(tmp_path)
    signed, _ = bench.sign(samples.image("PNG"), "image/png")
    cut = signed[: signed.index(b"jumb") + 40]
    reading = read_contained(cut, bench.trust)
    assert reading is not None and reading.state in ("unreadable", "invalid") and reading.refusal
    assert read_source(samples.image("PNG"), TrustStore()) is None
    assert MAX_CARRIED_BYTES > 100 * len(bench.sign(samples.image("PNG"), "image/png")[1].data)


def test_the_policy_key_is_part_of_the_digest_and_checked():
    assert (
        parse_policy("keep_credentials = true").digest
        != parse_policy("").digest
        == parse_policy("keep_credentials = false").digest
    )
    with pytest.raises(ConfigError, match="true or false"):
        parse_policy('keep_credentials = "yes"')


def test_the_report_measures_what_was_kept(chain, own):
    ask(chain, "simulator", "image/png", (own("image/png"), "image/png"))
    share = collect(chain.log).inputs_kept
    assert share.of == share.met > 0
    from gensafe.compliance.evidence import Evidence, _sources

    measured = Evidence()
    _sources(measured, "1", {"inputs": ["sha256:0"]})
    _sources(measured, "2", {"inputs": ["sha256:0"], "sources": []})
    _sources(measured, "3", {"sources": [{"role": "answer", "fate": "lost", "note": "why"}]})
    assert (measured.inputs_kept.of, measured.inputs_kept.met) == (2, 0)
    assert measured.inputs_kept.exceptions[1] == "3: answer: why"


def test_a_held_output_and_an_engine_in_its_own_process_keep_the_files(samples, tmp_path, judged_picture):
    signed, _ = samples.make_bench(tmp_path).sign(samples.image("PNG"), "image/png")
    judged = judged_picture(signed, Answer(signed, "why"))
    again = unpack(pack(judged))
    assert again.admission.request.inputs[0].data == signed == again.draft.answer.data
    assert again.draft.answer.dropped == "why"
    plain = judged_picture(samples.image("PNG"))
    assert unpack(pack(plain)).admission.request.inputs[0].data == b""  # nothing in it that has to go on
    for answer in (None, Answer(signed), Answer(b"")):
        draft = replace(judged.draft, answer=answer)
        said, arrays = event_out(draft)
        assert event_in(json.loads(json.dumps(said)), arrays).answer == answer


@pytest.fixture
def judged_picture():
    """A judged draft of one input and one answer."""
    from gensafe.core.digest import sha256
    from gensafe.core.types import Action, Admission, GenerationJob, Judged, Stage, Verdict

    def make(data, answer=None, modality=Modality.IMAGE):
        inputs = () if data is None else (InputMedia(data, ""),)
        request = Request(str(uuid.uuid4()), "p", modality, inputs)
        verdict = Verdict(Stage.OUTPUT, modality, Action.ALLOW, (), (), (), "p", "sha256:0")
        job = GenerationJob("", modality, (), 0, 0)
        digests = tuple(sha256(item.data) for item in inputs)
        admission = Admission(request, job, 1, 0, verdict, "hmac-sha256:0", digests)
        record = GenerationRecord("b", "m", "1", "", 0, 0, "not marked")
        draft = Draft(Image(np.zeros((8, 8, 3), np.uint8)), record, answer=answer)
        return Judged(admission, draft, verdict)

    return make


@pytest.fixture
def signed_text(samples):
    """A text that carries its manifest in a wrapper."""
    return lambda bench: bench.sign(samples.TEXT.encode(), "text/plain")[0]
