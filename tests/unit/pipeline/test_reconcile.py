"""Every claim signature has exactly one place in the log, so one that the token made for somebody else is found.

Before, a released entry did not name its signature, a text's first signature and those of failed requests were
nowhere, and nothing could be compared with a token's counter.
"""

import base64
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from gensafe.audit import entries
from gensafe.audit.reconcile import Account, accounts, with_count, with_journal
from gensafe.audit.signatures import FILE, SignatureJournal, discard, read_journal, signatures_of
from gensafe.cli import main
from gensafe.core.clock import SystemClock
from gensafe.core.config import Config, EngineConfig, SafetyConfig, SigningConfig
from gensafe.core.digest import sha256
from gensafe.core.errors import LogUnavailable, SigningFailed
from gensafe.core.types import GenerationRequest, Modality
from gensafe.keys import KeyRing, pki
from gensafe.pipeline import CallControl, Released, open_chain, run
from gensafe.pipeline.finish import discard_tests
from gensafe.provenance import sign_asset
from gensafe.provenance.claims import claims_of

POLICY = 'id = "small"\n[classifiers]\ntext = ["text_rules"]\nimage = ["image_signal"]\n'
SIGNER = "sha256:" + "1" * 64


class Token:
    """A signing service that counts, whoever asks."""

    def __init__(self, key):
        token = self
        self.made = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                r, s = decode_dss_signature(
                    key.sign(base64.b64decode(asked["digest"]), ec.ECDSA(Prehashed(hashes.SHA256())))
                )
                token.made.append(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
                self.answer({"signature": base64.b64encode(token.made[-1]).decode()})

            def do_GET(self):
                self.answer({"signatures": len(token.made)})

            def answer(self, said):
                body = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/sign"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def installed(tmp_path):
    """A data directory whose claim key is behind a counting service: (config, token, leaf, chain as PEM)."""
    now = SystemClock().now_ms()
    root = pki.make_ca("root", now)
    leaf = pki.make_claim_leaf("signer", now, root)
    ring = KeyRing.open(tmp_path / "data" / "keys")
    ring.import_claim(None, leaf.certificate_pem(), root.certificate_pem())
    token = Token(leaf.key)
    (tmp_path / "policy.toml").write_text(POLICY)
    config = Config(
        data_dir=str(tmp_path / "data"),
        safety=SafetyConfig(policy=str(tmp_path / "policy.toml")),
        engines=(EngineConfig(backend="simulator", isolated=False),),
        signing=SigningConfig(provider="http", options={"url": token.url}),
    )
    path = tmp_path / "gensafe.toml"
    path.write_text(
        f'data_dir = "{tmp_path / "data"}"\n[signing]\nprovider = "http"\n[signing.options]\nurl = "{token.url}"\n'
    )
    yield config, token, path
    token.server.shutdown()
    token.server.server_close()


def ask(chain, modality=Modality.IMAGE):
    *_, last = run(chain, GenerationRequest(str(uuid.uuid4()), "a red circle", modality), CallControl())
    return last


def test_one_rogue_signature_of_a_thief_is_found(installed, capsys, tmp_path, samples):
    config, token, path = installed

    def reconcile(*more):
        code = main(["audit", "reconcile", "--config", str(path), "--json", *map(str, more)])
        return code, json.loads(capsys.readouterr().out)

    accidents = {}
    with open_chain(config, fault_point=lambda point: accidents.pop(point, lambda: None)()) as chain:
        for modality in (Modality.IMAGE, Modality.TEXT):
            assert isinstance(ask(chain, modality), Released)
        text = chain.log.entry(chain.log.size - 1).entry["manifest"]
        assert len(text["spare"]) == 1  # a text's wrapper is sized by a first signature

        def fail():
            raise RuntimeError("after the signature, before the leaf")

        accidents["signed"] = fail
        with pytest.raises(RuntimeError):
            ask(chain)
        entry = next(e.entry for e in chain.log.entries() if e.entry["event"] == entries.SIGNATURE_DISCARDED)
        assert (len(entry["signatures"]), entry["unsure"], entry["reason"]) == (1, 0, "ended")
        chain.signing.tools().signer.sign(b"does it work?")
        discard_tests(chain)
        assert chain.signing.journal.pending() == () and not (tmp_path / "data" / FILE).read_bytes()
        named = [d for e in chain.log.entries() for d in signatures_of(e.entry)]
        assert sorted(named) == sorted(map(sha256, token.made))  # each in exactly one place
        tools = chain.signing.tools()
        honest = len(token.made)
        assert reconcile()[0] == 0

        from gensafe.keys.signers.http import create

        (tmp_path / "chain.pem").write_bytes(tools.signer.certificate_chain())
        thief = create({"url": token.url, "chain": str(tmp_path / "chain.pem")})
        forged, _ = sign_asset(samples.image("PNG"), "image/png", samples.facts(), thief, None, tools.trust)
    code, said = reconcile()
    assert (code, said["surplus"], said["missing"]) == (1, 1, 0)
    assert reconcile("--count", honest)[0] == 0 and reconcile("--count", honest + 7, "--from", 7)[0] == 0
    code, said = reconcile("--count", honest - 1)
    assert (code, said["missing"]) == (1, 1)  # another token, or a counter that was reset
    (tmp_path / "token.journal").write_text("".join(f"{base64.b64encode(s).decode()}\n" for s in token.made))
    code, said = reconcile("--journal", tmp_path / "token.journal")
    assert (code, said["rogue"]) == (1, [sha256(token.made[-1])])
    (tmp_path / "forged.png").write_bytes(forged)
    assert claims_of(forged)[0].signature == said["rogue"][0]
    code, said = reconcile(tmp_path / "forged.png")
    assert (code, said["rogue"][0]["file"]) == (1, str(tmp_path / "forged.png"))
    (tmp_path / "bad").write_text("not a digest\n")
    assert main(["audit", "reconcile", "--config", str(path), "--journal", str(tmp_path / "bad")]) == 64
    assert "line 1 names no signature" in capsys.readouterr().err


def test_a_crash_between_signature_and_leaf_is_closed_at_the_next_start(installed):
    config, _, _ = installed
    with open_chain(config) as chain:
        assert isinstance(ask(chain), Released)
        released = chain.log.entry(chain.log.size - 1).entry["manifest"]["signature"]
        # what a crash leaves: one made and in no entry, one of which it is not known, one whose leaf is durable
        journal, signer = chain.signing.journal, chain.signing.tools().signer
        signer.sign(b"claim")
        journal.asked(SIGNER, "", 0, b"cut off before the answer")
        number = journal.asked(SIGNER, "", 0, b"claim of the released one")
        journal._write({"number": number, "signature": released})
        assert len(read_journal(journal._path)) == 3
    with open_chain(config) as chain:
        found = [e.entry for e in chain.log.entries() if e.entry["event"] == entries.SIGNATURE_DISCARDED]
        assert [(len(e["signatures"]), e["unsure"]) for e in found] == [(1, 0), (0, 1)]
        assert chain.signing.journal.pending() == ()
        account, pruned = accounts(chain.log)
        assert pruned == 0 and all(not each.repeated for each in account.values())


def test_the_journal_survives_a_torn_line_and_refuses_damage(tmp_path):
    journal = SignatureJournal(tmp_path / FILE)
    number = journal.asked(SIGNER, "r", 5, b"claim")
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"number":1,"sig')
    assert [p.number for p in read_journal(tmp_path / FILE)] == [number]
    (tmp_path / FILE).write_bytes(b"junk\n")
    with pytest.raises(SigningFailed, match="damaged"):
        SignatureJournal(tmp_path / FILE)
    with pytest.raises(SigningFailed, match="cannot be written"):
        SignatureJournal(tmp_path / "missing" / FILE).asked(SIGNER, "", 0, b"x")


def test_a_log_that_takes_nothing_keeps_them_pending(tmp_path):
    class Empty:
        def entries(self, since=0):
            return iter(())

    def refuse(entry):
        raise LogUnavailable("full")

    journal = SignatureJournal(tmp_path / FILE)
    journal.made(journal.asked(SIGNER, "r", 0, b"claim"), b"signature")
    with pytest.raises(LogUnavailable):
        discard(journal, Empty(), refuse, "ended")
    logged = []
    assert discard(SignatureJournal(tmp_path / FILE), Empty(), logged.append, "crash") == 1
    assert logged[0]["signatures"] == [sha256(b"signature")]


def test_what_a_count_can_and_cannot_tell():
    account = Account(known={"a", "b"}, unsure=1, unnamed=1)
    assert (account.least, account.most) == (3, 5)
    assert [with_count(account, n).agrees for n in (2, 3, 4, 5, 6)] == [False, True, True, True, False]
    named = Account(known={"a", "b"})
    assert with_journal(named, ["a", "b"]).agrees
    assert with_journal(named, ["a", "b", "c"]).rogue == ("c",)
    assert with_journal(named, ["a"]).missing == 1
