"""A SoftHSM2 token with one claim key, for tests: made, taken away and brought back in a folder of its own."""

import os
import subprocess
from pathlib import Path

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "1234"


class SoftToken:
    def __init__(self, folder: Path, key_pem: bytes) -> None:
        self.folder = folder
        self.tokens, self.away = folder / "tokens", folder / "away"
        self.tokens.mkdir(parents=True)
        (folder / "conf").write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\n")
        (folder / "pin").write_text(PIN + "\n")
        (folder / "key.pem").write_bytes(key_pem)
        self._tool("--init-token", "--free", "--label", "gensafe", "--pin", PIN, "--so-pin", "5678")
        key = ("--import", str(folder / "key.pem"), "--label", "claim", "--id", "a1")
        self._tool(*key, "--token", "gensafe", "--pin", PIN)
        (folder / "key.pem").unlink()

    @property
    def environment(self) -> dict:
        return {"SOFTHSM2_CONF": str(self.folder / "conf")}

    @property
    def options(self) -> dict:
        return {"module": MODULE, "token": "gensafe", "key": "claim", "pin_file": str(self.folder / "pin")}

    def remove(self) -> None:
        self.tokens.rename(self.away)

    def bring_back(self) -> None:
        self.away.rename(self.tokens)

    def _tool(self, *arguments: str) -> None:
        done = subprocess.run(
            ["softhsm2-util", *arguments], env={**os.environ, **self.environment}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
