"""Write a label into an encoded file and read labels back: one entry point for all containers."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from gensafe.core.errors import ConfigError, UnreadableMedia, UnsupportedMedia
from gensafe.media.labels import images, mp4, sound, xmp
from gensafe.media.labels.model import PROFILES, LatentLabel
from gensafe.media.sniff import canonical_type

LABELLED_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "audio/wav", "audio/mpeg", "video/mp4")
_OWN_FIELDS: Final = {
    "provider": "gensafe:provider",
    "system": "gensafe:system",
    "version": "gensafe:version",
    "time": "gensafe:time",
    "content_id": "gensafe:contentId",
    "action": "gensafe:action",
    "source_type": "Iptc4xmpExt:DigitalSourceType",
    "detector": "gensafe:detector",
}


def can_label(media_type: str) -> bool:
    """Whether this container has a place for label fields (plain text has none)."""
    return canonical_type(media_type) in LABELLED_TYPES


def write_labels(data: bytes, media_type: str, label: LatentLabel) -> bytes:
    """Write ``label`` into an encoded file; samples and pixels stay as they are. Deterministic.

    Args:
        data: The file, not yet signed.
        media_type: One of ``LABELLED_TYPES``.
        label: What to say.

    Raises:
        ConfigError: the profile asks for a field the label does not have.
        UnsupportedMedia: no place for labels in this container, or a structure that is not handled.
        UnreadableMedia: the bytes are not what ``media_type`` says.
    """
    profile = PROFILES.get(label.profile)
    if profile is not None and profile.aigc and label.aigc is None:
        raise ConfigError(f"profile {profile.name!r} asks for an AIGC label", field="aigc", fix="set the producer code")
    packet = xmp.encode(label)
    match canonical_type(media_type):
        case "image/png":
            return images.write_png(data, packet)
        case "image/jpeg":
            return images.write_jpeg(data, packet)
        case "image/webp":
            return images.write_webp(data, packet)
        case "audio/wav":
            return sound.write_wav(data, packet, label)
        case "audio/mpeg":
            return sound.write_mp3(data, packet, label)
        case "video/mp4":
            return mp4.write_mp4(data, packet, label)
    raise UnsupportedMedia(f"{media_type} has no place for label fields")


def read_labels(data: bytes, media_type: str) -> dict[str, Any]:
    """Everything a file says about being generated.

    Returns:
        ``label``: GenSafe's own fields by name; ``iptc``: Iptc4xmpExt properties; ``aigc``: the parsed AIGC object;
        ``aigc_places``: where it was found; ``packets``: how many XMP packets there are; ``problems``: what is wrong
        with them (two labels, unparsable JSON). Keys without content are left out; {} = no label.

    Raises:
        UnsupportedMedia: not a container labels are read from.
        UnreadableMedia: the container is damaged.
    """
    packets, texts = _packets(data, canonical_type(media_type))
    found: dict[str, Any] = {}
    problems: list[str] = []
    properties: dict[str, str] = {}
    for packet in packets:
        try:
            properties = {**xmp.decode(packet), **properties}
        except UnreadableMedia as error:
            problems.append(error.message)
    own = {name: properties[key] for name, key in _OWN_FIELDS.items() if key in properties}
    if "provider" in own:
        found["label"] = own
        if profile := properties.get("gensafe:profile"):
            found["label"]["profile"] = profile
    iptc = {k.partition(":")[2]: v for k, v in properties.items() if k.startswith("Iptc4xmpExt:")}
    if iptc:
        found["iptc"] = iptc
    places = [("xmp", properties["TC260:AIGC"])] if "TC260:AIGC" in properties else []
    places += [("container", text) for text in texts]
    if places:
        found["aigc_places"] = [place for place, _ in places]
        objects = [_aigc(text) for _, text in places]
        if objects[0] is None:
            problems.append("the AIGC label is not a JSON object")
        else:
            found["aigc"] = objects[0]
        if any(other != objects[0] for other in objects[1:]):
            problems.append("two AIGC labels disagree")
    if len(packets) > 1:
        problems.append(f"{len(packets)} XMP packets")
    if packets:
        found["packets"] = len(packets)
    if problems:
        found["problems"] = problems
    return found


def evidence(label: LatentLabel, data: bytes, media_type: str) -> dict[str, object]:
    """What was found on reading the final bytes back, in the canonical profile, for the audit entry.

    ``fields`` are those the profile asks for and that are there; ``missing`` those that are not.
    """
    found = read_labels(data, media_type)
    own, profile = found.get("label", {}), PROFILES.get(label.profile)
    wanted = profile.fields if profile else tuple(_OWN_FIELDS)
    there = {name for name in wanted if (name == "aigc" and "aigc" in found) or name in own}
    result: dict[str, object] = {
        "profile": label.profile,
        "fields": sorted(there),
        "missing": sorted(set(wanted) - there),
        "action": own.get("action", ""),
    }
    if "aigc" in found and label.aigc:
        result["aigc_digest"] = "sha256:" + hashlib.sha256(label.aigc.encode().encode()).hexdigest()
    return result


def _packets(data: bytes, media_type: str) -> tuple[list[bytes], list[str]]:
    match media_type:
        case "image/png":
            return images.read_png(data), []
        case "image/jpeg":
            return images.read_jpeg(data), []
        case "image/webp":
            return images.read_webp(data), []
        case "audio/wav":
            return sound.read_wav(data), []
        case "audio/mpeg":
            return sound.read_mp3(data)
        case "video/mp4":
            return mp4.read_mp4(data)
    raise UnsupportedMedia(f"labels are not read from {media_type}")


def _aigc(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
