"""The XMP packet (ISO 16684-1) that carries a label in PNG, JPEG, WebP, WAV, MP3 and MP4."""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from gensafe.core.errors import UnreadableMedia
from gensafe.media.labels.model import LatentLabel

MAX_PACKET: Final = 256 * 1024  # bytes; labels are far smaller, and what is unpacked must have a bound. A round number

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TC260: Final = "http://www.tc260.org.cn/ns/AIGC/1.0/"
XMP: Final = "http://ns.adobe.com/xap/1.0/"
OWN: Final = "urn:gensafe:label:1#"

_PREFIX: Final = {IPTC: "Iptc4xmpExt", TC260: "TC260", XMP: "xmp", OWN: "gensafe"}
_NAMES: Final = {f"{{{uri}}}": f"{prefix}:" for uri, prefix in _PREFIX.items()}
_HEAD: Final = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_TAIL: Final = '<?xpacket end="r"?>'


def fields_of(label: LatentLabel) -> dict[str, str]:
    """Qualified property -> value, in the order they are written. Empty values are left out."""
    values = {
        "Iptc4xmpExt:DigitalSourceType": label.source_type,
        "Iptc4xmpExt:AISystemUsed": label.system,
        "Iptc4xmpExt:AISystemVersionUsed": label.version,
        "xmp:CreateDate": label.time,
        "xmp:CreatorTool": f"{label.system} {label.version}".strip(),
        "gensafe:provider": label.provider,
        "gensafe:system": label.system,
        "gensafe:version": label.version,
        "gensafe:time": label.time,
        "gensafe:contentId": label.content_id,
        "gensafe:action": "altered" if label.altered else "created",
        "gensafe:detector": label.detector,
        "gensafe:profile": label.profile,
        "TC260:AIGC": label.aigc.encode() if label.aigc else "",
    }
    return {name: value for name, value in values.items() if value}


def encode(label: LatentLabel) -> bytes:
    """A read-only packet whose properties are attributes of one description."""
    attributes = "".join(f"\n   {name}={quoteattr(value)}" for name, value in fields_of(label).items())
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for uri, prefix in _PREFIX.items())
    body = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n <rdf:RDF xmlns:rdf="{RDF}">\n'
        f'  <rdf:Description rdf:about=""{spaces}{attributes}/>\n </rdf:RDF>\n</x:xmpmeta>'
    )
    return f"{_HEAD}\n{body}\n{_TAIL}".encode()


def decode(packet: bytes) -> dict[str, str]:
    """The properties of known namespaces, written as attributes or as simple elements.

    Raises:
        UnreadableMedia: not XML, too large, or with a document type (entities are never expanded).
    """
    if len(packet) > MAX_PACKET:
        raise UnreadableMedia("the XMP packet is too large")
    try:
        text = packet.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableMedia("the XMP packet is not UTF-8") from None
    if "<!" in text.replace("<!--", ""):
        raise UnreadableMedia("the XMP packet declares a document type")
    text = re.sub(r"<\?xpacket[^>]*\?>", "", text).strip("\x00 \r\n\t\ufeff")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no document type, bounded size
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise UnreadableMedia(f"the XMP packet is not XML: {error}") from None
    found: dict[str, str] = {}
    for description in root.iter(f"{{{RDF}}}Description"):
        for name, value in description.attrib.items():
            _take(found, name, value)
        for child in description:
            if len(child) == 0 and child.text:
                _take(found, child.tag, child.text)
            elif len(child) == 0 and f"{{{RDF}}}resource" in child.attrib:
                _take(found, child.tag, child.attrib[f"{{{RDF}}}resource"])
    return found


def _take(found: dict[str, str], name: str, value: str) -> None:
    for uri, prefix in _NAMES.items():
        if name.startswith(uri):
            found.setdefault(prefix + name[len(uri) :], value)
