"""Configuration: safe defaults, refused combinations, errors that name the key."""

from pathlib import Path

import pytest

from gensafe.core.config import Config, is_loopback, load_config, redacted
from gensafe.core.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_defaults_listen_on_loopback_only():
    config = load_config()
    assert is_loopback(config.server.listen)
    assert config.server.http == ""
    assert config.environment == "development"


def test_file_then_environment(tmp_path):
    path = write(
        tmp_path, '[server]\nmax_concurrent = 2\nlisten = "127.0.0.1:1"\n[generation.options]\nengine = "numpy"\n'
    )
    config = load_config(
        path, {"GENSAFE_SERVER_LISTEN": "127.0.0.1:2", "GENSAFE_DATA_DIR": "elsewhere", "PATH": "/bin"}
    )
    assert (config.server.max_concurrent, config.server.listen) == (2, "127.0.0.1:2")
    assert config.generation.options == {"engine": "numpy"}
    assert config.data_dir == "elsewhere"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("nonsense = 1", "nonsense"),
        ("[server]\nlisten = 7", "server.listen"),
        ("[server]\nmax_concurrent = 'many'", "server.max_concurrent"),
        ("[server]\nmax_concurrent = 0", "server.max_concurrent"),
        ("[server]\nreflection = 'perhaps'", "server.reflection"),
        ("server = 3", "server"),
        ("[server]\nlisten = 'nowhere'", "server.listen"),
        ("[server]\nlisten = '0.0.0.0:50051'", "server.listen"),
        ("[server]\ntls_certificate = 'a.pem'", "server.tls_certificate"),
        ("[server]\ntls_client_ca = 'a.pem'", "server.tls_client_ca"),
        ("environment = 'staging'", "environment"),
        ("environment = 'production'\n[generation]\nbackend = 'simulator'", "generation.backend"),
        ("[generation.options]\nengine = 3", "generation.options"),
        ("not toml", "--config"),
    ],
)
def test_errors_name_the_key(tmp_path, text, field):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert caught.value.field == field


def test_tls_without_identity_is_refused_off_loopback(tmp_path):
    text = "[server]\nlisten = '0.0.0.0:1'\ntls_certificate = 'a'\ntls_key = 'b'\n"
    with pytest.raises(ConfigError, match="anonymous"):
        load_config(write(tmp_path, text))
    assert load_config(write(tmp_path, text + "api_keys = 'c'\n")).server.api_keys == "c"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("127.9.9.9:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("example.org:1", False),
    ],
)
def test_loopback(address, expected):
    assert is_loopback(address) is expected


def test_environment_names_of_other_parts_are_left_alone_and_misspelt_settings_are_not():
    config = load_config(None, {"GENSAFE_API_KEY": "secret", "GENSAFE_KEY_PASSPHRASE": "secret"})
    assert config == Config()
    for name, near in (
        ("GENSAFE_SERVER_LISDEN", "GENSAFE_SERVER_LISTEN"),
        ("GENSAFE_SERVR_LISTEN", "GENSAFE_SERVER_LISTEN"),
        ("GENSAFE_API_KEYS", "GENSAFE_API_KEY"),
        ("GENSAFE_SERVER_OIDC_ISUER", "GENSAFE_SERVER_OIDC_ISSUER"),
    ):
        with pytest.raises(ConfigError, match=f"did you mean {near}") as caught:
            load_config(None, {name: "127.0.0.1:1"})
        assert caught.value.field == name
    for name in ("GENSAFE_ENGINES", "GENSAFE_USAGE_QUOTAS", "GENSAFE_GENERATION_OPTIONS"):
        with pytest.raises(ConfigError, match="in the file"):
            load_config(None, {name: "[]"})


def test_the_environment_reaches_nested_tables_and_options_of_engines():
    """Seen before: ``GENSAFE_GENERATION_OPTIONS_URL`` was an unknown key; ``GENSAFE_WATERMARK_*`` was ignored."""
    config = load_config(
        None,
        {
            "GENSAFE_GENERATION_OPTIONS_URL": "http://127.0.0.1:1",
            "GENSAFE_SERVER_OIDC_ISSUER": "https://i",
            "GENSAFE_SERVER_OIDC_AUDIENCE": "a",
            "GENSAFE_SERVER_OIDC_JWKS": "keys.json",
            "GENSAFE_SERVER_OIDC_ROLES_MAKERS": "generate",
            "GENSAFE_SERVER_OIDC_ROLES_CLAIM": "groups",
            "GENSAFE_WATERMARK_TEXT_KEY_IDS": "0,3",
            "GENSAFE_USAGE_CURRENCY": "CHF",
        },
    )
    assert config.generation.options == {"url": "http://127.0.0.1:1"}
    assert (config.server.oidc.issuer, config.server.oidc.roles_claim) == ("https://i", "groups")
    assert config.server.oidc.roles == {"makers": "generate"}
    assert config.watermark.text == {"key_ids": "0,3"}
    assert config.usage.currency == "CHF"


def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_setting():
    names = ("GENSAFE_SERVICE_HOST", "GENSAFE_SERVICE_PORT", "GENSAFE_SERVICE_PORT_GRPC", "GENSAFE_PORT",
             "GENSAFE_PORT_50051_TCP", "GENSAFE_PORT_50051_TCP_ADDR", "GENSAFE_HTTP_SERVICE_HOST")  # fmt: skip
    assert load_config(None, dict.fromkeys(names, "10.0.0.1")) == Config()


def test_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError):
        load_config(tmp_path / "absent.toml")


def test_secrets_are_redacted():
    config = Config()
    config = type(config)(generation=type(config.generation)(options={"api_key": "hunter2", "engine": "numpy"}))
    shown = redacted(config)
    assert shown["generation"]["options"] == {"api_key": "[redacted]", "engine": "numpy"}
    assert "hunter2" not in str(shown)
