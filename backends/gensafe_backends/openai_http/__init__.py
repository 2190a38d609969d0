"""A remote engine behind an OpenAI-compatible HTTP interface. Nothing is contacted unless ``url`` is configured.

| task | endpoint |
|---|---|
| text from a conversation, pictures read | ``/chat/completions`` |
| text from a sound | ``/audio/transcriptions`` (option ``transcription_model``) |
| picture | ``/images/generations``; with pictures as inputs ``/images/edits`` |
| speech | ``/audio/speech``; sound and music ``/audio/generate`` where the dialect has it |
| film | ``/videos``: submit, poll, fetch, delete |

What comes back goes through the same gate as everything else. Two things cannot be had from such an endpoint, and the
generation record says so: its weights cannot be pinned by a digest, and it takes no sampling mark of ours. A mark that
the engine makes by itself is stated only where it was found in the finished text (``marks``).

Files: ``options`` (configuration), ``dialects`` (what servers name differently), ``wire`` (HTTP, deadlines, cancelling,
errors), ``marks`` (of the engine), ``sse`` (server-sent events), ``chat``, ``media``, ``videos`` (one task each),
``plugin`` (the backend).
"""

from gensafe_backends.openai_http.plugin import OpenAiHttpBackend, create

__all__ = ["OpenAiHttpBackend", "create"]
