"""Requests of the OpenAI-compatible front are read strictly: a value of the right type, or a refusal by name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensafe.core.errors import InvalidRequest
from gensafe.core.hazards import CATEGORIES
from gensafe.server.http.openai.fields import MAX_NUMBER, Fields, parse_object
from gensafe.server.http.openai.messages import from_data_url, read_conversation
from gensafe.server.http.openai.moderations import TABLE
from gensafe.server.http.openai.wishes import read_format, read_size

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(reader):
    """What was read, and the name that a refusal gave."""
    try:
        return reader(), None
    except InvalidRequest as error:
        return None, error.field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"1",
        b"null",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"[" * 200_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        rb'{"a": "\ud800"}',
        rb'{"\udfff": 1}',
        rb'{"a": [{"b": ["\udc00"]}]}',
    ],
)
def test_what_is_no_request_is_refused(body):
    with pytest.raises(InvalidRequest):
        parse_object(body)


def test_pairs_of_escapes_are_whole_characters():
    assert parse_object(rb'{"a": "\ud83d\ude00"}').text("a") == "\U0001f600"


@given(value=ANY)
def test_readers_return_their_type_or_refuse(value):
    for reader, kinds in (("text", str), ("number", int | float), ("integer", int), ("flag", bool), ("table", Fields)):
        found, refused = read(lambda reader=reader: getattr(Fields({"a": value}), reader)("a"))
        assert refused in (None, "a")
        assert found is None or isinstance(found, kinds)
        assert reader == "flag" or not isinstance(found, bool)


@given(value=ANY)
def test_any_conversation_is_read_or_refused(value):
    for items in (value, [value], [{"role": "user", "content": value}], [{"role": "user", "content": [value]}]):
        found, refused = read(lambda items=items: read_conversation(json.loads(json.dumps(items))))
        assert refused.startswith("messages") if found is None else isinstance(found.prompt, str)


def test_numbers_too_large_for_a_float():
    for reader in ("number", "integer"):
        with pytest.raises(InvalidRequest):
            getattr(Fields({"a": 10**400}), reader)("a")
    assert Fields({"a": 5.0}).integer("a") == 5 and Fields({"a": MAX_NUMBER}).integer("a") == MAX_NUMBER
    with pytest.raises(InvalidRequest):
        Fields({"a": "1e9999999999"}, form=True).integer("a")


def test_what_nobody_read_is_refused_and_null_is_absent():
    fields = Fields({"a": None, "tools": [], "b": 1})
    fields.refuse("no", tools=([],))
    assert fields.text("a") == ""
    with pytest.raises(InvalidRequest) as caught:
        fields.end()
    assert caught.value.field == "b"
    with pytest.raises(InvalidRequest):
        Fields({"n": True}).refuse("no", n=(1,))  # True == 1 in Python, not in JSON


def test_conversation():
    found = read_conversation(
        [
            {"role": "system", "content": "one"},
            {"role": "developer", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "yes"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                ],
            },
        ]
    )
    assert found.prompt == "look" and [m.text for m in found.messages] == ["one\n\ntwo", "hello", "yes"]
    assert [one.media_type for one in found.inputs] == ["image/png", "audio/wav"]
    with pytest.raises(InvalidRequest, match="last message"):
        read_conversation([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    with pytest.raises(InvalidRequest) as caught:
        read_conversation([{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}])
    assert caught.value.field == "messages[0].tool_calls"


@pytest.mark.parametrize(
    "url",
    [
        "http://a/b.png",
        "file:///etc/passwd",
        "data:",
        "data:image/png,xx",
        "data:;base64,AA==",
        "data:image/png;base64,*",
    ],
)
def test_only_whole_data_urls_are_read(url):
    with pytest.raises(InvalidRequest) as caught:
        from_data_url(url, "image_url")
    assert caught.value.field == "image_url"


def test_sizes_and_formats():
    assert read_size(Fields({"size": "640x480"})) == (640, 480) and read_size(Fields({})) == (None, None)
    for size in ("0x1", "640", "640x480x2", "640X480", "-1x5", "640x480\n"):
        with pytest.raises(InvalidRequest):
            read_size(Fields({"size": size}))
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}
    assert json.loads(read_format(Fields(schema), nested=True)) == {"type": "array"}
    assert read_format(Fields({"type": "text"}), nested=True) == "" == read_format(None, nested=False)


def test_moderation_table_names_categories_that_exist():
    assert {ours for row in TABLE.values() for ours in row} <= set(CATEGORIES)
