"""The claim key in AWS KMS, as the emulator moto plays it over HTTP in a Python of its own (``TEST_MOTO_PYTHON``)."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from gensafe.core import plugins
from gensafe.core.clock import SystemClock
from gensafe.core.errors import ConfigError, SigningFailed
from gensafe.keys import pki
from gensafe.keys.signers.aws_kms import LARGEST_RAW
from gensafe.provenance import TrustList, TrustStore, sign_asset
from gensafe.testing.signer_contract import check_failure, check_signer

_spec = importlib.util.spec_from_file_location(
    "provenance_samples", Path(__file__).parents[2] / "assets" / "provenance_samples.py"
)
samples = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(samples)
botocore_session = pytest.importorskip("botocore.session")
EMULATOR = Path(__file__).parents[2] / "assets" / "kms_emulator.py"
NOW = SystemClock().now_ms()


@pytest.fixture(scope="module")
def kms():
    """(address, client) of the emulator."""
    python = os.environ.get("TEST_MOTO_PYTHON")
    if not python:
        pytest.skip("TEST_MOTO_PYTHON does not name a python that has moto and flask")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "emulated")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "emulated")
        process = subprocess.Popen([python, str(EMULATOR)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        url = process.stdout.readline().strip()
        client = botocore_session.Session().create_client("kms", region_name="eu-central-1", endpoint_url=url)
        yield url, client
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


def certify(client, spec, folder):
    """(key id, root, path of the chain) for a new key in KMS, certified for its public half."""
    key_id = client.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    public = load_der_public_key(client.get_public_key(KeyId=key_id)["PublicKey"])
    root = pki.make_ca("kms root", NOW)
    model = pki.make_claim_leaf("kms signer", NOW, root).certificate
    builder = x509.CertificateBuilder().subject_name(model.subject).issuer_name(model.issuer).public_key(public)
    builder = builder.serial_number(model.serial_number)
    builder = builder.not_valid_before(model.not_valid_before_utc).not_valid_after(model.not_valid_after_utc)
    for extension in model.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectKeyIdentifier):
            value = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = builder.add_extension(value, critical=extension.critical)
    path = folder / f"{key_id}.pem"
    path.write_bytes(builder.sign(root.key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return key_id, root, str(path)


def load(url, **options):
    return plugins.load("gensafe.signers", "aws-kms", {"region": "eu-central-1", "endpoint": url, **options})


def test_a_p256_key_keeps_the_contract_and_signs_a_picture(kms, tmp_path):
    url, client = kms
    key_id, root, chain = certify(client, "ECC_NIST_P256", tmp_path)
    signer = load(url, key_id=key_id, chain=chain)
    check_signer(signer)
    trust = TrustStore((TrustList("kms", root.certificate_pem()),))
    data, manifest = sign_asset(samples.image("PNG"), "image/png", samples.facts(), signer, None, trust)
    assert manifest.embedded and data.startswith(b"\x89PNG")


@pytest.mark.parametrize("spec", ["ECC_NIST_P384", "ECC_NIST_P521"])
def test_other_curves_sign(kms, tmp_path, spec):
    url, client = kms
    key_id, _, chain = certify(client, spec, tmp_path)
    assert load(url, key_id=key_id, chain=chain).sign(b"x" * LARGEST_RAW)


def test_a_key_that_is_gone_or_another_one_stops_the_start(kms, tmp_path):
    url, client = kms
    key_id, _, chain = certify(client, "ECC_NIST_P256", tmp_path)
    other, _, _ = certify(client, "ECC_NIST_P256", tmp_path)
    with pytest.raises(SigningFailed, match=r"GetPublicKey.*NotFound"):
        load(url, key_id="00000000-0000-0000-0000-000000000000", chain=chain)
    with pytest.raises(SigningFailed, match="not the certificate's"):
        load(url, key_id=other, chain=chain)
    with pytest.raises(SigningFailed, match="Could not connect"):
        load("http://127.0.0.1:9", key_id=key_id, chain=chain)


def test_a_key_that_goes_away_fails_each_signature(kms, tmp_path):
    url, client = kms
    key_id, _, chain = certify(client, "ECC_NIST_P256", tmp_path)
    alias = "alias/claim"
    client.create_alias(AliasName=alias, TargetKeyId=key_id)
    signer = load(url, key_id=alias, chain=chain)
    assert signer.sign(b"claim")
    client.delete_alias(AliasName=alias)
    check_failure(signer)


def test_what_is_configured_wrongly_is_named(kms, tmp_path):
    url, client = kms
    key_id, _, chain = certify(client, "ECC_NIST_P256", tmp_path)
    for options, field in (
        ({"chain": chain}, "key_id"),
        ({"key_id": key_id, "chain": chain, "secret": "x"}, "secret"),
        ({"key_id": key_id, "chain": chain, "region": ""}, "signing.options: You must specify a region"),
        ({"key_id": key_id, "chain": chain, "endpoint": "kms"}, "signing.options: Invalid endpoint"),
        ({"key_id": key_id, "chain": certify(client, "RSA_2048", tmp_path)[2]}, "chain: a certificate for ps256"),
        ({"key_id": key_id, "chain": str(tmp_path / "none.pem")}, "chain"),
    ):
        with pytest.raises(ConfigError, match=field):
            load(url, **options)
