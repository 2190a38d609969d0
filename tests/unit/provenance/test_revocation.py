"""Revocation from CRL files and stapled OCSP responses: who may say it, about whom, and until when it counts."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from gensafe.cli import main
from gensafe.core.clock import SystemClock
from gensafe.core.errors import ConfigError
from gensafe.core.types import Conclusion, Outcome
from gensafe.keys import LocalClaimSigner, pki
from gensafe.provenance import (
    LocalTimeStamper,
    ManifestState,
    TrustList,
    TrustStore,
    containers,
    jumbf,
    read_asset,
    sign_asset,
)
from gensafe.provenance.cbor import ARRAY, MAP, encode_bytes, encode_head, encode_text
from gensafe.provenance.cose import CoseSign1, parse_cose
from gensafe.provenance.revocation import RevocationList, import_revocation_list
from gensafe.verify import VerifyContext, verify_bytes

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@dataclass
class House:
    """An issuer, its leaf, and a file signed with it."""

    root: pki.Issued
    leaf: pki.Issued
    trust: TrustStore
    stamped: bytes
    bare: bytes

    def crl(self, *serials, by=None, when=NOW - DAY, reason=None, due=NOW + DAY):
        by = by or self.root
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.root.certificate.subject)
        builder = builder.last_update(NOW - 3 * DAY).next_update(due)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when)
            if reason:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return RevocationList("acme", builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER))

    def read(self, data, *lists):
        return read_asset(data, "image/png", trust=replace(self.trust, revocations=lists))

    def line(self, data, *lists):
        context = VerifyContext(replace(self.trust, revocations=lists), contained=False)
        report = verify_bytes(data, name="x", context=context)
        return report.conclusion, next(c for c in report.checks if c.name == "revocation")


@pytest.fixture(scope="module")
def house(files, samples):
    now_ms = SystemClock().now_ms()
    root, stamp_root = pki.make_ca("root", now_ms), pki.make_ca("stamp root", now_ms)
    leaf, tsa = pki.make_claim_leaf("signer", now_ms, root), pki.make_tsa_leaf("stamps", now_ms, stamp_root)
    trust = TrustStore(
        (TrustList("acme", root.certificate_pem()),), (TrustList("acme stamps", stamp_root.certificate_pem()),)
    )
    signer = LocalClaimSigner(leaf.key, leaf.certificate_pem(), development=True)
    stamper = LocalTimeStamper(tsa.key, tsa.certificate_pem(), SystemClock())
    stamped, _ = sign_asset(files["image/png"], "image/png", samples.facts(), signer, stamper, trust)
    bare, _ = sign_asset(files["image/png"], "image/png", samples.facts(), signer, None, trust)
    return House(root, leaf, trust, stamped, bare)


def test_a_listed_certificate_is_revoked(house):
    crl = house.crl(house.leaf.certificate.serial_number)
    for data in (house.stamped, house.bare):
        reading = house.read(data, crl)
        assert reading.state is ManifestState.INVALID
        assert reading.failure_codes() == ("signingCredential.revoked",)
    conclusion, line = house.line(house.bare, crl)
    assert conclusion is Conclusion.FOUND_UNTRUSTED  # the bytes are still those that were signed
    assert line.outcome is Outcome.FAIL and "'acme'" in line.summary and "revoked on" in line.summary


def test_a_list_without_it_is_a_pass_and_no_list_is_none(house):
    conclusion, line = house.line(house.bare, house.crl(1, 2, 3))
    assert conclusion is Conclusion.PROVED and line.outcome is Outcome.PASS and "not revoked as of" in line.summary
    assert house.line(house.bare)[1].outcome is Outcome.ABSENT


def test_revoked_after_the_time_stamp_counts_only_for_a_compromise(house):
    serial, later = house.leaf.certificate.serial_number, NOW + timedelta(hours=2)
    retired = house.crl(serial, when=later, reason=x509.ReasonFlags.superseded)
    stolen = house.crl(serial, when=later, reason=x509.ReasonFlags.key_compromise)
    conclusion, line = house.line(house.stamped, retired)
    assert conclusion is Conclusion.PROVED and "after the signature was time-stamped" in line.summary
    assert house.read(house.stamped, stolen).state is ManifestState.INVALID
    assert house.read(house.bare, retired).state is ManifestState.INVALID  # nobody says when it was signed


def test_a_list_that_proves_nothing_is_not_a_pass(house):
    serial = house.leaf.certificate.serial_number
    stranger = pki.make_ca("root", SystemClock().now_ms())
    for crl, why in (
        (house.crl(serial, by=stranger), "not signed by the issuer"),
        (house.crl(due=NOW - DAY), "out of date"),
    ):
        conclusion, line = house.line(house.bare, crl)
        assert conclusion is Conclusion.PROVED
        assert line.outcome is Outcome.ABSENT and why in line.summary
    # an old list still revokes
    assert house.read(house.bare, house.crl(serial, due=NOW - DAY)).state is ManifestState.INVALID


# --- stapled OCSP ----------------------------------------------------------------------------------------------------


def response(house, *, good=True, leaf=None, responder=None, when=NOW - DAY, due=NOW + DAY):
    revoked = {} if good else {"revocation_time": when, "revocation_reason": x509.ReasonFlags.key_compromise}
    status = ocsp.OCSPCertStatus.GOOD if good else ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=(leaf or house.leaf).certificate,
        issuer=house.root.certificate,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=NOW - 2 * DAY,
        next_update=due,
        revocation_time=revoked.get("revocation_time"),
        revocation_reason=revoked.get("revocation_reason"),
    )
    by = responder or house.root
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, by.certificate)
    if responder:
        builder = builder.certificates([responder.certificate])
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)


def stapled(data, der):
    """``data`` with ``rVals`` in its claim's unprotected header; the store keeps its length."""
    store = containers.extract(data)
    box = jumbf.signature_path(store)[-1]
    cose = parse_cose(store[box.content : box.end])
    value = encode_head(MAP, 1) + encode_text("ocspVals") + encode_head(ARRAY, 1) + encode_bytes(der)
    token = cose.time_stamps()[0]
    longer = CoseSign1(cose.protected, (("rVals", value), *cose.unprotected), cose.payload, cose.signature)
    return containers.overwrite(data, jumbf.replace_signature(store, longer.stamped(token, box.end - box.content)))


def delegate(house, usage=ExtendedKeyUsageOID.OCSP_SIGNING):
    now = SystemClock().now_ms()
    return pki._issue(
        "responder",
        now,
        30,
        house.root,
        x509.BasicConstraints(ca=False, path_length=None),
        pki._usage(digital_signature=True),
        (x509.ExtendedKeyUsage([usage]), False),
    )


def test_a_staple_of_the_issuer_or_its_responder_counts(house):
    for der in (response(house), response(house, responder=delegate(house))):
        conclusion, line = house.line(stapled(house.stamped, der))
        assert (conclusion, line.outcome) == (Conclusion.PROVED, Outcome.PASS), line
        assert "OCSP" in line.summary
    for responder in (None, delegate(house)):
        conclusion, line = house.line(stapled(house.stamped, response(house, good=False, responder=responder)))
        assert conclusion is Conclusion.FOUND_UNTRUSTED and line.outcome is Outcome.FAIL


def test_a_staple_that_proves_nothing_is_not_a_pass(house):
    now = SystemClock().now_ms()
    other = pki.make_claim_leaf("other", now, house.root)
    stranger = pki.make_ca("root", now)
    for der, why in (
        (response(house, responder=stranger), "not signed by the issuer"),
        (response(house, responder=delegate(house, ExtendedKeyUsageOID.CODE_SIGNING)), "not signed by the issuer"),
        (response(house, leaf=other), "about another certificate"),
        (response(house, due=NOW - DAY), "not current"),
        (b"\x30\x03\x0a\x01\x00", ""),
        (b"junk", "malformed"),
    ):
        conclusion, line = house.line(stapled(house.stamped, der))
        assert line.outcome is Outcome.ABSENT and why in line.summary, (why, line)
        assert conclusion is Conclusion.PROVED, why


# --- files and the command line --------------------------------------------------------------------------------------


def test_import_refuses_what_it_cannot_judge(house):
    crl = house.crl()
    pem = x509.load_der_x509_crl(crl.der).public_bytes(Encoding.PEM)
    assert import_revocation_list("acme", pem) == crl
    for junk in (b"", b"junk", house.root.certificate_pem()):
        with pytest.raises(ConfigError, match="not a certificate revocation list"):
            import_revocation_list("x", junk)
    builder = x509.CertificateRevocationListBuilder().issuer_name(house.root.certificate.subject)
    builder = builder.last_update(NOW).next_update(NOW + DAY).add_extension(x509.DeltaCRLIndicator(1), critical=True)
    with pytest.raises(ConfigError, match="delta"):
        import_revocation_list("x", builder.sign(house.root.key, hashes.SHA256()).public_bytes(Encoding.DER))


def test_from_the_command_line(house, tmp_path, capsys):
    (tmp_path / "acme.crl").write_bytes(house.crl(house.leaf.certificate.serial_number).der)
    (tmp_path / "root.pem").write_bytes(house.root.certificate_pem())
    (tmp_path / "photo.png").write_bytes(house.stamped)
    data = ["--data-dir", str(tmp_path / "data")]
    main(["keys", "init", *data])
    assert main(["trust", "import", str(tmp_path / "root.pem"), "--kind", "signers", "--name", "acme", *data]) == 0
    assert main(["verify", str(tmp_path / "photo.png"), *data]) == 0
    assert main(["trust", "import", str(tmp_path / "acme.crl"), "--kind", "revocations", "--name", "acme", *data]) == 0
    assert "1 revoked by" in capsys.readouterr().out
    assert main(["verify", "--verbose", str(tmp_path / "photo.png"), *data]) == 4
    assert "revoked on" in capsys.readouterr().out
    assert main(["trust", "list", *data]) == 0
    assert "revocations  acme" in capsys.readouterr().out
    assert main(["trust", "remove", "acme", "--kind", "revocations", *data]) == 0
    assert main(["verify", str(tmp_path / "photo.png"), *data]) == 0
