"""What a configuration may not say. On the older code every case here was accepted, or refused for a wrong reason."""

from dataclasses import fields

import pytest

from gensafe.core.config import Config, ServerConfig, SigningConfig, check_config, is_loopback, load_config
from gensafe.core.errors import ConfigError

TLS = {"tls_certificate": "c.pem", "tls_key": "k.pem"}


def numbers() -> list[tuple[str, str, float, float]]:
    found = []
    for section in fields(Config):
        kind = section.default_factory
        for item in fields(kind) if isinstance(kind, type) else ():
            if item.type in ("int", "float"):
                assert "range" in item.metadata, f"{section.name}.{item.name} states no range"
                found.append((section.name, item.name, *item.metadata["range"]))
    return found


def test_numbers_out_of_range_are_refused_by_name():
    """``max_queued = -5``, ``drain_s = -1`` and ``requests_per_minute = -1`` were accepted."""
    assert len(numbers()) > 15
    for section, name, low, high in numbers():
        for value in (low - 1, high * 2 + 1, -1e18, 10**30):
            with pytest.raises(ConfigError) as caught:
                load_config(None, {f"GENSAFE_{section}_{name}".upper(): f"{value:.0f}"})
            assert caught.value.field == f"{section}.{name}"


def test_names_of_tenants_for_metrics_without_that_label_are_refused():
    names = {"metrics_tenant_names": ("acme",)}
    with pytest.raises(ConfigError, match="metrics_tenants = true"):
        check_config(Config(server=ServerConfig(**names)))
    check_config(Config(server=ServerConfig(**names, metrics_tenants=True)))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_that_are_none_are_refused(value):
    for name in ("GENSAFE_SAFETY_TIMEOUT_S", "GENSAFE_SERVER_TENANT_SHARE"):
        with pytest.raises(ConfigError):
            load_config(None, {name: value})


UNSTAMPED = SigningConfig(time_stamp=("none",))
LOCAL = "127.0.0.1 127.1 127.8.9.10 0x7f.1 2130706433 [::1] [::ffff:127.0.0.1] localhost LOCALHOST localhost."
OTHER = (
    "0.0.0.0 0 [::] [::ffff:0.0.0.0] [::ffff:192.0.2.1] 192.0.2.7 3221226000 example.org "
    "127.0.0.1.nip.io localhost.example.org"
)


@pytest.mark.parametrize(
    ("host", "expected"), [*((h, True) for h in LOCAL.split()), *((h, False) for h in OTHER.split())]
)
@pytest.mark.parametrize("environment", ["development", "production"])
def test_every_address_is_judged_the_same_for_both_ports(host, expected, environment):
    """``http = "0.0.0.0:8080"`` was accepted in production without TLS; 127.1 and ::ffff:127.0.0.1 were refused."""
    assert is_loopback(f"{host}:1") is expected
    for key in ("listen", "http"):
        config = Config(environment=environment, signing=UNSTAMPED, server=ServerConfig(**{key: f"{host}:8080"}))
        if expected:
            check_config(config)
        else:
            with pytest.raises(ConfigError, match="not loopback") as caught:
                check_config(config)
            assert caught.value.field == f"server.{key}"
    check_config(Config(environment=environment, signing=UNSTAMPED, server=ServerConfig(http=f"{host}:8080", **TLS)))


@pytest.mark.parametrize(
    "address",
    ["", "x", "127.0.0.1", ":1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:1:2", " 127.0.0.1:1", "h:-1", "h:٣"],
)
def test_malformed_addresses_name_their_key(address):
    for key in ("listen", "http"):
        if key == "http" and not address:
            continue
        with pytest.raises(ConfigError) as caught:
            check_config(Config(server=ServerConfig(**{key: address})))
        assert caught.value.field == f"server.{key}"


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "app.example.org", "https://app.example.org/", "http://app.example.org", "https://A.example"],
)
def test_what_is_no_origin_of_a_page_is_refused(origin):
    check_config(Config(server=ServerConfig(http_origins="https://app.example.org:8443 http://localhost:3000")))
    with pytest.raises(ConfigError) as caught:
        check_config(Config(server=ServerConfig(http_origins=f"https://app.example.org {origin}")))
    assert caught.value.field == "server.http_origins"


def test_overrides_of_a_command_line_are_checked_with_the_rest(tmp_path):
    """``http_classify = true`` with ``--http`` was refused: the file was checked before the option was applied."""
    path = tmp_path / "config.toml"
    path.write_text('[server]\nhttp_classify = true\napi_keys = "keys.txt"\n')
    with pytest.raises(ConfigError, match="no HTTP app"):
        load_config(path)
    assert load_config(path, server={"http": "127.0.0.1:0"}).server.http_classify
    with pytest.raises(ConfigError, match="TLS is off"):
        load_config(path, server={"http": "0.0.0.0:0"})


def test_proxies_are_addresses():
    check_config(Config(server=ServerConfig(trusted_proxies="127.0.0.1, 10.0.0.0/8,fd00::/8")))
    for wrong in ("*", "proxy.example.org", "10.0.0.1/33"):
        with pytest.raises(ConfigError, match="not an address"):
            check_config(Config(server=ServerConfig(trusted_proxies=wrong)))
