"""Check ``.tlog-proof`` files with sigstore-python's own code: its signed-note, checkpoint and Merkle parts.

Runs in an environment of its own (``pip install sigstore``), because sigstore pins other versions than we do:

    python audit_second_opinion.py FOLDER

FOLDER holds ``log.key`` (32 bytes in hex), and per entry ``N.leaf`` and ``N.tlog-proof``. Imports nothing of GenSafe.
Exit status 0: every proof was accepted, and refused again with one bit of its leaf changed.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sigstore._internal import merkle
from sigstore._internal.rekor.checkpoint import SignedCheckpoint


def accepts(proof: str, leaf: bytes, key: Ed25519PublicKey) -> bool:
    """Whether sigstore's code leads from the leaf to the signed root."""
    head, _, note = proof.partition("\n\n")
    lines = head.split("\n")
    index = int(lines[1].removeprefix("index "))
    hashes = [base64.b64decode(line) for line in lines[2:]]
    signed = SignedCheckpoint.from_text(note)
    [signature] = signed.signed_note.signatures
    key.verify(base64.b64decode(signature.signature), signed.signed_note.note.encode())
    inner, border = merkle._decomp_inclusion_proof(index, signed.checkpoint.log_size)
    if len(hashes) != inner + border:
        return False
    digest = merkle._chain_inner(merkle._hash_leaf(leaf), hashes[:inner], index)
    digest = merkle._chain_border_right(digest, hashes[inner:])
    return digest.hex() == signed.checkpoint.log_hash


def main(folder: Path) -> int:
    """Check every proof of the folder."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex((folder / "log.key").read_text().strip()))
    proofs = sorted(folder.glob("*.tlog-proof"))
    for path in proofs:
        leaf = path.with_suffix(".leaf").read_bytes()
        if not accepts(path.read_text("utf-8"), leaf, key):
            print(f"{path.name}: refused")
            return 1
        if accepts(path.read_text("utf-8"), bytes([leaf[0] ^ 1]) + leaf[1:], key):
            print(f"{path.name}: accepted with a changed leaf")
            return 1
    print(f"sigstore accepts {len(proofs)} proofs")
    return 0 if proofs else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
