"""California AI Transparency Act: SB 942 and AB 853, Business and Professions Code § 22757 and following."""

from __future__ import annotations

from typing import Final

from gensafe.audit import entries as names
from gensafe.compliance.duty import Duty, Regime, by_facts, by_share, outside
from gensafe.compliance.regimes.common import notices, verifications

# the only number, 0, asks whether there was anything to be judged
CALIFORNIA: Final = Regime(
    key="ca-sb942",
    title="California SB 942 with AB 853 (B&P Code § 22757)",
    standing="Operative since 2 August 2026; providers with over 1,000,000 monthly users; images, video, audio.",
    duties=(
        Duty(
            "ca-latent",
            "Latent disclosure: provider, system and version, time, unique identifier",
            "§ 22757.3(b); text read",
            "manifest and XMP fields, read back from the final bytes",
            by_share(
                lambda e: e.label_complete, "carry all of provider, system, version, time and identifier in the file"
            ),
            "That the fields stay in the file; the watermark leads back to them when they were stripped.",
        ),
        Duty(
            "ca-permanent",
            "The disclosure is permanent or extraordinarily difficult to remove, as far as feasible",
            "§ 22757.3(b)",
            "watermark detected on the final bytes, leading to the record",
            by_share(lambda e: e.watermark_media, "have a watermark that was detected on the final bytes"),
            "Difficulty of removal is a measured property of the scheme, not of one file.",
        ),
        Duty(
            "ca-created-altered",
            "Whether content was created or altered",
            "SB 1000 (2026)",
            "field “action” of the label",
            by_share(lambda e: e.label_fields["action"], "state created or altered"),
            "Nothing further.",
            "SB 1000 was last seen in Appropriations on 17 June 2026; whether it became law is not confirmed.",
        ),
        Duty(
            "ca-manifest",
            "The user has the option of a manifest disclosure",
            "§ 22757.3(a)",
            "request flag for a visible notice",
            by_facts(
                notices,
                "every request could ask for a visible or audible notice; how many outputs carry one",
                needs=lambda e: e.outputs > 0,
            ),
            "That the option was offered in every user interface.",
        ),
        Duty(
            "ca-tool",
            "A free, public detection tool that reveals no personal provenance and keeps no submissions",
            "§ 22757.2; text read",
            "verify page and API; verifications are logged without content, address or name",
            by_facts(verifications, "verifications performed, by conclusion"),
            "That the tool was public and free, and that feedback was acted on.",
            events=(names.VERIFIED,),
        ),
        Duty(
            "ca-licensee",
            "Licensees keep the capability; licences are revoked within 96 hours otherwise",
            "§ 22757.3(c)",
            "tenant switch-off",
            outside("contracts and the time of knowledge are not in the log"),
            "All of it.",
            events=(),
        ),
    ),
    not_covered=("Large online platforms and hosting platforms (AB 853, from 2027), capture devices (from 2028).",),
)
