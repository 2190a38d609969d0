"""Labels the law asks for: metadata fields in the file (latent), and a notice a person sees or hears (visible).

Latent labels are written after encoding and before C2PA signing (a field added later would break the signature), one
place per container, listed in docs/labels.md. Reading never trusts what it reads: a label is a claim, not a proof.
"""

from gensafe.media.labels.latent import LABELLED_TYPES, can_label, evidence, read_labels, write_labels
from gensafe.media.labels.model import PROFILES, Aigc, LatentLabel, Profile
from gensafe.media.labels.visible import VisibleEvidence, apply_visible

__all__ = [
    "LABELLED_TYPES",
    "PROFILES",
    "Aigc",
    "LatentLabel",
    "Profile",
    "VisibleEvidence",
    "apply_visible",
    "can_label",
    "evidence",
    "read_labels",
    "write_labels",
]
