"""A data directory with everything that production needs, made by the same means as an operator has."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from gensafe.core.clock import SystemClock
from gensafe.core.config import Config, GenerationConfig, SigningConfig
from gensafe.keys import KeyRing, pki
from gensafe.provenance.trust_lists import TIME_STAMPS, store_trust_list

ASSETS = Path(__file__).parent
NOW = SystemClock().now_ms()
PASSPHRASE = "correct horse"


class Production:
    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.root = pki.make_ca("operator root", NOW)
        middle = pki.make_ca("operator issuer", NOW, self.root, path_length=0)
        self.leaf = pki.make_claim_leaf("operator signer", NOW, middle)
        self.chain = self.leaf.certificate_pem() + middle.certificate_pem()
        self.ring = KeyRing.open(self.data / "keys", environment="production", passphrase=PASSPHRASE.encode())
        stamp_root = pki.make_ca("outside time root", NOW)
        stamps = pki.make_tsa_leaf("outside time-stamp authority", NOW, stamp_root)
        (folder / "tsa.key").write_bytes(stamps.key_pem())
        (folder / "tsa.pem").write_bytes(stamps.certificate_pem())
        store_trust_list(self.data, TIME_STAMPS, "outside", stamp_root.certificate_pem())

    def config(self, **signing) -> Config:
        return Config(
            environment="production",
            data_dir=str(self.data),
            generation=GenerationConfig(backend="simulator"),  # refused by serve in production, not by the parts
            signing=SigningConfig(**signing),
        )

    @contextmanager
    def authority(self):
        """(the address of a time-stamp authority in another process, the process)."""
        program = [sys.executable, str(ASSETS / "time_authority.py")]
        files = [str(self.folder / name) for name in ("tsa.key", "tsa.pem")]
        process = subprocess.Popen([*program, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        yield process.stdout.readline().strip(), process
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
