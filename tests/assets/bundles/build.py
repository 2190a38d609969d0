"""Make the test vectors of docs/audit-format.md: one good export and many bad ones, each named for its defect.

``python tests/assets/bundles/build.py`` rewrites ``vectors.json``:

    {"log_key": vkey, "good": {file: text}, "bad": {name: {"expect": code, "why": text, "files": {file: text | null}}}}

``files`` of a bad bundle holds what differs from the good one; null = the file is absent. ``expect`` is one code the
reference verifier reports when it is given ``log_key``; another verifier need only refuse the bundle. Where a defect
can be hidden behind honest digests and a fresh manifest signature (an insider with the export key), it is: so every
layer of the check is exercised alone.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent


def load_sample():
    spec = importlib.util.spec_from_file_location("gensafe_bundle_sample", HERE / "sample.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sample = load_sample()

from gensafe.audit import AuditLog, merkle  # noqa: E402
from gensafe.audit.checkpoint import Checkpoint  # noqa: E402
from gensafe.audit.export import FORMAT, export_jsonl  # noqa: E402
from gensafe.audit.note import NoteKey, sign_note  # noqa: E402
from gensafe.compliance.exporters.csv import CsvExporter  # noqa: E402
from gensafe.compliance.exporters.ocsf import OcsfExporter  # noqa: E402
from gensafe.core.canonical import canonical_json  # noqa: E402
from gensafe.core.types import OneTenant  # noqa: E402

Files = dict[str, str | None]
BAD: dict[str, tuple[str, str, Callable[[Files], Files | None]]] = {}
SEALED = ("manifest.json", "manifest.note")
SIGNER = {"name": sample.ORIGIN, "fingerprint": NoteKey(sample.ORIGIN, sample.KEY.public_key()).fingerprint}


def bad(expect: str, *, seal: bool = True):
    """Register a defect. ``seal``: afterwards correct the file digests and sign the manifest with the log's own key."""

    def register(make):
        def made(files: Files) -> Files:
            out = make(files) or files
            return reseal(out) if seal else out

        BAD[make.__name__.removeprefix("_").replace("_", "-")] = (expect, make.__doc__, made)
        return make

    return register


def manifest_of(files: Files) -> dict:
    return json.loads(files["manifest.json"])


def reseal(files: Files, key=sample.KEY) -> Files:
    manifest = manifest_of(files)
    present = {name: text for name, text in files.items() if text is not None and name not in SEALED}
    manifest["files"] = {n: "sha256:" + hashlib.sha256(t.encode()).hexdigest() for n, t in sorted(present.items())}
    return sign(files, canonical_json(manifest).decode(), key)


def sign(files: Files, manifest: str, key=sample.KEY) -> Files:
    digest = hashlib.sha256(manifest.encode()).hexdigest()
    note = sign_note(f"{FORMAT}\nsha256:{digest}\n", sample.ORIGIN, key).decode()
    return {**files, "manifest.json": manifest, "manifest.note": note}


def edit(files: Files, **changes) -> Files:
    return {**files, "manifest.json": canonical_json({**manifest_of(files), **changes}).decode()}


def lines(files: Files, name: str) -> list[str]:
    return files[name].splitlines()


def put(files: Files, name: str, rows: list[str]) -> Files:
    return {**files, name: "".join(row + "\n" for row in rows)}


def change_line(files: Files, name: str, number: int, change) -> Files:
    rows = lines(files, name)
    value = json.loads(rows[number])
    rows[number] = canonical_json(change(value) or value).decode()
    return put(files, name, rows)


def flip(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[5] ^= 1
    return base64.b64encode(raw).decode()


# --- the folder ---


@bad("file-missing", seal=False)
def _manifest_missing(files):
    """There is no manifest."""
    return {**files, "manifest.json": None}


@bad("file-missing", seal=False)
def _checkpoint_missing(files):
    """There is no checkpoint."""
    return {**files, "checkpoint": None}


@bad("file-missing", seal=False)
def _entries_missing(files):
    """There are no entries."""
    return {**files, "entries.jsonl": None}


@bad("file-missing", seal=False)
def _proofs_missing(files):
    """There are no inclusion proofs."""
    return {**files, "proofs.jsonl": None}


@bad("file-missing", seal=False)
def _listed_view_missing(files):
    """The manifest lists a CSV that is not there."""
    return {**files, "entries.csv": None}


@bad("file-unlisted", seal=False)
def _file_added(files):
    """A file lies in the folder that the manifest does not know."""
    return {**files, "more-entries.jsonl": "{}\n"}


@bad("file-digest", seal=False)
def _view_edited(files):
    """A cell of the CSV was edited; the leaf hashes still fit."""
    return {**files, "entries.csv": files["entries.csv"].replace("generation.blocked", "generation.released", 1)}


@bad("file-name", seal=False)
def _listing_leaves_the_folder(files):
    """The manifest lists a path outside the folder."""
    manifest = manifest_of(files)
    manifest["files"]["../checkpoint"] = manifest["files"]["checkpoint"]
    return sign(files, canonical_json(manifest).decode())


@bad("file-unlisted", seal=False)
def _listing_without_proofs(files):
    """The manifest does not list proofs.jsonl."""
    manifest = manifest_of(files)
    del manifest["files"]["proofs.jsonl"]
    return sign(files, canonical_json(manifest).decode())


# --- the manifest's form ---


@bad("json", seal=False)
def _manifest_not_json(files):
    """The manifest is cut in half."""
    return {**files, "manifest.json": files["manifest.json"][: len(files["manifest.json"]) // 2]}


@bad("not-canonical", seal=False)
def _manifest_pretty_printed(files):
    """The manifest has white space."""
    return sign(files, json.dumps(manifest_of(files), indent=1, sort_keys=True))


@bad("not-canonical", seal=False)
def _manifest_with_a_doubled_key(files):
    """The manifest names a key twice; readers would pick different ones."""
    return sign(files, files["manifest.json"].replace('{"checkpoint":', '{"checkpoint":{},"checkpoint":', 1))


@bad("json", seal=False)
def _manifest_with_a_float(files):
    """A number of the manifest is not an integer."""
    return sign(files, files["manifest.json"].replace('"disclosed":', '"disclosed":1.0,"x":', 1))


@bad("format")
def _manifest_of_another_format(files):
    """The manifest states a format that does not exist."""
    return edit(files, format="gensafe.audit.export/9")


@bad("structure")
def _manifest_without_left(files):
    """A field of the manifest is missing."""
    manifest = manifest_of(files)
    del manifest["left"]
    return {**files, "manifest.json": canonical_json(manifest).decode()}


@bad("structure")
def _manifest_field_of_another_kind(files):
    """The range is a list."""
    return edit(files, range=[1, 2])


# --- signatures and the checkpoint ---


@bad("manifest-unsigned", seal=False)
def _manifest_unsigned(files):
    """The signature was removed, and the manifest says that nobody signed it."""
    return {**edit(files, signer=None), "manifest.note": None}


@bad("manifest-unsigned", seal=False)
def _manifest_signature_emptied(files):
    """The signature is an empty file."""
    return {**files, "manifest.note": ""}


@bad("manifest-signature")
def _manifest_names_another_signer(files):
    """The manifest is signed by the log and names another key as its signer."""
    return edit(files, signer=SIGNER | {"fingerprint": "sha256:" + "00" * 32})


@bad("manifest-signature")
def _manifest_signed_and_names_no_signer(files):
    """The manifest is signed and says that it is not."""
    return edit(files, signer=None)


@bad("disclosure")
def _tenant_scope_called_complete(files):
    """The export shows one tenant and calls itself complete."""
    return edit(files, disclosure="complete")


@bad("structure")
def _disclosure_of_another_kind(files):
    """The manifest does not say whether the export is complete."""
    return edit(files, disclosure="most")


@bad("structure")
def _manifest_with_an_undefined_field(files):
    """The manifest has a field that the format does not define."""
    return edit(files, comment="x")


@bad("counts")
def _counts_with_true_for_a_number(files):
    """A count is the word true, which some readers take for 1."""
    counts = manifest_of(files)["counts"]
    return edit(files, counts=counts | {"events": counts["events"] | {"policy.changed": True}})


@bad("manifest-signature", seal=False)
def _manifest_changed_after_signing(files):
    """The manifest was edited; its signature is the old one."""
    return edit(files, keys=[])


@bad("manifest-signature", seal=False)
def _manifest_signed_by_a_stranger(files):
    """The manifest is signed by another key under the log's name."""
    return sign(files, files["manifest.json"], sample.OTHER_KEY)


@bad("manifest-signature", seal=False)
def _manifest_signature_damaged(files):
    """A bit of the manifest's signature is flipped."""
    head, _, signature = files["manifest.note"].rstrip("\n").rpartition(" ")
    return {**files, "manifest.note": f"{head} {flip(signature)}\n"}


@bad("checkpoint-signature")
def _checkpoint_signed_by_a_stranger(files):
    """The checkpoint is signed by another key under the log's name."""
    text = files["checkpoint"].partition("\n\n")[0] + "\n"
    return {**files, "checkpoint": sign_note(text, sample.ORIGIN, sample.OTHER_KEY).decode()}


@bad("checkpoint-signature")
def _checkpoint_signature_damaged(files):
    """A bit of the checkpoint's signature is flipped."""
    head, _, signature = files["checkpoint"].rstrip("\n").rpartition(" ")
    return {**files, "checkpoint": f"{head} {flip(signature)}\n"}


@bad("note-format")
def _checkpoint_unsigned(files):
    """The checkpoint carries no signature."""
    return {**files, "checkpoint": files["checkpoint"].partition("\n\n")[0] + "\n"}


@bad("note-format")
def _checkpoint_with_a_hyphen_for_the_dash(files):
    """The signature line begins with a hyphen."""
    return {**files, "checkpoint": files["checkpoint"].replace("—", "-")}


@bad("origin")
def _checkpoint_of_another_log(files):
    """The checkpoint names another log."""
    text = files["checkpoint"].partition("\n\n")[0].replace(sample.ORIGIN, "example.com/other") + "\n"
    return {**files, "checkpoint": sign_note(text, "example.com/other", sample.KEY).decode()}


@bad("checkpoint-format")
def _checkpoint_size_with_a_leading_zero(files):
    """The tree size is written with a leading zero."""
    origin, size, root = files["checkpoint"].split("\n")[:3]
    return {**files, "checkpoint": sign_note(f"{origin}\n0{size}\n{root}\n", sample.ORIGIN, sample.KEY).decode()}


@bad("checkpoint-swapped")
def _checkpoint_from_an_earlier_time(files):
    """A true, older checkpoint of the log stands in for the right one."""
    return {**files, "checkpoint": json.loads(lines(files, "checkpoints.jsonl")[0])["note"]}


@bad("root")
def _checkpoint_with_another_root(files):
    """A checkpoint of the same size with another root, signed by the log: the log lies."""
    origin, size, root = files["checkpoint"].split("\n")[:3]
    files = edit(files, checkpoint={"size": int(size), "root": flip(root)})
    return {**files, "checkpoint": sign_note(f"{origin}\n{size}\n{flip(root)}\n", sample.ORIGIN, sample.KEY).decode()}


# --- entries and proofs ---


@bad("entry-altered")
def _entry_edited(files):
    """A blocked request is shown as released."""
    text = files["entries.jsonl"].replace('"event":"generation.blocked"', '"event":"generation.released"', 1)
    return {**files, "entries.jsonl": text}


@bad("entry-altered")
def _entry_back_dated(files):
    """The time of an entry is moved to that of the entry in front of it."""
    rows = [json.loads(row) for row in lines(files, "entries.jsonl")]
    rows[3]["time_ms"] = rows[2]["time_ms"]
    return put(files, "entries.jsonl", [canonical_json(row).decode() for row in rows])


@bad("entry-missing")
def _entry_deleted(files):
    """An entry is left out."""
    rows = lines(files, "entries.jsonl")
    return put(files, "entries.jsonl", rows[:4] + rows[5:])


@bad("entry-order")
def _entry_inserted(files):
    """An entry stands twice."""
    rows = lines(files, "entries.jsonl")
    return put(files, "entries.jsonl", rows[:4] + rows[3:])


@bad("entry-missing")
def _entries_reordered(files):
    """Two entries changed places."""
    rows = lines(files, "entries.jsonl")
    rows[2], rows[3] = rows[3], rows[2]
    return put(files, "entries.jsonl", rows)


@bad("entry-missing")
def _entries_truncated(files):
    """The last entry is left out."""
    return put(files, "entries.jsonl", lines(files, "entries.jsonl")[:-1])


@bad("entry-extra")
def _entry_beyond_the_range(files):
    """One entry more than the range has."""
    rows = lines(files, "entries.jsonl")
    return put(files, "entries.jsonl", [*rows, rows[-1]])


@bad("not-canonical")
def _entry_with_white_space(files):
    """An entry is not in canonical form."""
    rows = lines(files, "entries.jsonl")
    rows[1] = rows[1].replace('{"entry":', '{ "entry":')
    return put(files, "entries.jsonl", rows)


@bad("json")
def _entry_with_a_float(files):
    """An entry holds a number that is not an integer."""
    rows = lines(files, "entries.jsonl")
    rows[1] = rows[1].replace('"index":', '"index":0.5,"x":')
    return put(files, "entries.jsonl", rows)


@bad("cut-line")
def _entries_cut_in_a_line(files):
    """The last line has no end."""
    return {**files, "entries.jsonl": files["entries.jsonl"][:-1]}


@bad("leaf-format")
def _leaf_with_an_extra_field(files):
    """A leaf has a field that leaves do not have."""
    return change_line(files, "entries.jsonl", 2, lambda leaf: leaf | {"note": "x"})


@bad("entry-altered")
def _proof_altered(files):
    """A hash of an inclusion proof is changed."""
    return change_line(files, "proofs.jsonl", 2, lambda p: p | {"hashes": [flip(p["hashes"][0]), *p["hashes"][1:]]})


@bad("entry-altered")
def _proof_too_long(files):
    """An inclusion proof has one hash too many."""
    return change_line(files, "proofs.jsonl", 2, lambda p: p | {"hashes": p["hashes"] + p["hashes"][:1]})


@bad("entry-altered")
def _proof_too_short(files):
    """An inclusion proof lacks its last hash."""
    return change_line(files, "proofs.jsonl", 2, lambda p: p | {"hashes": p["hashes"][:-1]})


@bad("proof-missing")
def _proof_of_another_entry(files):
    """A proof names another index."""
    return change_line(files, "proofs.jsonl", 2, lambda p: p | {"index": p["index"] + 1})


@bad("proof-missing")
def _last_proof_missing(files):
    """The last entry has no proof."""
    return put(files, "proofs.jsonl", lines(files, "proofs.jsonl")[:-1])


@bad("hash-format")
def _proof_hash_not_base64(files):
    """A hash is written in hexadecimal."""
    return change_line(files, "proofs.jsonl", 2, lambda p: p | {"hashes": ["00" * 32, *p["hashes"][1:]]})


# --- the range ---


@bad("root")
def _left_hash_altered(files):
    """What lies before the range was replaced."""
    left = manifest_of(files)["left"]
    return edit(files, left=[flip(left[0]), *left[1:]])


@bad("root")
def _right_hash_altered(files):
    """What lies after the range was replaced."""
    right = manifest_of(files)["right"]
    return edit(files, right=[*right[:-1], flip(right[-1])])


@bad("range-proof")
def _right_hash_missing(files):
    """The hashes after the range do not reach the tree's end."""
    return edit(files, right=manifest_of(files)["right"][:-1])


@bad("range-proof")
def _left_hash_too_many(files):
    """There are more hashes before the range than it has room for."""
    left = manifest_of(files)["left"]
    return edit(files, left=[*left, left[0]])


@bad("range")
def _range_beyond_the_tree(files):
    """The range ends behind the tree."""
    span = manifest_of(files)["range"]
    return edit(files, range={"start": span["start"], "stop": 10_000})


@bad("withheld-altered")
def _withheld_hash_altered(files):
    """The hash that stands for another tenant's entry was replaced."""
    return change_line(files, "withheld.jsonl", 0, lambda row: row | {"leaf": "ab" * 32})


@bad("withheld-reason")
def _withheld_without_a_reason(files):
    """An entry is withheld for a reason the filter does not give."""
    return change_line(files, "withheld.jsonl", 0, lambda row: row | {"reason": "embarrassing"})


@bad("hash-format")
def _withheld_hash_short(files):
    """A withheld hash has 31 bytes."""
    return change_line(files, "withheld.jsonl", 0, lambda row: row | {"leaf": "ab" * 31})


# --- what the manifest says about the entries ---


@bad("counts")
def _counts_embellished(files):
    """The manifest counts one block less."""
    counts = manifest_of(files)["counts"]
    counts["events"]["generation.blocked"] -= 1
    return edit(files, counts=counts)


@bad("gaps")
def _outage_hidden(files):
    """The manifest does not state that a filter was down."""
    gaps = manifest_of(files)["gaps"]
    return edit(files, gaps=gaps | {"filter_outages": []})


@bad("gaps")
def _unfinished_request_hidden(files):
    """The manifest does not state that a request was never closed."""
    gaps = manifest_of(files)["gaps"]
    return edit(files, gaps=gaps | {"unfinished": []})


@bad("outside-period")
def _entries_outside_the_stated_period(files):
    """The manifest states a shorter period than the entries cover."""
    wanted = manifest_of(files)["filter"]
    return edit(files, filter=wanted | {"start_ms": wanted["start_ms"] + 6 * sample.STEP_MS})


@bad("tenant")
def _entry_of_another_tenant(files):
    """The export says it is for one tenant and discloses another's entries."""
    return edit(files, filter=manifest_of(files)["filter"] | {"tenant": "p-nobody"})


@bad("view")
def _csv_cell_edited(files):
    """A block is shown as a release in the CSV, and its leaf hash is right."""
    return {**files, "entries.csv": files["entries.csv"].replace("generation.blocked", "generation.released", 1)}


@bad("view")
def _ocsf_status_edited(files):
    """A failure is shown as a success in the OCSF events."""
    return {**files, "entries.ocsf.jsonl": files["entries.ocsf.jsonl"].replace('"Failure"', '"Success"', 1)}


@bad("withheld-reason")
def _withheld_called_pruned(files):
    """Another tenant's entry in the middle is called pruned, and the counts agree."""
    counts = manifest_of(files)["counts"]
    files = edit(files, counts=counts | {"withheld": counts["withheld"] - 1, "pruned": 1})
    return change_line(files, "withheld.jsonl", 0, lambda row: row | {"reason": "pruned"})


@bad("view")
def _csv_row_of_another_entry(files):
    """A row of the CSV names a leaf that is not the entry's."""
    text = files["entries.csv"]
    last = text.rstrip("\r\n").rpartition(",")[2]
    return {**files, "entries.csv": text.replace(last, "00" * 32)}


@bad("view")
def _csv_row_missing(files):
    """The CSV lacks its last row."""
    return {**files, "entries.csv": "".join(files["entries.csv"].splitlines(keepends=True)[:-1])}


@bad("view")
def _ocsf_events_reordered(files):
    """Two OCSF events changed places."""
    rows = lines(files, "entries.ocsf.jsonl")
    rows[0], rows[1] = rows[1], rows[0]
    return put(files, "entries.ocsf.jsonl", rows)


# --- history ---


@bad("consistency")
def _previous_root_altered(files):
    """The previous export had another root: history was rewritten."""
    previous = manifest_of(files)["previous"]
    return edit(files, previous=previous | {"root": flip(previous["root"])})


@bad("consistency")
def _consistency_proof_short(files):
    """The consistency proof lacks a hash."""
    previous = manifest_of(files)["previous"]
    return edit(files, previous=previous | {"consistency": previous["consistency"][:-1]})


@bad("fork")
def _kept_checkpoint_of_a_fork(files):
    """A checkpoint the log signed and handed out is not a prefix of its tree."""
    forked = Checkpoint(sample.ORIGIN, 5, bytes(32)).signed(sample.KEY).raw.decode()
    return change_line(files, "checkpoints.jsonl", 0, lambda row: row | {"note": forked, "size": 5})


@bad("fork")
def _kept_checkpoint_of_another_log(files):
    """A kept checkpoint belongs to another log."""
    other = Checkpoint("example.com/other", 5, bytes(32)).signed(sample.KEY).raw.decode()
    return change_line(files, "checkpoints.jsonl", 0, lambda row: row | {"note": other, "size": 5})


# --- logs that lie: every signature and proof is right, the contents cannot be ---


@bad("back-dated", seal=False)
def _log_runs_backwards(files):
    """The log took an entry dated before the one in front of it."""
    plain = [{"event": "config.changed", "schema": "gensafe.audit.entry/1"}] * 2
    return from_leaves(plain, times=[2_000, 1_000])


@bad("entry-order", seal=False)
def _log_with_a_leaf_of_another_place(files):
    """The second leaf says it is the first."""
    plain = [{"event": "config.changed", "schema": "gensafe.audit.entry/1"}] * 2
    return from_leaves(plain, indexes=[0, 0])


@bad("release-without-intent", seal=False)
def _release_nobody_asked_for(files):
    """An output was released without an intent before it."""
    release = sample.entries.released(sample.signed(1, -1, sample.Modality.IMAGE, "p-acme"))
    return from_leaves([release], events={"generation.released": 1})


@bad("release-without-intent", seal=False)
def _release_for_another_request(files):
    """A release closes the intent of another request."""
    intent = sample.opened(1, sample.Modality.IMAGE, "p-acme")
    release = sample.entries.released(sample.signed(2, 0, sample.Modality.IMAGE, "p-acme"))
    return from_leaves([intent, release], events={"generation.opened": 1, "generation.released": 1})


@bad("release-without-intent", seal=False)
def _two_releases_for_one_intent(files):
    """One intent is closed twice: two outputs left under one verdict."""
    intent = sample.opened(1, sample.Modality.IMAGE, "p-acme")
    release = sample.entries.released(sample.signed(1, 0, sample.Modality.IMAGE, "p-acme"))
    return from_leaves([intent, release, release], events={"generation.opened": 1, "generation.released": 2})


def from_leaves(plain, *, times=None, indexes=None, events=None) -> Files:
    """A bundle over the whole of a log whose leaves are given, signed in order."""
    count = len(plain)
    times, indexes = times or [1_000] * count, indexes or list(range(count))
    leaves = [
        canonical_json({"entry": e, "index": i, "time_ms": t}) for e, i, t in zip(plain, indexes, times, strict=True)
    ]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]

    def read(level: int, index: int) -> bytes:
        return merkle.root_of(hashes[index << level : (index + 1) << level])

    head = Checkpoint(sample.ORIGIN, count, merkle.root_of(hashes)).signed(sample.KEY)
    proofs = [
        canonical_json(
            {"hashes": [base64.b64encode(h).decode() for h in merkle.inclusion_proof(read, i, count)], "index": i}
        )
        for i in range(count)
    ]
    manifest = {
        "format": FORMAT,
        "origin": sample.ORIGIN,
        "disclosure": "complete",
        "signer": SIGNER,
        "range": {"start": 0, "stop": count},
        "filter": {"start_ms": None, "end_ms": None, "tenant": ""},
        "checkpoint": {"size": count, "root": base64.b64encode(head.root).decode()},
        "left": [],
        "right": [],
        "counts": {"disclosed": count, "withheld": 0, "pruned": 0, "events": events or {"config.changed": count}},
        "gaps": {"unfinished": [], "filter_outages": [], "pruned": []},
        "keys": [NoteKey(sample.ORIGIN, sample.KEY.public_key()).vkey],
        "previous": None,
    }
    files: Files = {
        "manifest.json": canonical_json(manifest).decode(),
        "checkpoint": head.raw.decode(),
        "entries.jsonl": "".join(leaf.decode() + "\n" for leaf in leaves),
        "proofs.jsonl": "".join(proof.decode() + "\n" for proof in proofs),
    }
    absent = dict.fromkeys(("withheld.jsonl", "checkpoints.jsonl", "entries.csv", "entries.ocsf.jsonl"))
    return {**absent, **reseal(files)}


def good_bundle() -> Files:
    """One tenant's entries of the middle of the log, with a previous export, kept checkpoints, CSV and OCSF."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with sample.sample_log(root / "log", rounds=1) as log:
            export_jsonl(log, root / "first", key=sample.KEY)
            log.keep_checkpoint(log.checkpoint())
        clock = sample.FixedClock(sample.START_MS + 100 * sample.STEP_MS)
        with AuditLog.open(root / "log", origin=sample.ORIGIN, key=sample.KEY, clock=clock) as log:
            sample.fill(log, clock, rounds=1)
            export_jsonl(
                log,
                root / "out",
                start_ms=sample.START_MS + 4 * sample.STEP_MS,
                end_ms=sample.START_MS + 115 * sample.STEP_MS,
                scope=OneTenant("p-acme"),
                previous=root / "first",
                views=[CsvExporter(), OcsfExporter()],
                key=sample.KEY,
                known_keys=[NoteKey(sample.ORIGIN, sample.KEY.public_key()).vkey],
            )
        return {p.name: p.read_bytes().decode() for p in sorted((root / "out").iterdir())}


def build() -> dict:
    """All vectors."""
    good = good_bundle()
    vectors: dict = {"log_key": NoteKey(sample.ORIGIN, sample.KEY.public_key()).vkey, "good": good, "bad": {}}
    for name, (expect, why, make) in BAD.items():
        made = make(dict(good))
        changed = {n: made.get(n) for n in sorted({*good, *made}) if made.get(n) != good.get(n)}
        vectors["bad"][name] = {"expect": expect, "why": why, "files": changed}
    return vectors


if __name__ == "__main__":
    text = json.dumps(build(), indent=1, sort_keys=True, ensure_ascii=False)
    (HERE / "vectors.json").write_text(text + "\n", "utf-8")
    print(f"{len(BAD)} bad bundles, {len(text):,} characters")
