"""The contract that every backend keeps, on this one."""

from typing import ClassVar

import backwards

from gensafe.core.types import Modality
from gensafe.testing.backend_contract import BackendContract


class TestBackwards(BackendContract):
    prompts: ClassVar = {Modality.TEXT: "one two three four five six"}

    def make_backend(self):
        return backwards.create({})
