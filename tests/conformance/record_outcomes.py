"""Record what the reader says about every file of the public corpora: ``python tests/conformance/record_outcomes.py``.

The table is compared by ``test_corpora.py``. Re-record it on purpose (a new C2PA library, a stricter rule), read the
difference, and give the reason in the commit.
"""

import json
import sys
from pathlib import Path

from gensafe import media
from gensafe.core.errors import ManifestInvalid, MediaError
from gensafe.provenance import RemoteManifest, TrustList, TrustStore, read_asset

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "data" / "c2pa"
TABLE = HERE / "corpus_outcomes.json"
NOT_MEDIA = {".pub", ".pub_key", ".pem", ".json", ".data", ".der", ".md", ".zip", ".txt", ""}


def trust():
    """The test roots of the SDK, accepted here on purpose."""
    return TrustStore((TrustList("SDK test roots", (SHARED / "trust" / "cai_test_roots.pem").read_bytes()),))


def corpus():
    """Media files of the corpora, by their path below the folder."""
    for folder in ("public-testfiles", "c2pa-rs"):
        for path in sorted((SHARED / folder).rglob("*")):
            if path.is_file() and path.suffix.lower() not in NOT_MEDIA:
                yield path.relative_to(SHARED).as_posix(), path


def outcome(path, trusted):
    """[state, failure codes, ingredient states]."""
    data = path.read_bytes()
    try:
        media_type = media.sniff(data)
        if media_type == "text/plain" and b"<svg" in data[:4096]:
            media_type = "image/svg+xml"
        reading = read_asset(data, media_type, trust=trusted)
    except RemoteManifest:
        return ["remote", [], []]
    except (ManifestInvalid, MediaError):
        return ["unreadable", [], []]
    if reading is None:
        return ["none", [], []]
    ingredients = [i.state.value if i.state else "none" for i in reading.ingredients]
    return [reading.state.value, sorted(set(reading.failure_codes())), ingredients]


if __name__ == "__main__":
    trusted = trust()
    table = {name: outcome(path, trusted) for name, path in corpus()}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(row)}" for name, row in table.items())
    TABLE.write_text("{\n" + lines + "\n}\n", "utf-8")
    sys.stdout.write(f"{len(table)} files recorded\n")
