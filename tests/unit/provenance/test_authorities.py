"""Outside time-stamp authorities: a real HTTP server that answers well, badly, slowly or not at all.

Before, the only client of one accepted a token of any authority (nothing was checked against a list), plain http to any
host, and waited as long as the peer sent a byte now and then; and ``serve`` did not use it at all.
"""

import importlib.util
from pathlib import Path

import pytest

from gensafe.core.clock import SystemClock
from gensafe.core.config import load_config
from gensafe.core.errors import ConfigError, SigningFailed
from gensafe.keys import pki
from gensafe.provenance import Exchange, LocalTimeStamper, OutsideTimeStamper, read_asset, sign_asset
from gensafe.provenance.authorities import FAILURES_TO_OPEN, REST_S
from gensafe.provenance.tsa import LOCAL_POLICY, read_token

_spec = importlib.util.spec_from_file_location("authority", Path(__file__).parents[2] / "assets" / "time_authority.py")
module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(module)
DIGEST = bytes(range(32))
PATIENT = Exchange(total_s=20.0)


@pytest.fixture
def authority(bench):
    with module.serving(bench.tsa) as found:
        yield found


def client(bench, *urls, exchange=PATIENT, **more):
    return OutsideTimeStamper(urls, bench.ring.tsa_anchors, exchange, **more)


def test_a_signed_file_carries_its_stamp_and_names_it(authority, files, bench, samples):
    _, url = authority
    tsa = client(bench, f"{url}/tsa?x=1")
    data, manifest = sign_asset(
        files["image/png"], "image/png", samples.facts(), bench.ring.claim_signer(), tsa, bench.trust
    )
    assert read_asset(data, "image/png", trust=bench.trust).time_stamp.trusted
    assert "time-stamp authority" in manifest.stamped_by
    assert tsa.problems() == () and not tsa.down


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("junk", "not an RFC 3161"),
        ("refuse", "rejection"),
        ("other", "another request"),
        ("nonce", "another request"),
        ("down", "503"),
        ("large", "more than"),
        ("forged", "not from an authority"),
    ],
)
def test_a_bad_answer_is_refused_and_the_next_authority_asked(authority, bench, path, message):
    handler, url = authority
    with pytest.raises(SigningFailed, match=message):
        client(bench, f"{url}/{path}").stamp(DIGEST)
    tsa = client(bench, f"{url}/{path}", f"{url}/good")
    assert read_token(tsa.stamp(DIGEST)).imprint == DIGEST
    assert handler.asked[-2:] == [f"/{path}", "/good"]
    assert message in tsa.problems()[0] and not tsa.down


def test_a_token_of_an_authority_on_no_list_is_refused(bench):
    now = SystemClock().now_ms()
    leaf = pki.make_tsa_leaf("stranger", now, pki.make_ca("stranger root", now))
    stranger = LocalTimeStamper(leaf.key, leaf.certificate_pem(), SystemClock())
    with module.serving(stranger) as (_, url):
        with pytest.raises(SigningFailed, match="not from an authority on the time-stamp lists"):
            client(bench, url).stamp(DIGEST)
        with pytest.raises(SigningFailed, match="no time-stamp list"):
            OutsideTimeStamper((url,), lambda: b"").stamp(DIGEST)


def test_a_claim_root_does_not_vouch_for_time(authority, bench):
    _, url = authority
    with pytest.raises(SigningFailed, match="not from an authority"):
        OutsideTimeStamper((url,), bench.ring.trust_anchors).stamp(DIGEST)


@pytest.mark.parametrize("path", ["silent", "drip"])
def test_a_slow_authority_ends_at_the_total_time(authority, bench, path):
    """A byte each 0.2 s kept the client of before waiting: its limit was for each read."""
    _, url = authority
    with pytest.raises(SigningFailed, match=r"within 0\.6 s|timed out"):
        client(bench, f"{url}/{path}", exchange=Exchange(total_s=0.6)).stamp(DIGEST)


def test_the_policy_is_asked_for_and_checked(authority, bench):
    _, url = authority
    assert client(bench, url, exchange=Exchange(policy=LOCAL_POLICY)).stamp(DIGEST)
    with pytest.raises(SigningFailed, match="under policy"):
        client(bench, url, exchange=Exchange(policy="1.3.6.1.4.1.99999.1")).stamp(DIGEST)


def test_an_authority_that_fails_again_and_again_is_left_alone_for_a_while(authority, bench):
    handler, url = authority
    now = [0.0]
    handler.down.add("/first")
    tsa = client(bench, f"{url}/first", f"{url}/second", clock=lambda: now[0])
    for _ in range(FAILURES_TO_OPEN + 2):
        tsa.stamp(DIGEST)
    assert handler.asked.count("/first") == FAILURES_TO_OPEN
    handler.down.clear()
    now[0] += REST_S + 1
    tsa.stamp(DIGEST)
    assert handler.asked[-1] == "/first" and tsa.problems() == ()


def test_when_all_are_left_alone_signing_fails_at_once_and_says_why(authority, bench):
    handler, url = authority
    tsa = client(bench, f"{url}/down", clock=lambda: 0.0)
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(SigningFailed, match="503"):
            tsa.stamp(DIGEST)
    assert handler.asked.count("/down") == FAILURES_TO_OPEN
    assert tsa.down


def test_an_authority_that_answers_again_when_it_is_asked_has_no_problem(authority, bench):
    """``ask_all`` kept the old problem: doctor and health named an authority that works."""
    handler, url = authority
    now = [0.0]
    handler.down.add("/first")
    tsa = client(bench, f"{url}/first", clock=lambda: now[0])
    for _ in range(FAILURES_TO_OPEN):
        assert tsa.ask_all()
    assert tsa.down
    handler.down.clear()
    tsa.ask_rested()
    assert tsa.down and handler.asked.count("/first") == FAILURES_TO_OPEN  # left alone
    now[0] += REST_S + 1
    tsa.ask_rested()
    assert not tsa.down and tsa.problems() == ()
    handler.down.add("/first")
    assert tsa.ask_all()
    handler.down.clear()
    assert tsa.ask_all() == ()


def test_nobody_there(bench):
    with pytest.raises(SigningFailed, match="cannot be reached"):
        client(bench, "http://127.0.0.1:9/").stamp(bytes(32))


def test_proxies_of_the_environment_are_not_used(authority, bench, monkeypatch):
    _, url = authority
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert client(bench, url).stamp(DIGEST)
    with pytest.raises(SigningFailed, match="cannot be reached"):
        client(bench, url, exchange=Exchange(proxy="http://127.0.0.1:9")).stamp(DIGEST)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://tsa.example/", "https://", "https://h:x/", "tsa", ""])
def test_addresses_that_are_refused(url):
    with pytest.raises(ConfigError):
        OutsideTimeStamper((url,), lambda: b"")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('environment = "production"', "names who time-stamps"),
        ('[signing]\ntime_stamp = ["http://tsa.example/"]', "not the address"),
        ('[signing]\ntime_stamp = ["none", "https://tsa.example/"]', "authorities and none"),
        ("[signing]\ntime_stamp = [1]", "is not a str"),
        ('[signing]\ntime_stamp_policy = "x"', "dotted OID"),
        ("[signing]\ntime_stamp_total_s = 0", "out of range"),
        ('[audit]\ntime_stamp = "http://tsa.example/"', "not the address"),
    ],
)
def test_configurations_that_are_refused(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


@pytest.mark.parametrize(
    "text", ['"none"', '["none"]', '"https://a.example/ https://b.example/"', '["http://localhost:1/"]']
)
def test_configurations_that_are_accepted(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(f'environment = "production"\n[signing]\ntime_stamp = {text}\n')
    assert load_config(path).signing.time_stamp
    spelled = load_config(path, {"GENSAFE_SIGNING_TIME_STAMP": "https://a.example/,https://b.example/"})
    assert spelled.signing.time_stamp == ("https://a.example/", "https://b.example/")
