"""The layers of a report in the reader's language: their names, and what was seen in each.

The lines of a report are English, with details for experts. In other languages the page says one sentence for each
layer and outcome instead; nothing is read out of the English sentence.
"""

from __future__ import annotations

from typing import Final

from gensafe.core.languages import ENGLISH, N_, Words
from gensafe.core.types import Check, Outcome

NAMES: Final = (
    N_("container"),
    N_("manifest"),
    N_("claim signature"),
    N_("hard binding"),
    N_("signer trust"),
    N_("revocation"),
    N_("time-stamp"),
    N_("ingredients"),
    N_("AI assertions"),
    N_("soft binding"),
    N_("watermark"),
    N_("registry record"),
    N_("fingerprint"),
    N_("recovered manifest"),
    N_("log inclusion"),
    N_("checkpoint signature"),
    N_("labels"),
    N_("difference"),
    N_("mark in all parts"),
)
"""Every line that ``gensafe.verify`` can write."""

OUTCOMES: Final = {
    Outcome.PASS: N_("OK"),
    Outcome.FAIL: N_("failed"),
    Outcome.ABSENT: N_("not present"),
    Outcome.UNSUPPORTED: N_("not checked"),
    Outcome.ERROR: N_("error"),
}
_USUAL: Final = {
    Outcome.PASS: N_("Nothing speaks against it."),
    Outcome.FAIL: N_("This check failed."),
    Outcome.ABSENT: N_("There is nothing of this kind."),
    Outcome.UNSUPPORTED: N_("This cannot be checked here."),
    Outcome.ERROR: N_("This could not be examined."),
}
_SEEN: Final = {
    ("container", Outcome.PASS): N_("The content can be read."),
    ("container", Outcome.FAIL): N_("The content is damaged, cut off, or was refused by a limit."),
    ("container", Outcome.UNSUPPORTED): N_("Files of this type are not examined here."),
    ("manifest", Outcome.PASS): N_("There is a C2PA manifest."),
    ("manifest", Outcome.FAIL): N_("The manifest is damaged."),
    ("manifest", Outcome.ABSENT): N_("There is no C2PA manifest in the file."),
    ("manifest", Outcome.UNSUPPORTED): N_("The manifest is kept elsewhere; nothing is fetched."),
    ("claim signature", Outcome.PASS): N_("The signature is valid."),
    ("claim signature", Outcome.FAIL): N_("The signature is not valid."),
    ("hard binding", Outcome.PASS): N_("The bytes are those that were signed."),
    ("hard binding", Outcome.FAIL): N_("The bytes are not those that were signed."),
    ("signer trust", Outcome.PASS): N_("The signer is on a trust list used here."),
    ("signer trust", Outcome.FAIL): N_("The signer is on none of the trust lists used here."),
    ("revocation", Outcome.PASS): N_("The certificate was not revoked."),
    ("revocation", Outcome.FAIL): N_("The certificate was revoked."),
    ("revocation", Outcome.ABSENT): N_("It is not known whether the certificate was revoked."),
    ("time-stamp", Outcome.PASS): N_("A trusted authority confirms the time of signing."),
    ("time-stamp", Outcome.FAIL): N_("The time-stamp is not valid, or its authority is not trusted."),
    ("time-stamp", Outcome.ABSENT): N_("No trusted authority confirms a time."),
    ("ingredients", Outcome.PASS): N_("The files it was made from are recorded."),
    ("ingredients", Outcome.FAIL): N_("The credentials of a file it was made from are not valid."),
    ("ingredients", Outcome.ABSENT): N_("No files that it was made from are recorded."),
    ("AI assertions", Outcome.PASS): N_("The manifest says that AI made it."),
    ("AI assertions", Outcome.ABSENT): N_("The manifest does not say that AI made it."),
    ("soft binding", Outcome.PASS): N_("The watermark that the manifest promises is in the content."),
    ("soft binding", Outcome.FAIL): N_("The watermark and the manifest do not fit each other."),
    ("soft binding", Outcome.UNSUPPORTED): N_("The watermark that the manifest promises was not examined here."),
    ("soft binding", Outcome.ABSENT): N_("The manifest promises no watermark that could be found."),
    ("watermark", Outcome.PASS): N_("The watermark of this service is in the content."),
    ("watermark", Outcome.ABSENT): N_("No watermark was found. That does not mean that a person made it."),
    ("registry record", Outcome.PASS): N_("There is a record of this output."),
    ("registry record", Outcome.ABSENT): N_("There is no record of this file."),
    ("fingerprint", Outcome.PASS): N_("The content is like the recorded output."),
    ("fingerprint", Outcome.FAIL): N_("The content, or a part of it, is not like the recorded output."),
    ("recovered manifest", Outcome.PASS): N_("The manifest was recovered, and its signature is valid."),
    ("recovered manifest", Outcome.FAIL): N_("The recovered manifest is not valid or not trusted."),
    ("recovered manifest", Outcome.UNSUPPORTED): N_("Not needed: the file has its own manifest."),
    ("log inclusion", Outcome.PASS): N_("The log proves that this output was released."),
    ("log inclusion", Outcome.FAIL): N_("The proof of the log is not valid."),
    ("checkpoint signature", Outcome.PASS): N_("The state of the log is signed by a known key."),
    ("labels", Outcome.PASS): N_("Label fields say how it was made."),
    ("labels", Outcome.FAIL): N_("The label fields contradict each other or the manifest."),
    ("labels", Outcome.ABSENT): N_("There are no label fields."),
    ("difference", Outcome.FAIL): N_("Parts of the content were changed."),
    ("difference", Outcome.ABSENT): N_("No changed part was seen; fine edits can escape."),
    ("mark in all parts", Outcome.PASS): N_(
        "The watermark is in every part that could be judged; fine edits can escape."
    ),
    ("mark in all parts", Outcome.ABSENT): N_(
        "The watermark is weaker in some parts; an edit or compression can do this."
    ),
}


def seen(check: Check, words: Words) -> str:
    """What was seen in a layer: the line's own sentence in English, one for layer and outcome in other languages."""
    if words is ENGLISH:
        return check.summary
    return words(_SEEN.get((check.name, check.outcome), _USUAL[check.outcome]))
