"""Every case of ``shared/cases`` gives its expected value through the command line: one row a command.

What was seen on the code before stands in each case's ``case.json`` ("got"). Siblings of the inputs, which are not in
that folder, are tried by the unit tests of the part concerned.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gensafe.cli import main
from gensafe.safety.policy import DEFAULT_POLICY

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
pytestmark = pytest.mark.shared
NOTHING, UNKNOWN = 2, 4  # nothing found; a signer that is not known here
ALLOW, HELD = 0, 2


def case(number: str) -> Path:
    """The folder of a case; the name only, where the folder is not present and the tests are skipped."""
    return next(CASES.glob(f"{number}-*"), CASES / number)


@dataclass(frozen=True)
class Row:
    """A command, its exit code, and what its output must and must not say. ``{}`` is the case's folder."""

    number: str
    line: str
    code: int
    says: str = ""
    never: str = "Traceback"


def verify(number: str, name: str, code: int, says: str = "", never: str = "Traceback") -> Row:
    return Row(number, f"verify {{}}/{name} --data-dir DATA", code, says, never)


def classify(number: str, name: str, code: int = ALLOW, says: str = "", never: str = "not examined") -> Row:
    return Row(number, f"classify {{}}/{name} --policy POLICY", code, says, never)


def trusted(number: str, name: str, code: int, says: str = "", never: str = "Traceback") -> Row:
    return Row(number, f"verify --verbose {{}}/{name} --data-dir DATA --trust-anchors {{}}/root.pem", code, says, never)


ROWS = [
    classify("01", "aud_plain.flac"),
    classify("01", "id3.flac"),
    # The key of the mark in these is not in the folder. What counts: the picture was looked at.
    trusted("02", "img_marked_exif.png", 0, "watermark", "could not be examined"),
    trusted("02", "img_marked_plain.png", 0, "watermark", "could not be examined"),
    verify("02", "marked_exif.png", NOTHING),
    verify("02", "marked_plain.png", NOTHING),
    *(verify("09", n, NOTHING) for n in ("webm_audio.webm",)),
    classify("09", "webm_audio.webm"),
    verify("10", "noeos_opus.ogg", NOTHING),
    classify("10", "noeos_opus.ogg"),
    *(verify("11", n, NOTHING) for n in ("tts_stream_7f.wav", "tts_stream_80.wav")),
    classify("12", "vfr_tiny.mp4"),
    classify("13", "black_on_transparent.png", HELD, "block"),
    classify("13", "white_on_transparent.png", HELD, "block"),
    classify("13", "white_on_transparent.webp", HELD, "block"),
    classify("13", "p_white.png", HELD, "block"),
    classify("14", "cam_flash.mp4"),
    *(verify("16", n, NOTHING) for n in ("itxt_big.png", "ztxt_big.png")),
    classify("16", "ztxt_big.png"),
    verify("17", "exif_garbage.png", NOTHING),
    classify("18", "mpo_stale.jpg", never="animation"),
    Row("22", "doctor --config {}/bom.toml --data-dir DATA", 0, "ok", "not valid TOML"),
    Row("22", "policy check {}/pbom.toml", 0),
    Row("22", "watermark embed BUSY OUT.png --payload 00112233445566 --key {}/kbom.txt", 0),
    # One picture, and too flat to be marked: that is what is said.
    Row("18", "watermark embed {}/mpo_stale.jpg OUT.jpg --payload 00112233445566 --key KEY", 1, "flat", "2 pictures"),
    trusted("24", "free_first.mp4", NOTHING),
    trusted("24", "styp_first.mp4", NOTHING),
    trusted("24", "junk_first.mp3", NOTHING),
    trusted("24", "notrailer.gif", NOTHING),
    trusted("24", "vid_free_first.mp4", 0),
    trusted("24", "img_big.tif", 0),
    trusted("24", "img_notrailer.gif", 0),
    Row("25", "generate a\udcff --modality image -o OUT.png --data-dir DATA", 64, "UTF-8"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What the capital words of a row are: a data folder, the built-in policy with time for a busy machine, ..."""
    folder = tmp_path_factory.mktemp("cases")
    patient = re.sub(r"(?m)^timeout_s = .*", "timeout_s = 300.0", DEFAULT_POLICY.read_text("utf-8"))
    (folder / "policy.toml").write_text(patient, "utf-8")
    (folder / "key").write_text("aa" * 32)
    words = ["generate", "a high beep", "--modality", "audio", "-o", str(folder / "own.flac")]
    made = main([*words, "--data-dir", str(folder / "data")])  # case 01; it also makes the data folder
    return {
        "MADE": made,
        "OWN": folder / "own.flac",
        "DATA": folder / "data",
        "POLICY": folder / "policy.toml",
        "KEY": folder / "key",
        "OUT": folder / "out",
        "BUSY": case("15") / "c.png",
    }


def arguments(row: Row, place) -> list[str]:
    words = []
    for word in row.line.split():
        name, dot, suffix = word.partition(".")
        words.append(f"{place[name]}{dot}{suffix}" if name in place else word.replace("{}", str(case(row.number))))
    return words


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.number}-{r.line.split(' --')[0].replace('{}/', '')}")
def test_the_command_gives_the_expected_value(row, place, capsys):
    code = main(arguments(row, place))
    said = "".join(capsys.readouterr())
    assert code == row.code, said
    assert re.search(row.says, said), said
    assert row.never not in said, said


# --- texts: each line of a file ------------------------------------------------------------------------------------

MISTYPED = "DE89370404400532013000"  # a line of case 23: two digits changed places, so ISO 13616 calls it no IBAN
TEXTS = {"05": (ALLOW, "allow"), "06": (ALLOW, "allow"), "07": (HELD, "review"), "23": (None, "personal data")}


@pytest.mark.parametrize("number", TEXTS)
def test_every_text_of_the_case_gets_the_expected_verdict(number, place, capsys):
    code, action = TEXTS[number]
    for line in (case(number) / "texts.txt").read_text("utf-8").splitlines():
        got = main(["classify", "--text", line, "--policy", str(place["POLICY"])])
        said = capsys.readouterr().out
        if line.replace("\u00a0", "") == MISTYPED:
            assert said.startswith("allow")
        else:
            assert code in (None, got) and action in said, (line, got, said)


# --- 01, 04, 15: files that are made here ----------------------------------------------------------------------------


def test_01_an_own_flac_is_written_and_proved(place, capsys):
    assert place["MADE"] == 0 and place["OWN"].read_bytes()[:3] == b"ID3"  # the manifest lies in a leading ID3v2 tag
    assert main(["verify", str(place["OWN"]), "--data-dir", str(place["DATA"])]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", ["ok2", "bom2", "pdqpref", "tab"])
def test_04_a_listed_picture_is_blocked_however_its_line_is_written(name, place, tmp_path, capsys):
    lists = f'\n[options.image_hashlist]\nlists = "lst={case("04") / name}"\n'
    (tmp_path / "policy.toml").write_text(place["POLICY"].read_text("utf-8") + lists, "utf-8")
    assert main(["classify", str(case("04") / "base.png"), "--policy", str(tmp_path / "policy.toml")]) == HELD
    assert capsys.readouterr().out.startswith("block")


def gensafe(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gensafe", *map(str, words)],
        capture_output=True,
        timeout=300,
        env={**os.environ, **environment},
    )


def test_15_a_terminal_that_cannot_show_a_sign_changes_no_verdict(place):
    words = ("verify", place["BUSY"], "--data-dir", place["DATA"])
    usual, narrow = gensafe(*words), gensafe(*words, PYTHONIOENCODING="cp1252")
    assert narrow.returncode == usual.returncode == UNKNOWN
    assert b"Traceback" not in narrow.stderr


# --- 03, 19: an engine that answers oddly ----------------------------------------------------------------------------


@contextmanager
def stub(number: str, mode: str, folder: Path, port: int):
    """The case's own engine; it writes to and reads from ``oai`` in its working folder."""
    (folder / "oai").mkdir(exist_ok=True)
    shutil.copy(case("15") / "c.png", folder / "oai" / "pic.png")
    process = subprocess.Popen([sys.executable, str(case(number) / "stub.py"), mode, str(port)], cwd=folder)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                continue
        assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


CUT = {
    "err_mid": "internal_server_error, code 500", "err_str": "reported an error", "err_event": "reported an error",
    "fin_error": "error", "filter": "content_filter", "nofinish": "ended early",
}  # fmt: skip
"""What is said: names and codes. The engine's own words are not repeated, since they may repeat a prompt."""
LIGHTHOUSE = "The lighthouse keeper wrote a letter every evening before the lamp was lit."
WHOLE = {"emoji": "ok \U0001f600 done. " + LIGHTHOUSE, "parts": LIGHTHOUSE, "n2": LIGHTHOUSE, "nodone": LIGHTHOUSE}
PICTURES = ("gptimage", "dataurl", "mime")


@pytest.fixture(scope="module")
def asked(tmp_path_factory, place):
    """Ask the engine of a case: asked(number, mode, modality) -> exit code, file, what was said."""
    folder = tmp_path_factory.mktemp("engine")

    def ask(number: str, mode: str, modality: str, capsys):
        port = free_port()
        config = (case("03") / "cfg.toml").read_text("utf-8").replace("18432", str(port))
        if mode == "gptimage":
            config = config.replace('model = "m"', 'model = "gpt-image-1"')
        (folder / "cfg.toml").write_text(f'{config}\n[safety]\npolicy = "{place["POLICY"]}"\n', "utf-8")
        out = folder / (f"{mode}.txt" if modality == "text" else f"{mode}.png")
        words = ["generate", "write about a lighthouse", "--modality", modality, "-o", str(out)]
        with stub(number, mode, folder, port):
            code = main([*words, "--config", str(folder / "cfg.toml"), "--data-dir", str(folder / "data")])
        return code, out, capsys.readouterr().err

    return ask


@pytest.mark.parametrize("mode", CUT)
def test_03_an_answer_that_is_not_whole_is_not_released(mode, asked, capsys):
    code, out, said = asked("03", mode, "text", capsys)
    assert code == 1 and not out.exists(), said
    assert CUT[mode] in said


@pytest.mark.parametrize("mode", WHOLE)
def test_19_an_unusual_answer_is_released_whole_or_refused(mode, asked, capsys):
    code, out, said = asked("19", mode, "text", capsys)
    assert "Traceback" not in said
    if code == 0:
        text = out.read_text("utf-8")
        assert WHOLE[mode] in text and "WRONG" not in text
    else:
        assert code == 1 and not out.exists()
        assert mode in ("parts", "nodone", "n2"), said


@pytest.mark.parametrize("mode", PICTURES)
def test_19_pictures_of_compatible_servers_are_taken(mode, asked, capsys):
    code, out, said = asked("19", mode, "image", capsys)
    assert code == 0 and out.stat().st_size > 0, said


def test_19_the_reason_of_the_engine_is_passed_on(asked, capsys):
    code, out, said = asked("19", "err_first", "text", capsys)
    assert code == 1 and "code 429" in said and not out.exists()


# --- 08, 20, 21: servers and disks -----------------------------------------------------------------------------------


def test_08_loopback_asks_no_proxy_and_a_missing_server_is_no_verdict(simulated, place):
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "grpc_proxy", "https_proxy"), "http://127.0.0.1:9")
    asked = gensafe("verify", place["BUSY"], "--server", simulated.address, **proxies, no_proxy="")
    assert asked.returncode == UNKNOWN, asked.stderr
    missing = gensafe("verify", place["BUSY"], "--server", f"127.0.0.1:{free_port()}", **proxies)
    assert missing.returncode == 69 and b"UNREADABLE" not in missing.stdout


def test_20_a_taken_port_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = f"127.0.0.1:{taken.getsockname()[1]}"
        done = gensafe("serve", "--listen", "127.0.0.1:0", "--http", http, "--data-dir", tmp_path / "data")
    assert done.returncode == 64, done.stderr
    assert http.encode() in done.stderr and b"Traceback" not in done.stderr and b"SystemExit" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk needs root on Linux")
def test_21_a_full_disk_is_called_full(tmp_path):
    script = (
        'mount -t tmpfs -o size=3m none "$1" || exit 99; mkdir -p "$1/data"; cat /dev/zero >"$1/fill" 2>/dev/null; '
        'exec "$2" -m gensafe generate "a red circle" --modality image -o "$3" --data-dir "$1/data"'
    )
    (tmp_path / "disk").mkdir()
    words = ["unshare", "-m", "sh", "-c", script, "sh", tmp_path / "disk", sys.executable, tmp_path / "x.png"]
    done = subprocess.run(words, capture_output=True, timeout=300)
    if done.returncode == 99 or b"unshare" in done.stderr:
        pytest.skip("a disk cannot be mounted here")
    assert done.returncode in (1, 69, 74), done.stderr  # failed, a store that cannot be written, or the output
    said = done.stderr.decode().lower()
    assert "no space left" in said or "disk is full" in said, said
    assert "another process" not in said


def test_every_case_is_tried():
    named = {r.number for r in ROWS} | set(TEXTS) | {"03", "04", "08", "15", "19", "20", "21"}
    assert named == {p.name[:2] for p in CASES.iterdir() if p.is_dir()}
