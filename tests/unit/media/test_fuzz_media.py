"""A short run of the fuzzer; the long one is ``python -m tests.fuzz.media``."""

from tests.fuzz.media import run


def test_mutated_files_of_every_container_give_only_our_errors():
    said = []
    assert run(600, 3, say=said.append) == 0, "\n".join(said)
