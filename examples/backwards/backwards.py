"""A backend that writes the prompt backwards."""

from gensafe.core.errors import Cancelled, ConfigError, InvalidRequest
from gensafe.core.types import BackendCapabilities, Draft, GenerationRecord, Modality, Text, TextDelta


def create(options):
    """Entry point of ``gensafe.backends``."""
    if options:
        raise ConfigError("takes no options", field=sorted(options)[0])
    return Backwards()


class Backwards:
    """See the module."""

    name, version = "backwards", "1"

    def capabilities(self):
        """Text in, text out."""
        text = frozenset({Modality.TEXT})
        return BackendCapabilities(text, text, sampling_marks=False, streaming_text=True, description="for a tutorial")

    def models(self):
        """One model without weights."""
        return {"backwards": ""}

    def tokenizer(self):
        """It has none: its text carries no sampling mark."""
        return None

    def generate(self, job, mark, cancelled):
        """Words from last to first."""
        if job.modality is not Modality.TEXT:
            raise InvalidRequest(f"does not produce {job.modality}", field="modality")
        written = ""
        for word in reversed(job.prompt.split()):
            if cancelled():
                raise Cancelled("the caller went away")
            written += word + " "
            yield TextDelta(word + " ")
        record = GenerationRecord(
            backend=self.name,
            model="backwards",
            model_version=self.version,
            weights_digest="",
            seed=job.seed,
            tokens=len(job.prompt.split()),
            sampling_mark="not marked by sampling: nothing is sampled",
        )
        yield Draft(Text(written), record)
