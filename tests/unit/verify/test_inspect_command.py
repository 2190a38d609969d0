"""``gensafe inspect``: everything in the file, no verdict, and nothing in it steers a terminal."""

import json
import struct
import zlib

import pytest

from gensafe import media
from gensafe.cli import main


@pytest.fixture
def signed(outputs, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(outputs["image"].data)
    return path


def test_the_whole_manifest_is_shown(signed, outputs, capsys):
    assert main(["inspect", str(signed)]) == 0
    out = capsys.readouterr().out
    for word in (
        outputs["image"].manifest.label,
        outputs["image"].manifest.signer_fingerprint,
        "CN=GenSafe development signer",
        "c2pa.actions",
        "trainedAlgorithmicMedia",
        "c2pa.hash.data",
        "time stamp:",
        "org.gensafe",
    ):
        assert word in out, word
    assert "proved" not in out.lower() and "trusted list" not in out


def test_json_has_the_whole_store(signed, outputs, capsys):
    assert main(["inspect", str(signed), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["media_type"] == "image/png" and found["container"]["state"] == "ok"
    assert outputs["image"].manifest.label in found["manifest"]["raw"]["manifests"]
    assert found["manifest"]["crjson"] and found["manifest"]["time_stamp"]["time"]
    assert not {"conclusion", "exit_code"} & set(found) and not {"state", "trust_list"} & set(found["manifest"])


def test_container_notes_are_shown(signed, capsys):
    signed.write_bytes("a few words".encode("utf-16"))
    assert main(["inspect", str(signed)]) == 0
    assert "the text is in UTF-16" in capsys.readouterr().out


def test_labels_are_shown_as_they_stand(tmp_path, picture_of, capsys):
    data = media.encode(picture_of(), "image/png")
    packet = (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        + (
            b"<rdf:Description rdf:about='' xmlns:Iptc4xmpExt='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' "
            b"Iptc4xmpExt:DigitalSourceType='http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia'/>"
            b"</rdf:RDF></x:xmpmeta>"
        )
    )
    body = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path = tmp_path / "labelled.png"
    path.write_bytes(data[:33] + chunk + data[33:])  # behind IHDR
    assert main(["inspect", str(path)]) == 0
    assert "DigitalSourceType: http://cv.iptc.org" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 2
    assert "| labelled as made by AI, which anyone can write |" in capsys.readouterr().out


def test_what_cannot_be_read_is_3_with_one_line(tmp_path, capsys):
    junk = tmp_path / "junk.bin"
    junk.write_bytes(b"\x00\x01junk")
    assert main(["inspect", str(junk)]) == 3
    assert "unrecognised file type" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "none")]) == 3
    assert capsys.readouterr().err.count("\n") == 1
