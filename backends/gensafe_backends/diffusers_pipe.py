"""Images and video by a ``diffusers`` pipeline from a local folder, through the pipeline's own class.

Options: ``path`` (the folder), ``name`` (of the model; default: the folder's), ``output`` (``image`` or ``video``),
``device``, ``dtype``, ``steps`` and ``guidance`` (where a request names none; default: the pipeline's own), ``fps`` (of
videos), ``max_side`` (longest width or height, in pixels). Needs the extra ``diffusers``.

Any pipeline class of ``diffusers`` (StableDiffusion, SDXL, Flux, QwenImage, Wan, LTX, ...): a parameter that its call
does not take is not offered, so a request that names it is refused by name. Nothing is downloaded, only safetensors are
read, code in the folder (a custom pipeline) is refused. Cancelling raises inside the pipeline after a denoising step: a
half-denoised picture never becomes an output.
"""

from __future__ import annotations

import inspect
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, ConfigError, GensafeError, InvalidRequest
from gensafe.core.ports import Backend, CancelCheck, SamplingMark, TextTokenizer
from gensafe.core.types import (
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Image,
    Media,
    Modality,
    Progress,
    Text,
    Video,
)
from gensafe_backends.folder import Folder, checked, need, number, read_folder

VERSION: Final = "1"
_OPTIONS: Final = {
    "path": "", "name": "", "output": "image", "device": "cpu", "dtype": "float32", "steps": "0", "guidance": "",
    "fps": "16", "max_side": "2048",
}  # fmt: skip
PARAMETERS: Final = {  # ours -> the pipelines'
    "width": "width",
    "height": "height",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "negative_prompt": "negative_prompt",
}
STEPS: Final = 1000  # most denoising steps of one request: schedulers are trained with so many
SIDE: Final = 8  # width and height are multiples of it: every published VAE halves three times
END_S: Final = 60.0  # for the step at which a pipeline hears that it is cancelled. By eye, not measured


def create(options: Mapping[str, str]) -> Backend:
    """Look at the folder and take its digest; the weights are loaded at the first job.

    Raises:
        ConfigError: an option is unknown or not usable, a package is missing, or the folder holds no such pipeline.
    """
    values = checked(options, _OPTIONS, "diffusers_pipe")
    need("torch", "transformers", "diffusers", extra="diffusers")
    if values["output"] not in (Modality.IMAGE, Modality.VIDEO):
        raise ConfigError("is not image or video", field="output")
    try:
        float(values["guidance"] or 0)
    except ValueError:
        raise ConfigError("is not a number", field="guidance") from None
    for name, least, most in (("steps", 0, STEPS), ("fps", 1, 240), ("max_side", SIDE, 1 << 14)):
        number(values, name, least, most)
    folder = read_folder(values["path"], "model_index.json")
    return DiffusersBackend(folder, values, _pipeline_class(folder))


def _pipeline_class(folder: Folder) -> Any:  # noqa: ANN401 - the library has no types
    """The class that the folder names, if it is one of the library's own.

    Raises:
        ConfigError: it names none, or code of its own.
    """
    import diffusers

    try:
        index = json.loads((folder.path / "model_index.json").read_text("utf-8"))
        named = index["_class_name"]
        parts = [one for one in index.values() if isinstance(one, list)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError("its model_index.json names no pipeline", field="path") from error
    known = getattr(diffusers, named, None) if isinstance(named, str) else None
    own = not (isinstance(known, type) and issubclass(known, diffusers.DiffusionPipeline))
    for part in parts:  # [library, class]; a library that is none of these would be code of the folder
        library = part[0] if part else ""
        own = own or not (library in (None, "transformers", "diffusers") or hasattr(diffusers.pipelines, str(library)))
    if own:
        raise ConfigError("its pipeline is not one of diffusers' own", field="path", fix="code in a folder is not run")
    return known


class DiffusersBackend:
    """See the module's text."""

    name = "diffusers_pipe"
    version = VERSION

    def __init__(self, folder: Folder, values: Mapping[str, str], kind: Any) -> None:  # noqa: ANN401 - untyped library
        self._folder, self._values, self._kind = folder, values, kind
        self._model = values["name"] or folder.path.resolve().name
        self._output = Modality(values["output"])
        takes = inspect.signature(kind.__call__).parameters
        self._takes = {ours: theirs for ours, theirs in PARAMETERS.items() if theirs in takes}
        if self._output is Modality.VIDEO and "num_frames" in takes:
            self._takes["seconds"] = "num_frames"
        self._hears = "callback_on_step_end" in takes
        self._lock, self._working = threading.Lock(), threading.Lock()
        self._pipe: Any = None

    def warm(self) -> None:
        """Load the weights now, not at the first job."""
        self._started()

    def _started(self) -> Any:  # noqa: ANN401 - the library has no types
        with self._lock:
            if self._pipe is None:
                import torch

                self._folder.unchanged()
                try:
                    pipe = self._kind.from_pretrained(
                        self._folder.path,
                        local_files_only=True,
                        use_safetensors=True,
                        trust_remote_code=False,
                        torch_dtype=getattr(torch, self._values["dtype"]),
                    )
                    self._pipe = pipe.to(self._values["device"])
                except Exception as error:  # the library raises many kinds
                    said = f"{type(error).__name__}: {error}"
                    raise BackendUnavailable(f"the folder's pipeline cannot be loaded: {said}") from error
                self._pipe.set_progress_bar_config(disable=True)
            return self._pipe

    def capabilities(self) -> BackendCapabilities:
        """Images or video from words, with the parameters that the pipeline's call takes."""
        return BackendCapabilities(
            outputs=frozenset({self._output}),
            inputs=frozenset({Modality.TEXT}),
            sampling_marks=False,
            streaming_text=False,
            description=f"{self._kind.__name__} from a local folder, by diffusers",
            parameters=frozenset(self._takes),
        )

    def models(self) -> Mapping[str, str]:
        """The one pipeline and the digest of its folder."""
        return {self._model: self._folder.digest}

    def tokenizer(self) -> TextTokenizer | None:
        """None: it writes no text."""
        return None

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked after every denoising step; one job at a time."""
        if job.modality is not self._output:
            raise InvalidRequest(f"this engine does not produce {job.modality}", field="modality")
        if any(not isinstance(m, Text) for m in job.inputs):
            raise InvalidRequest("this engine reads words only", field="inputs")
        wishes = self._wishes(job)
        if cancelled():
            raise Cancelled("the request was cancelled before it was begun")
        steps = int(wishes.get("num_inference_steps", 0))
        yield Progress(0, steps)
        made: Media | None = None
        for item in self._run(wishes, job.seed, cancelled):
            if isinstance(item, int):
                yield Progress(item, steps if item <= steps else 0)
            else:
                made = item
        if made is None:
            raise BackendError("the pipeline made nothing")
        given = {k: v for k, v in wishes.items() if k not in ("prompt", "negative_prompt")}
        record = GenerationRecord(
            backend=self.name,
            model=self._model,
            model_version=self._kind.__name__,
            weights_digest=self._folder.digest,
            seed=job.seed,
            tokens=0,
            sampling_mark=f"not marked by sampling: {job.modality} is marked after it is made",
            parameters={
                "device": self._values["device"],
                "dtype": self._values["dtype"],
                **{k: v if isinstance(v, int) else f"{v:g}" for k, v in given.items()},
            },
        )
        yield Draft(made, record)

    def _wishes(self, job: GenerationJob) -> dict[str, Any]:
        """The arguments of the pipeline's call.

        Raises:
            InvalidRequest: a size or number of steps that cannot be made; names the parameter.
        """
        given: dict[str, Any] = {k: v for k, v in job.parameters.given().items() if k in self._takes}
        most = int(self._values["max_side"])
        for name in ("width", "height"):
            if name in given and (given[name] % SIDE or not SIDE <= given[name] <= most):
                raise InvalidRequest(f"is not a multiple of {SIDE} up to {most}", field=f"parameters.{name}")
        if not 0 < given.get("steps", 1) <= STEPS:
            raise InvalidRequest(f"is not from 1 to {STEPS}", field="parameters.steps")
        if "seconds" in given:  # video models make 4 n + 1 frames
            given["seconds"] = max(1, round(given["seconds"] * int(self._values["fps"]) / 4) * 4 + 1)
        if "steps" in self._takes and int(self._values["steps"]):
            given.setdefault("steps", int(self._values["steps"]))
        if "guidance" in self._takes and self._values["guidance"]:
            given.setdefault("guidance", float(self._values["guidance"]))
        words = "\n\n".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])
        return {"prompt": words, **{self._takes[ours]: value for ours, value in given.items()}}

    def _run(self, wishes: Mapping[str, Any], seed: int, cancelled: CancelCheck) -> Iterator[int | Media]:
        """Numbers of finished steps, then the medium. The pipeline runs in a thread, so that steps can be told."""
        items: queue.SimpleQueue[int | Media | BaseException] = queue.SimpleQueue()
        closed = threading.Event()

        def step(_: Any, number: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
            if closed.is_set() or cancelled():
                raise Cancelled("the request was cancelled while it was drawn")
            items.put(number + 1)
            return values

        def work() -> None:
            try:
                with self._working:
                    items.put(self._drawn(wishes, seed, step if self._hears else None))
            except BaseException as error:  # handed to the caller's thread
                items.put(error)

        thread = threading.Thread(target=work, name="diffusers", daemon=True)
        thread.start()
        try:
            while True:
                item = items.get()
                if isinstance(item, GensafeError):
                    raise item
                if isinstance(item, BaseException):
                    raise BackendError(f"the pipeline failed: {type(item).__name__}") from item
                yield item
                if not isinstance(item, int):
                    if cancelled():
                        raise Cancelled("the request was cancelled while it was drawn")
                    return
        finally:
            closed.set()
            thread.join(END_S)

    def _drawn(self, wishes: Mapping[str, Any], seed: int, step: Callable[..., Any] | None) -> Media:
        import torch

        pipe = self._started()
        generator = torch.Generator("cpu").manual_seed(seed % (1 << 63))  # the CPU's: one seed, one output, any device
        more: dict[str, Any] = {"callback_on_step_end": step} if step else {}
        out = pipe(**wishes, **more, generator=generator, output_type="np", return_dict=False)[0]
        if self._output is Modality.IMAGE:
            return Image(_pixels(np.asarray(out[0]), 3))
        return Video(_pixels(np.asarray(out[0]), 4), float(self._values["fps"]))


def _pixels(values: np.ndarray[Any, np.dtype[np.float32]], axes: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Numbers in [0, 1] as bytes.

    Raises:
        BackendError: another shape, or numbers that are none.
    """
    if values.ndim != axes or values.shape[-1] != 3 or not np.isfinite(values).all():
        raise BackendError("the pipeline made something that is no picture")
    return np.asarray(np.clip(np.rint(values * 255), 0, 255), np.uint8)
