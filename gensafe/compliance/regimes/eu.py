"""EU AI Act, article 50 and the Code of Practice of 10 June 2026; articles 5(1)(ba)/(bb), 12, 19, 26(6)."""

from __future__ import annotations

from typing import Final

from gensafe.audit import entries as names
from gensafe.compliance.duty import Duty, Regime, by_facts, by_share, filters_held, outside
from gensafe.compliance.regimes.common import (
    CHANGE_EVENTS,
    FILTER_EVENTS,
    changes,
    log_facts,
    models,
    notices,
    verifications,
)

_SECONDARY: Final = (
    "Read in summaries of the Official Journal text, the Guidelines and the Code, not in the PDFs themselves."
)

# the only number, 0, asks whether there was anything to be judged
EU: Final = Regime(
    key="eu-ai-act",
    title="EU AI Act (Regulation 2024/1689 as amended by 2026/1744)",
    standing="Article 50 applies since 2 August 2026; for 50(2), systems marketed before, from 2 December 2026.",
    duties=(
        Duty(
            "eu-50-2-layers",
            "Outputs are marked machine-readable, in at least two layers",
            "Art. 50(2); Code of Practice 1.1.1, 1.1.2",
            "C2PA manifest, and a watermark detected again on the final bytes",
            by_share(lambda e: e.two_layers, "a signed manifest and a watermark that was detected on the final bytes"),
            "That marks survive what others do to a file later; see the measured attack table of the watermark.",
            _SECONDARY + " Whether the Commission assessed the Code as adequate is not known.",
        ),
        Duty(
            "eu-50-2-signed",
            "Metadata is digitally signed by an identifiable signer",
            "Code of Practice 1.1.1",
            "C2PA claim signature with the operator's certificate",
            by_share(lambda e: e.trusted_signer, "signed with a certificate that is not a development one"),
            "That others trust the certificate: that is decided by their trust list.",
            _SECONDARY,
        ),
        Duty(
            "eu-50-2-timestamped",
            "Metadata is time-stamped",
            "Code of Practice 1.1.1",
            "RFC 3161 time stamp in the manifest",
            by_share(lambda e: e.time_stamped, "a time stamp on the manifest's signature is logged"),
            "That the time-stamp authority is independent of the operator.",
            _SECONDARY,
        ),
        Duty(
            "eu-text-200",
            "Free text of more than 200 tokens is watermarked",
            "Code of Practice 1.1.2",
            "keyed sampling mark, or the reason why there is none",
            by_share(lambda e: e.long_text, "texts over 200 tokens marked while sampling"),
            "Texts are counted in the model's own tokens.",
            _SECONDARY,
        ),
        Duty(
            "eu-detector",
            "There is a detector for every mark",
            "Commission Guidelines C(2026) 5054; Code of Practice 2",
            "Verify RPC, verify page and offline command; each answer names the technique it rests on",
            by_facts(verifications, "verifications performed, by conclusion"),
            "That the detector was open to everyone all the time; its availability is measured outside the log.",
            _SECONDARY,
            events=(names.VERIFIED,),
        ),
        Duty(
            "eu-inputs",
            "Marks found on inputs are kept",
            "Code of Practice 1.2",
            "manifests that inputs and engines' answers carry go on, validated, into the output's manifest",
            by_share(lambda e: e.inputs_kept, "outputs made from files with a manifest carry all of these manifests"),
            "That an input's own marks were complete when it came in, and that its watermark can still be read: the "
            "content is encoded and marked anew.",
            _SECONDARY,
        ),
        Duty(
            "eu-50-4-visible",
            "Deep fakes and texts on public matters are disclosed",
            "Art. 50(4), (5): the deployer's duty",
            "optional drawn, sounded or written notice",
            by_facts(
                notices,
                "how many outputs carry a visible or audible notice; those under 50(4) need one",
                needs=lambda e: e.outputs > 0,
            ),
            "Whether an output is a deep fake, and whether the deployer kept the notice.",
            _SECONDARY,
        ),
        Duty(
            "eu-5-1-ba",
            "Reasonable and adequate measures against sexual depictions of persons and of children",
            "Art. 5(1)(ba), (bb), from 2 December 2026",
            "prompt and output filters that fail closed, with categories and outages logged",
            filters_held("sxc", "cse"),
            "That the filters catch everything they should: see the classifiers' cards and red-team reports.",
            _SECONDARY,
            events=FILTER_EVENTS,
        ),
        Duty(
            "eu-12-19",
            "Events are logged and logs are kept",
            "Art. 12, 19(1), 26(6): high-risk systems only, from 2 December 2027",
            "append-only log with signed checkpoints; retention prunes contents, never hashes",
            by_facts(log_facts, "entries of the period; gaps are listed", needs=lambda e: e.entries > 0),
            "That what was logged is what happened, and that events outside the service were logged.",
            events=names.EVENTS,
        ),
        Duty(
            "eu-change",
            "Changes are documented",
            "Code of Practice 4",
            "policy, configuration and key changes as entries; every verdict names its policy's digest",
            by_facts(changes, "changes in the period, and the policies in force"),
            "Who decided and why, beyond the recorded pseudonym.",
            _SECONDARY,
            events=CHANGE_EVENTS,
        ),
        Duty(
            "eu-53",
            "The model's documentation is known",
            "Art. 53: the model maker's duty",
            "each output names model, version and weights digest",
            by_facts(models, "models that made outputs in the period"),
            "The documentation itself (training summary, copyright policy).",
        ),
        Duty(
            "eu-interop",
            "Detection is interoperable by 2 February 2027",
            "Code of Practice 3.4",
            "detector address in manifest and metadata, query interface",
            outside("a published integration page and the agreement on routing are not in the log"),
            "All of it.",
            _SECONDARY,
            events=(),
        ),
    ),
    not_covered=(
        "Transparency towards persons who talk to a system (art. 50(1)) and about emotion recognition (50(3)).",
        "Risk classification, conformity assessment, quality management (high-risk systems).",
    ),
)
