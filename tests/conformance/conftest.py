"""Signed samples for the second opinions."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "provenance_samples", Path(__file__).parents[1] / "assets" / "provenance_samples.py"
)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)


@pytest.fixture(scope="session")
def samples():
    """The sample-making module."""
    return _module


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """A key ring with trust store and time-stamp authority."""
    return _module.make_bench(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def signed(bench):
    """(bytes, manifest) per media type."""
    return {media_type: bench.sign(data, media_type) for media_type, data in _module.all_files().items()}
