"""``multipart/form-data`` with several files. Kept in memory: nothing touches the disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gensafe.core.errors import InvalidRequest, MediaError
from gensafe.core.types import InputMedia, Modality
from gensafe.media import modality_of, sniff
from gensafe.server.http.openai.fields import Fields, parse_object

MAX_FILES: Final = 16  # as OpenAI's image edits
MAX_FIELDS: Final = 64  # far more than any call takes. Chosen, not measured
MAX_NAME: Final = 200  # characters of a name that an error repeats. Chosen, not measured
_HEAD: Final = 4096  # bytes; enough for every signature

Files = dict[str, list[InputMedia]]


async def read_form(request: Request, max_bytes: int) -> tuple[Fields, Files]:
    """Text fields and files; ``name[]`` is ``name``. A JSON body is fields without files.

    Raises:
        InvalidRequest: neither a form nor JSON, a form that is malformed, or a text field twice.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return parse_object(await request.body()), {}
    if kind != "multipart/form-data":
        raise InvalidRequest("the body is not a form", fix="send multipart/form-data")
    parser = MultiPartParser(request.headers, request.stream(), max_files=MAX_FILES, max_fields=MAX_FIELDS)
    parser.spool_max_size = max_bytes + 1
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError, LookupError):  # no boundary, or a strange charset
        raise InvalidRequest("the form cannot be read", fix="send multipart/form-data") from None
    texts: dict[str, Any] = {}
    files: Files = {}
    try:
        for name, item in form.multi_items():
            name = name.removesuffix("[]")
            if isinstance(item, UploadFile):
                data = await item.read()
                if not data:
                    raise InvalidRequest("is empty", field=name[:MAX_NAME])
                media_type = item.content_type or ""
                generic = media_type in ("", "application/octet-stream")
                files.setdefault(name, []).append(InputMedia(data, "" if generic else media_type))
            elif name in texts:
                raise InvalidRequest("is there twice", field=name[:MAX_NAME])
            else:
                texts[name] = item
    finally:
        await form.close()
    return Fields(texts, form=True), files


def must_be(items: Iterable[InputMedia], kind: Modality, where: str) -> None:
    """Refuse files that are plainly of another kind, by their first bytes; the worker that reads them decides.

    Raises:
        InvalidRequest: one is.
    """
    for item in items:
        try:
            found = modality_of(sniff(item.data[:_HEAD]))
        except MediaError:
            continue
        if found is not kind:
            raise InvalidRequest(f"is {found}, not {kind}", field=where)


def one_file(files: Files, name: str) -> InputMedia:
    """The one file of that name.

    Raises:
        InvalidRequest: none, or several.
    """
    found = files.pop(name, [])
    if len(found) != 1:
        raise InvalidRequest("must be one file", field=name)
    return found[0]


def no_more_files(files: Files) -> None:
    """Refuse files that nobody asked for.

    Raises:
        InvalidRequest: names one.
    """
    for name in files:
        raise InvalidRequest("is not a file that this endpoint takes", field=name[:MAX_NAME])
