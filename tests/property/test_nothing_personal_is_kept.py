"""Whatever a caller writes into a request, none of it stands in what cannot be erased: log, manifests, clear copies."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gensafe.core.config import Config, GenerationConfig, SafetyConfig
from gensafe.core.errors import GensafeError, InvalidRequest
from gensafe.core.types import GenerationRequest, InputMedia, Modality, RequestKey
from gensafe.pipeline import CallControl, Released, open_chain, run
from gensafe.pipeline.admit import _request_digest, writable_types
from gensafe.pipeline.orders import carry_out_orders
from gensafe.registry import OrderKind

WHO = "Zoe-Quux-1979"  # stands in every hostile string, in one of the cases below
POLICY = """
[classifiers]
text = ["text_rules"]
image = ["image_signal"]
[default]
review = 1.01
block = 1.01
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("personal")
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    config = Config(
        data_dir=str(folder / "data"),
        generation=GenerationConfig(backend="simulator"),
        safety=SafetyConfig(policy=str(policy)),
    )
    with open_chain(config) as opened:
        yield opened


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (120, 80, 40)).save(out, "PNG")
    return out.getvalue()


def ask(chain, **fields) -> Released | None:
    values = {"request_id": str(uuid.uuid4()), "prompt": "a garden", "modality": Modality.TEXT, "max_tokens": 20}
    last = None
    try:
        for event in run(chain, GenerationRequest(**(values | fields)), CallControl()):
            last = event
    except GensafeError:
        return None
    return last if isinstance(last, Released) else None


def permanent(chain, released: Released | None) -> bytes:
    """Everything that stays when a tenant is erased, as bytes, in lower case."""
    found = [json.dumps(e.entry, ensure_ascii=False).encode() for e in chain.log.entries()]
    if released is not None:
        found.append(released.recorded.signed.manifest.data)
        found.append(released.recorded.signed.data)
    found += [p.read_bytes() for p in (Path(chain.config.data_dir) / "registry" / "blobs").rglob("*") if p.is_file()]
    return b"\n".join(found).lower()


HOSTILE = st.builds(
    lambda before, after: before + WHO + after,
    st.sampled_from(
        ["", "image/png; owner=", "image/png;", "text/plain; charset=", "text/plain; ", "../", "=cmd|", "eu "]
    ),
    st.text(max_size=30) | st.sampled_from([".png", "‮", "\0", "<script>", ' "', "x" * 5000]),
)
FIELDS = ("prompt", "model", "media_type", "label_profile", "request_id", "input name", "input type", "subject")


@pytest.mark.parametrize("field", FIELDS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=HOSTILE, modality=st.sampled_from([Modality.TEXT, Modality.IMAGE]))
def test_no_field_of_a_request_reaches_what_cannot_be_erased(chain, field, text, modality):
    """The review saw: media_type "image/png; owner=..." in the log; an input's name in manifest, file and blob."""
    fields: dict = {"modality": modality}
    if field == "input name":
        fields["inputs"] = (InputMedia(png(), "image/png", text),)
    elif field == "input type":
        fields["inputs"] = (InputMedia(png(), text, ""),)
    else:
        fields[field] = text
    released = ask(chain, **fields)
    if field == "input name" or (field == "subject" and len(text) <= 512):
        assert released is not None  # a name is no reason to refuse
    assert WHO.lower().encode() not in permanent(chain, released)


def test_inputs_are_named_by_their_place(chain):
    released = ask(chain, modality=Modality.IMAGE, inputs=(InputMedia(png(), "image/png", "John Doe passport.png"),))
    assert b"input 1" in released.recorded.signed.manifest.data
    assert b"John Doe" not in released.recorded.signed.data


@pytest.mark.parametrize("kind", ["image/png; owner=John", "image/png;", "IMAGE/PNG", "image/png ", "video/mp4"])
def test_a_media_type_is_one_of_a_closed_list(chain, kind):
    request = GenerationRequest(str(uuid.uuid4()), "a garden", Modality.IMAGE, media_type=kind)
    with pytest.raises(InvalidRequest, match=r"^media_type.*exactly one of: image/png"):
        list(run(chain, request, CallControl()))
    assert "video/mp4; codecs=avc1" in writable_types(Modality.VIDEO)


@pytest.mark.parametrize("kind", ["image/png; owner=John", "image/png;x", "image/png; charset=utf-8; name=a"])
def test_an_inputs_type_carries_only_known_parameters(chain, kind):
    inputs = (InputMedia(png(), kind, ""),)
    request = GenerationRequest(str(uuid.uuid4()), "a garden", Modality.IMAGE, inputs=inputs)
    with pytest.raises(InvalidRequest, match=r"inputs\[0\].media_type.*charset, codecs"):
        list(run(chain, request, CallControl()))


@pytest.mark.parametrize("text", ["not a uuid", "urn:uuid:" + str(uuid.UUID(int=7)), "{" + str(uuid.UUID(int=7)) + "}"])
def test_a_request_id_is_a_plain_uuid(chain, text):
    with pytest.raises(InvalidRequest, match="request_id"):
        list(run(chain, GenerationRequest(text, "a garden", Modality.TEXT), CallControl()))


def test_a_kept_digest_of_a_request_cannot_be_guessed(chain):
    """Before: the registry kept a plain SHA-256 of the request, against which short prompts can be tried."""
    first = ask(chain, request_id=(request := str(uuid.uuid4())), prompt="yes", seed=1)
    key = RequestKey("local", request)
    kept = chain.registry.intent(key)
    assert kept.request_digest.startswith("hmac-sha256:")
    wanted = GenerationRequest(request, "yes", Modality.TEXT, max_tokens=20, seed=1)
    plain = _request_digest(wanted, ())
    assert plain.startswith("sha256:") and plain.encode() not in registry_bytes(chain)
    assert ask(chain, request_id=request, prompt="yes", seed=1).replayed
    chain.registry.restore_intent(replace(kept, request_digest=plain))  # as an older version left it
    again = ask(chain, request_id=request, prompt="yes", seed=1)
    assert again.replayed and again.recorded.log_index == first.recorded.log_index
    assert ask(chain, request_id=request, prompt="no", seed=1) is None  # another request


def test_a_legal_holds_name_stays_out_of_the_log(chain, capsys):
    """Before: the operator's own words, "jane-doe-v-acme", stood in ``hold.set`` for good."""
    registry = chain.registry
    registry.orders.place(OrderKind.HOLD, {"hold_id": f"{WHO} v. Acme", "scope": "tenant:other"})
    registry.orders.place(OrderKind.LIFT, {"hold_id": f"{WHO} v. Acme"})
    carry_out_orders(registry, chain.log, chain.keys)
    placed, lifted = [e.entry for e in chain.log.entries() if e.entry["event"].startswith("hold.")][-2:]
    assert placed["hold_id"] == lifted["hold_id"] == registry.hold_name(f"{WHO} v. Acme")
    assert WHO.lower().encode() not in permanent(chain, None)
    assert WHO.encode() not in registry_bytes(chain)  # lifted: the name is gone from the orders too


def registry_bytes(chain) -> bytes:
    folder = Path(chain.config.data_dir) / "registry"
    chain.registry._db.truncate_journal()
    return b"".join(p.read_bytes() for p in folder.glob("registry.db*"))


def test_the_client_keeps_file_names_to_itself(tmp_path):
    from gensafe.client.messages import generate_request

    path = tmp_path / "John Doe passport 1979-04-02.png"
    path.write_bytes(png())
    assert b"John" not in generate_request("a garden", "image", inputs=[path]).SerializeToString()


def test_a_policy_change_that_cannot_be_logged_is_not_in_force(tmp_path):
    """Seen by the review: the switch came first, so the policy was in force and its change is not in the log (S10)."""
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    config = Config(
        data_dir=str(tmp_path / "data"),
        generation=GenerationConfig(backend="simulator"),
        safety=SafetyConfig(policy=str(path)),
    )
    broken: list[str] = []

    def changes() -> list:
        return [e.entry["new"] for e in chain.log.entries() if e.entry["event"] == "policy.changed"]

    with open_chain(config) as chain:
        store = chain.log._store
        real, old = store.commit, chain.policy.runner.policy.digest

        def commit(batch, fault):
            if broken:
                raise OSError(28, "No space left on device")
            return real(batch, fault)

        store.commit = commit
        assert chain.refresh_policy() is None
        path.write_text(POLICY.replace("1.01", "0.9"))
        broken.append("full")
        for _ in range(2):
            with pytest.raises(GensafeError):
                chain.refresh_policy()
            assert chain.policy.runner.policy.digest == old
        broken.clear()
        change = chain.refresh_policy()
        assert not change.refused
        assert changes() == [change.new_digest] == [chain.policy.runner.policy.digest]
        path.write_text("nonsense")
        refused = chain.refresh_policy()
        assert refused.refused and "TOML" in refused.error
        assert changes()[1:] == ["refused"]
        assert chain.policy.runner.policy.digest == change.new_digest
        assert chain.refresh_policy() is None
