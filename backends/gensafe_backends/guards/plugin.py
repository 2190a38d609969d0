"""The guard models as a Classifier. Needs the extra ``guards``; off unless a policy names it.

A policy gives the folder: ``[options.text_guard_local] path = "/models/Llama-Guard-3-8B", family = "llama-guard"``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError, GensafeError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Media, Modality, Span, Stage, Text
from gensafe_backends.guards.families import FAMILIES, categories, questions
from gensafe_backends.guards.scoring import Judge
from gensafe_backends.guards.stream_head import StreamHead, debounced

NAME: Final = "text_guard_local"
VERSION: Final = "1"
WINDOW: Final = 6000  # characters a prompt; longer texts go in windows that overlap by half
MAX_CHARS: Final = 2_000_000  # characters; the same limit as in ``text_rules``: more than this is refused, never cut
SPAN_FROM: Final = 0.5  # probability from which a window is shown: likelier than not
DTYPES: Final = ("float32", "bfloat16", "float16")


class LocalGuard:
    """A guard model as a Classifier.

    Args:
        model: The judge, or the streaming head.
        family: One of FAMILIES.
        digest: Of the folder it was loaded from.
    """

    name = NAME
    modality = Modality.TEXT

    def __init__(self, model: Judge | StreamHead, family: str, digest: str) -> None:
        self._model, self._family, self._digest = model, family, digest

    def identity(self) -> ClassifierId:
        """With the digest of everything in the model's folder."""
        return ClassifierId(NAME, VERSION, self._digest)

    def card(self) -> Card:
        """What can be said without knowing the weights."""
        return Card(
            name=NAME,
            version=VERSION,
            modality=Modality.TEXT,
            categories=categories(self._family),
            summary=f"A guard model of the family {self._family} from a local folder, run by transformers.",
            trained_on=("see the model's own card",),
            measured={},
            not_covered=(
                "the quality of the weights: measure them with benchmarks.text_safety under a policy that names this",
                "evidence further apart than a window of 6,000 characters",
            ),
            weights_digest=self._digest,
        )

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Judge every window of the text; a category's score is the highest.

        Raises:
            SafetyUnavailable: not a text, too long, or the model failed.
        """
        if not isinstance(item, Text):
            raise SafetyUnavailable("this classifier reads text")
        text = item.text
        if len(text) > MAX_CHARS:
            raise SafetyUnavailable(f"a text of more than {MAX_CHARS} characters is not examined")
        best: dict[str, tuple[float, tuple[Span, ...]]] = {}
        try:
            for start, end in windows(text):
                for category, score, spans in self._judged(text[start:end], stage):
                    if score > best.get(category, (-1.0, ()))[0]:
                        best[category] = score, tuple(Span(start + s.start, start + s.end) for s in spans)
        except GensafeError:
            raise
        except Exception as error:
            raise SafetyUnavailable(f"the guard model failed: {type(error).__name__}") from error
        findings = tuple(Finding(c, score, NAME, self._family, spans) for c, (score, spans) in sorted(best.items()))
        return Assessment(findings, (Coverage(NAME, "characters", len(text), len(text)),))

    def _judged(self, text: str, stage: Stage) -> Iterator[tuple[str, float, tuple[Span, ...]]]:
        safe = text.encode("utf-8", "replace").decode("utf-8")  # tokenizers refuse lone surrogates
        user = stage is not Stage.OUTPUT
        turns = [{"role": "user", "content": safe if user else "..."}]
        if not user:
            turns.append({"role": "assistant", "content": safe})
        if isinstance(self._model, StreamHead):
            yield from self._per_token(self._model, turns, safe, user)
            return
        for question in questions(self._family):
            for category, score in self._model.score(turns, question).items():
                yield category, score, ()

    @staticmethod
    def _per_token(
        model: StreamHead, turns: list[dict[str, str]], text: str, user: bool
    ) -> Iterator[tuple[str, float, tuple[Span, ...]]]:
        """The highest debounced score per category over the tokens of the last turn, and where it rose above a half."""
        ids, places, whole = model.ids(turns)
        begin = whole.rfind(text)
        risks = model.tokens(ids, user)
        found: dict[str, tuple[float, list[Span]]] = {}
        for risk, score, (a, b) in zip(risks, debounced(risks), places, strict=True):
            inside = begin <= a < b <= begin + len(text)
            if not inside and not (user and b > begin):  # a prompt is judged by what follows it as well
                continue
            top, spans = found.get(risk.category, (0.0, []))
            if inside and score >= SPAN_FROM:
                spans.append(Span(a - begin, b - begin))
            found[risk.category] = max(top, score), spans
        for category, (score, spans) in found.items():
            yield category, score, tuple(spans)


def windows(text: str) -> Iterator[tuple[int, int]]:
    """[start, end) windows of WINDOW characters that overlap by half; together they cover the text."""
    start = 0
    while True:
        end = min(len(text), start + WINDOW)
        yield start, end
        if end == len(text):
            return
        start += WINDOW // 2


def folder_digest(folder: Path) -> str:
    """SHA-256 over names and contents of the files that decide what a model says."""
    state = hashlib.sha256()
    for path in sorted(
        p for p in folder.iterdir() if p.suffix in (".safetensors", ".json", ".jinja", ".model", ".txt")
    ):
        with path.open("rb") as file:
            state.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return "sha256:" + state.hexdigest()


def create(options: Mapping[str, str]) -> LocalGuard:
    """Entry point. Options: ``path`` (a folder), ``family``; ``device`` (cpu), ``dtype`` (float32).

    Raises:
        ConfigError: an option is missing or wrong.
        SafetyUnavailable: transformers is not installed, or the folder does not hold such a model.
    """
    family, folder = options.get("family", ""), Path(options.get("path", ""))
    if family not in FAMILIES:
        raise ConfigError(f"must be one of {', '.join(FAMILIES)}", field="family")
    if not options.get("path") or not (folder / "config.json").is_file():
        raise ConfigError("must be a folder with a model as transformers saves it", field="path")
    dtype, device = options.get("dtype", "float32"), options.get("device", "cpu")
    if dtype not in DTYPES:
        raise ConfigError(f"must be one of {', '.join(DTYPES)}", field="dtype")
    if not any(folder.glob("*.safetensors")):
        raise ConfigError("holds no .safetensors file", field="path", fix="other formats can run code and are refused")
    try:
        model = StreamHead(folder, device, dtype) if family == "qwen3-guard-stream" else Judge(folder, device, dtype)
    except ImportError as error:
        raise SafetyUnavailable("transformers is not installed", fix="pip install 'gensafe[guards]'") from error
    except Exception as error:
        raise SafetyUnavailable(f"the folder does not hold a model of this family: {error}") from error
    return LocalGuard(model, family, folder_digest(folder))
