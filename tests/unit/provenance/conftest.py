"""Fixtures shared by the provenance tests."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "provenance_samples", Path(__file__).parents[2] / "assets" / "provenance_samples.py"
)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)


@pytest.fixture(scope="session")
def samples():
    """The sample-making module."""
    return _module


@pytest.fixture(scope="session")
def files():
    """Unsigned files, one per media type."""
    return _module.all_files()


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """A key ring with trust store and time-stamp authority."""
    return _module.make_bench(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def signed(files, bench):
    """(bytes, manifest) per media type, signed once."""
    return {media_type: bench.sign(data, media_type) for media_type, data in files.items()}
