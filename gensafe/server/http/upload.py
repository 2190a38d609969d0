"""The file in a request: of a form with one file, or a plain body. Kept in memory: nothing touches the disk."""

from __future__ import annotations

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

MAX_NAME = 200


async def read_upload(request: Request, max_bytes: int) -> tuple[str, bytes | None]:
    """(file name, content); None where there is no file, an empty one, or a malformed form.

    Raises:
        ClientDisconnect: the client went away.
    """
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        body = await request.body()
        return request.headers.get("x-file-name", "")[:MAX_NAME], body or None
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=4)
    parser.spool_max_size = max_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException:
        return "", None
    try:
        item = form.get("file")
        if item is None or isinstance(item, str):
            return "", None
        data = await item.read()
        return (item.filename or "")[:MAX_NAME], data or None
    finally:
        await form.close()
