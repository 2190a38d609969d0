"""Text watermark: presence and key id by distortion-free sampling, found again from the tokens alone.

Text of ordinary length cannot carry a record id under an error bound of one in a million, so the mark says *that* a
text was sampled under a key, and under which key id; its record is found by fingerprint.
"""

from gensafe_watermark.text.common import common_passages
from gensafe_watermark.text.detector import Evidence, SamplingScheme, create_sampling, detect, sampler
from gensafe_watermark.text.keys import KeyCheck, check_keys, usable_key_ids
from gensafe_watermark.text.processors import SequenceLogitsProcessor, TransformersLogitsProcessor

__all__ = [
    "Evidence",
    "KeyCheck",
    "SamplingScheme",
    "SequenceLogitsProcessor",
    "TransformersLogitsProcessor",
    "check_keys",
    "common_passages",
    "create_sampling",
    "detect",
    "sampler",
    "usable_key_ids",
]
