"""Ids, digests, commitments, canonical JSON, the exception tree and plugin loading."""

import math

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gensafe.core import errors, ids, plugins
from gensafe.core.canonical import MAX_INT, canonical_json
from gensafe.core.clock import FixedClock, iso
from gensafe.core.digest import commit, digest_json, sha256
from gensafe.core.hazards import CATEGORIES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no fault
@given(JSON)
def test_canonical_json_is_rfc_8785(value):
    assert canonical_json(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [1.5, math.nan, {1: 2}, {"ä": 1}, b"x", {"a": {1, 2}}, [object()]])
def test_outside_the_profile_is_refused(value):
    with pytest.raises(TypeError):
        canonical_json(value)


def test_large_integers_are_refused():
    with pytest.raises(ValueError, match="integer"):
        canonical_json({"a": MAX_INT + 1})


@given(st.integers(1, 2**52 - 1), st.integers(0, 15))
def test_payload_round_trip(record_id, epoch):
    assert ids.unpack_payload(ids.pack_payload(record_id, epoch)) == (record_id, epoch)
    assert ids.parse_record_id(ids.record_id_text(record_id)) == record_id


@pytest.mark.parametrize("text", ["", "0" * 12, "0" * 14, "A" * 13, "g" * 13, "０" * 13])
def test_bad_record_ids(text):
    with pytest.raises(errors.InvalidRequest):
        ids.parse_record_id(text)


def test_record_ids_fit_and_differ():
    drawn = {ids.new_record_id() for _ in range(1000)}
    assert len(drawn) == 1000
    assert all(0 < i < 2**52 for i in drawn)


def test_request_ids_are_uuids():
    assert ids.check_request_id("{0F0E0D0C-0B0A-0908-0706-050403020100}") == "0f0e0d0c-0b0a-0908-0706-050403020100"
    with pytest.raises(errors.InvalidRequest) as caught:
        ids.check_request_id("42")
    assert caught.value.field == "request_id"


def test_commitments_need_their_key():
    key, other = b"k" * 32, b"o" * 32
    assert commit(key, b"prompt") == commit(key, b"prompt") != commit(other, b"prompt")
    assert sha256(b"prompt").removeprefix("sha256:") not in commit(key, b"prompt")
    with pytest.raises(ValueError, match="32"):
        commit(b"short", b"prompt")


def test_digest_of_json_ignores_order():
    assert digest_json({"a": 1, "b": [True, None]}) == digest_json({"b": [True, None], "a": 1})


def test_every_error_is_in_the_drawn_tree():
    drawn = errors.__doc__
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.GensafeError)]
    assert len(kinds) > 30
    missing = [k.__name__ for k in kinds if k.__name__ not in drawn]
    assert not missing
    assert all(k.reason.isupper() for k in kinds)


def test_errors_read_as_a_sentence():
    assert (
        str(errors.InvalidRequest("is empty", field="prompt", fix="say something"))
        == "prompt: is empty (say something)"
    )


def test_categories_have_names():
    assert CATEGORIES["hte"] == "hate"
    assert all(len(code) == 3 for code in CATEGORIES)


def test_clock():
    clock = FixedClock(0)
    clock.advance(1500)
    assert iso(clock.now_ms()) == "1970-01-01T00:00:01.500Z"


def test_plugins_are_listed_and_loaded_by_name():
    names = {p.name for p in plugins.list_plugins("gensafe.backends")}
    assert {"symphony", "simulator"} <= names
    assert plugins.load("gensafe.backends", "simulator").name == "simulator"
    with pytest.raises(errors.PluginError, match="symphony"):
        plugins.load("gensafe.backends", "absent")
