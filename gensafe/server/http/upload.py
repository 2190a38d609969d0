"""The file in a request: of a form with one file, or a plain body. Kept in memory: nothing touches the disk."""

from __future__ import annotations

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gensafe.core.errors import InvalidRequest
from gensafe.core.languages import N_

MAX_NAME = 200  # characters of a file name that a report repeats. Chosen, not measured
MAX_FILES = 64  # more than one is refused in words; a bound so that a form cannot have any number of parts
NO_FILE = N_("choose a file first")
SEVERAL = N_("one file at a time, please: send the files one after the other")
NO_FORM = N_("the form cannot be read: send one file, in the field named file")


async def read_upload(request: Request, max_bytes: int) -> tuple[str, bytes]:
    """(file name, content).

    Raises:
        InvalidRequest: no file, an empty one, several, or a malformed form.
        ClientDisconnect: the client went away.
    """
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        body = await request.body()
        if not body:
            raise InvalidRequest(NO_FILE)
        return request.headers.get("x-file-name", "")[:MAX_NAME], body
    parser = MultiPartParser(request.headers, request.stream(), max_files=MAX_FILES, max_fields=4)
    parser.spool_max_size = max_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException:
        raise InvalidRequest(NO_FORM) from None
    try:
        items = [item for item in form.getlist("file") if not isinstance(item, str)]
        if len(items) > 1:
            raise InvalidRequest(SEVERAL)
        data = await items[0].read() if items else b""
        if not data:
            raise InvalidRequest(NO_FILE)
        return (items[0].filename or "")[:MAX_NAME], data
    finally:
        await form.close()
