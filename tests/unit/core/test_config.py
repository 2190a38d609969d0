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
    with pytest.raises(ConfigError, match="lisden"):
        load_config(None, {"GENSAFE_SERVER_LISDEN": "127.0.0.1:1"})


def test_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError):
        load_config(tmp_path / "absent.toml")


def test_secrets_are_redacted():
    config = Config()
    config = type(config)(generation=type(config.generation)(options={"api_key": "hunter2", "engine": "numpy"}))
    shown = redacted(config)
    assert shown["generation"]["options"] == {"api_key": "[redacted]", "engine": "numpy"}
    assert "hunter2" not in str(shown)
