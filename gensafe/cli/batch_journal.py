"""The journal of a batch: one line for each row that ended, durable before the next row begins.

The first line names the batch: a random id and the digest of the prompts. A row's request id follows from both, so a
row that was released when the process was killed is served again under its id, and never made twice. A last line
without its end is what a kill left behind: it is cut off, and its row is asked for again.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from gensafe.core.errors import InvalidRequest, OutputFailed

NAME: Final = "journal.jsonl"
FORMAT: Final = "gensafe.batch/1"
ENDED: Final = frozenset({"written", "blocked"})
"""States that a further run does not try again."""


class Journal:
    """An open journal; a context manager. Only one process at a time has it.

    Args:
        folder: Of the results; made if missing.
        prompts: Digest of the prompts.

    Raises:
        InvalidRequest: the folder belongs to other prompts, or to a batch that is running.
        OutputFailed: it cannot be written.
    """

    def __init__(self, folder: Path, prompts: str) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / NAME).open("a+b")
        except OSError as error:
            raise OutputFailed(f"cannot write {folder / NAME}: {error.strerror}", field="--out") from None
        try:
            self._lock(folder)
            self._batch = self._read(folder, prompts)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def request_id(self, row: int) -> str:
        """The id under which a row is asked for, in every run."""
        return str(uuid.uuid5(self._batch, str(row)))

    def note(self, row: int, **facts: Any) -> None:  # noqa: ANN401 - JSON
        """A row ended; durable when this returns."""
        self.rows[row] = {"row": row, **facts}
        self._append(self.rows[row])

    def _lock(self, folder: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InvalidRequest(f"another batch is writing to {folder}", field="--out") from None

    def _read(self, folder: Path, prompts: str) -> uuid.UUID:
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            self._file.truncate(len(whole))
        if not whole:
            batch = uuid.uuid4()
            self._append({"format": FORMAT, "batch": str(batch), "prompts": prompts})
            return batch
        try:
            first, *rest = map(json.loads, whole.splitlines())
            batch, of = uuid.UUID(first["batch"]), first["prompts"]
            self.rows = {int(line["row"]): line for line in rest}
        except (ValueError, KeyError, TypeError):
            raise InvalidRequest(f"{folder / NAME} is not a batch's journal", field="--out") from None
        if of != prompts:
            raise InvalidRequest(
                f"{folder} has the results of other prompts", field="--out", fix="name another folder for these"
            )
        return batch

    def _append(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, sort_keys=True).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputFailed(f"cannot write {NAME}: {error.strerror}", field="--out") from None
