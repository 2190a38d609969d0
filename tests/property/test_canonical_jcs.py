"""Under the allowed profile our canonical JSON is RFC 8785 (checked against ``rfc8785``); reading it back is exact."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import rfc8785
from hypothesis import given, settings

from gensafe.audit.reader import decode_leaf
from gensafe.core.canonical import MAX_INT, canonical_json

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
keys = st.text(st.characters(max_codepoint=127, exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | text
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


@settings(max_examples=300)
@given(values)
def test_canonical_json_is_jcs(value: object):
    assert canonical_json(value) == rfc8785.dumps(value)
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(keys, values, max_size=5), st.integers(0, 2**40), st.integers(0, 2**45))
def test_a_leaf_spliced_by_the_sequencer_is_canonical_too(entry: dict[str, object], index: int, time_ms: int):
    data = b'{"entry":%b,"index":%d,"time_ms":%d}' % (canonical_json(entry), index, time_ms)
    assert data == rfc8785.dumps({"entry": entry, "index": index, "time_ms": time_ms})
    assert decode_leaf(data, index).entry == entry
