"""Block lists are read whole or refused by line.

On the code before, every row that one regular expression did not match was skipped: a list whose first hash stood after
a byte order mark, "pdq", a tab or 0x was loaded without it, and a listed picture came through.
"""

from __future__ import annotations

import json

import pytest

from gensafe.core.errors import ConfigError
from gensafe.safety.classifiers import audio_hashlist, image_hashlist, video_hashlist
from gensafe.safety.signals.hashlist import read_lists
from gensafe.safety.signals.print_lists import read_audio_lists, read_video_lists

A = "1ef37a4f479b8d94b414a0705c4dabb916036502782e3b5537e7be4b590cb8ad"
B = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6339c9c2ab7f1"


def listed(tmp_path, content: str | bytes) -> list[str]:
    path = tmp_path / "list.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [e.digest.hex() for e in read_lists(str(path))]


@pytest.mark.parametrize(
    "row",
    [
        A,
        A.upper(),
        f"pdq {A}",
        f"PDQ: {A}",
        f"{A}:holiday.jpg",
        f"holiday.jpg\t{A}",
        f"{A}\t31",
        f"{A},31",
        f"{A};x;100",
        f"0x{A}",
        f"0X{A.upper()}",
        f"  {A}  ",
        f'"{A}","a name, with a comma"',
        f"{A} # why",
        f"{A}#why",
        f"{A} | x",
        f"\ufeff{A}",
        f"\u200b{A}",
        f"{A}\u00a0x",
        f"a b c {A}",
        f"d41d8cd98f00b204e9800998ecf8427e,{A}",
        f"<{A}>",
        json.dumps({"indicator": A}),
        json.dumps({"type": "HASH_PDQ", "hash": A.upper()}),
        json.dumps({"value": f"0x{A}"}),
        json.dumps({"type": "pdq", "indicator": A, "id": 7}),
        json.dumps({"indicator": {"indicator": A, "type": "HASH_PDQ"}}),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_usual_forms_are_read(tmp_path, row: str, ending: str):
    assert listed(tmp_path, f"# a list{ending}{ending}{row}{ending}{B}{ending}") == [A, B]
    assert listed(tmp_path, b"\xef\xbb\xbf" + f"{row}{ending}{B}".encode()) == [A, B]


@pytest.mark.parametrize("head", ["hash,id", "id;PDQ_hash;quality", "name\tindicator"])
def test_a_heading_is_no_row(tmp_path, head: str):
    assert listed(tmp_path, f"{head}\n{A},1\n{B},2\n") == [A, B]
    with pytest.raises(ConfigError, match="line 2"):
        listed(tmp_path, f"{A},1\n{head}\n{B},2\n")


def test_json_documents(tmp_path):
    assert listed(tmp_path, json.dumps([A, {"indicator": B}])) == [A, B]
    assert listed(tmp_path, json.dumps({"data": [{"indicator": A}, {"indicator": B}], "paging": {}}, indent=1)) == [
        A,
        B,
    ]
    assert listed(tmp_path, "\n" + json.dumps({"indicator": A}) + "\n\n" + B) == [A, B]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (A[:-1], "63 hex digits"),
        (A + "0", "65 hex digits"),
        ("d41d8cd98f00b204e9800998ecf8427e", "32 hex digits (as of MD5)"),
        ("holiday.jpg", "'holiday.jpg'"),
        (A[:-1] + "g", "64 characters that are not all hex digits"),
        (f"{A} {B[:-1]}", "63"),
        (A[:32] + " " + A[32:], "32 hex digits"),
        ("pdq", "'pdq'"),
        ("https://example.com/list", "not a PDQ hash"),
        ("{", "not a JSON object"),
        ("{}", 'no "indicator"'),
        ('{"indicator": "12"}', "'12'"),
        ('{"indicator": 12}', "no"),
        ('{"type": "HASH_MD5", "indicator": "00"}', "HASH_MD5 is read by no filter"),
        ("[]", "not a PDQ hash"),
        ("\uff11" * 64, "not all hex digits"),
    ],
)
def test_a_row_that_is_not_understood_is_refused_by_its_number(tmp_path, row: str, says: str):
    with pytest.raises(ConfigError) as refused:
        listed(tmp_path, f"{B}\n# fine\n{row}\n{B}\n")
    assert "line 3" in str(refused.value) and says in str(refused.value)
    assert refused.value.field == "lists"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([A, 7], "entry 2"),
        ([A, {"id": 1}], "entry 2"),
        ({"data": A}, "not a list"),
        ({"hashes": [A]}, "entry 1"),
        ([A, {"type": "HASH_SHA256", "indicator": B}], "entry 2"),
        ([A, A[:-1]], "entry 2"),
    ],
)
def test_json_entries_are_refused_by_their_number(tmp_path, document, says: str):
    with pytest.raises(ConfigError, match=says):
        listed(tmp_path, json.dumps(document))


@pytest.mark.parametrize("create", [image_hashlist.create, audio_hashlist.create, video_hashlist.create])
@pytest.mark.parametrize("content", ["", "\n\n", "# nothing yet\n", "[]", '{"data": []}', "\ufeff"])
def test_a_list_without_entries_is_refused(tmp_path, create, content: str):
    path = tmp_path / "empty.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="no entry of type"):
        create({"lists": f"cse={path}"})


@pytest.mark.parametrize("read", [read_lists, read_audio_lists, read_video_lists])
def test_every_reader_refuses_a_bad_row_of_any_kind(tmp_path, read):
    rows = {"HASH_PDQ": A, "HASH_AUDIO": "00112233", "HASH_VPDQ": f"{A} {B}"}
    good = [json.dumps({"type": k, "indicator": v}) for k, v in rows.items()]
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(good))
    assert len(read(str(path))) == 1
    for bad in ("7", '"x"', '{"type": "HASH_TMK", "indicator": "00"}', '{"indicator": "no"}', "no hash"):
        path.write_text("\n".join([*good, bad]))
        with pytest.raises(ConfigError, match="line 4"):
            read(str(path))
