"""Unit tests lie where the code lies: a folder of tests for each package, and no folder without a package."""

from pathlib import Path

UNIT = Path(__file__).parent
ROOT = UNIT.parents[1]
SHIPPED_TO_TESTS = {
    "testing",
    "v1",
    "extproc",
}  # contract suites run in tests/contract; generated code is checked by buf
PLUGINS = {"guards", "symphony", "watermark", "benchmarks"}


def folders(path: Path) -> set[str]:
    return {p.name for p in path.iterdir() if p.is_dir() and p.name != "__pycache__"}


def test_each_package_has_its_folder_of_unit_tests_and_each_folder_its_package():
    assert folders(UNIT) == folders(ROOT / "gensafe") - SHIPPED_TO_TESTS | PLUGINS


def test_no_test_of_a_server_page_lies_with_the_verifier():
    # the http tests were in tests/unit/verify, the labels' beside media
    assert not [p.name for p in (UNIT / "verify").glob("test_http*")]
