"""Release a text stream only behind the safety gate.

Text is *provisional* (held) until windows over it have passed, then *released*; what ``finish`` returns is *final*. The
bound, tested as a property: **no character leaves that was not inside at least two scored windows**, and at least
``hold_back_words`` complete words and ``hold_back_sentences`` sentence ends (or the end of the text) lie behind every
released one. Evidence that needs more context than a window can only be seen by the judgement of the whole text in
``finish``, before anything is signed.

A window begins where the one before began until it would be longer than ``window_words``; then its beginning moves on,
where that can be to a place where the classifiers of text cut the whole text too (``cuts``), else by a quarter. So most
of what a window shows to a classifier that remembers pieces was scored before, and benign streams are scored in fewer
windows than under a sliding window (each scored window can raise a false alarm).

A classifier may leave the end of a window to a later one (``assess_unfinished``), never what may leave: the gate holds
back more than that (``RULE_CHARS``) behind the last window.

A rule's match may straddle pushes: an unbroken run of characters and an open PEM block are never cut, up to
``RUN_LIMIT`` characters, and at least ``RULE_CHARS`` characters (the longest ordinary rule match) are held back.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import Final

from gensafe.core.errors import SafetyBlocked
from gensafe.core.types import Action, Decision, Span, Stage, Text, Verdict
from gensafe.safety.cuts import Cuts
from gensafe.safety.rule import StreamParameters
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.text import REDACTED

RULE_CHARS: Final = 256  # an e-mail address has at most 254 (RFC 5321, a path of 256 with its brackets)
RUN_LIMIT: Final = 4096  # characters, as ``rules.secrets.PEM_LIMIT``: an RSA key of 4096 bits has about 3,250 in PEM
FIRST_WORDS: Final = 20  # shorter beginnings give the classifiers too little; nothing is released before anyway

_CJK: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# a word; a CJK character counts as one, and a long unbroken run counts as several
_UNIT: Final = re.compile(f"[{_CJK}]|[^\\s{_CJK}]{{1,24}}")
_SENTENCE_END: Final = (".", "!", "?", "。", "！", "？", "\n")


class StreamGate:
    """One text stream. Not thread-safe; a judgement runs inside ``push``.

    Args:
        runner: Judges the windows (with the policy's ``stream`` thresholds) and the whole text (without).
        parameters: Window, hold-back and step in words; None = the policy's.
        stage: Stage written into verdicts.
    """

    def __init__(
        self, runner: SafetyRunner, parameters: StreamParameters | None = None, stage: Stage = Stage.OUTPUT
    ) -> None:
        self._runner = runner
        self._parameters = parameters or runner.policy.stream
        self._stage = stage
        self._text = ""
        self._units: list[tuple[int, int]] = []  # complete words: [start, end) offsets
        self._scanned = 0  # offset up to which words were split
        self._released = 0
        self._painted: list[Span] = []
        self._out: list[str] = []
        self._ends: list[int] = []  # in words, ends of the windows scored so far
        self._start = 0  # in words, beginning of the next window
        self._cuts = Cuts()
        self._stops: list[int] = []  # in words, ends of the sentences so far
        self._windows: list[Span] = []
        self._closed = False

    @property
    def released(self) -> int:
        """Characters that have left."""
        return self._released

    @property
    def text(self) -> str:
        """What has left, redactions painted."""
        return "".join(self._out)

    @property
    def windows(self) -> tuple[Span, ...]:
        """Every window that was scored and passed, as offsets in the pushed text."""
        return tuple(self._windows)

    def push(self, delta: str) -> str:
        """Add ``delta``; return what may leave now (possibly nothing).

        Raises:
            SafetyBlocked: a window failed. ``offset`` is where to retract from; nothing more may be pushed.
        """
        if self._closed:
            raise ValueError("the stream is closed")
        self._text += delta
        self._split(final=False)
        p = self._parameters
        for end in self._due():
            self._score(end)
            self._ends.append(end)
        if p.hold_back_words == 0 or len(self._ends) < 2:
            return ""
        return self._release(self._frontier())

    def finish(self) -> tuple[str, Verdict]:
        """Judge the last window and the whole text; return the rest and the verdict that goes into the record.

        Raises:
            SafetyBlocked: something failed; ``offset`` is where to retract from.
        """
        if self._closed:
            raise ValueError("the stream is closed")
        self._split(final=True)
        if self._units and (not self._ends or self._ends[-1] < len(self._units)):
            self._score(len(self._units))
            self._ends.append(len(self._units))
        self._closed = True
        verdict = self._runner.judge(Text(self._text), self._stage)
        self._accept(verdict, Span(0, len(self._text)))
        for span in _redactions(verdict):
            if span.start < self._released and span not in self._painted and not self._covered(span):
                self._stop(verdict, span.start)  # it has left unpainted: say so instead of hiding it
        rest = self._release(len(self._text))
        return rest, verdict

    # --- scoring -----------------------------------------------------------------------------------------------------

    def _split(self, *, final: bool) -> None:
        for match in _UNIT.finditer(self._text, self._scanned):
            if match.end() == len(self._text) and not final:
                break  # the word may go on
            self._units.append(match.span())
            self._scanned = match.end()
            if self._ends_sentence(match.end()):
                self._stops.append(len(self._units))

    def _due(self) -> list[int]:
        """Word counts at which windows are due: every ``step_words``, or from half of that at a sentence end."""
        due: list[int] = []
        first = min(FIRST_WORDS, self._parameters.window_words)
        step = self._parameters.step_words
        last = self._ends[-1] if self._ends else 0
        for count in range(max(last + 1, first), len(self._units) + 1):
            # a sentence end soon after the last window can wait for the next one: it is held back all the same
            early = count - last >= (step + 1) // 2 and self._ends_sentence(self._units[count - 1][1])
            if count - last >= step or early:
                due.append(count)
                last = count
        return due

    def _ends_sentence(self, end: int) -> bool:
        return self._text[end - 1] in _SENTENCE_END or self._text[end : end + 1] == "\n"

    def _score(self, end: int) -> None:
        if end - self._start > self._parameters.window_words:
            self._start = self._moved_on(end)
        start = self._start
        window = Span(self._with_pem(self._units[start][0] if start else 0), self._units[end - 1][1])
        verdict = self._runner.judge(Text(self._text[window.start : window.end]), self._stage, streaming=True)
        verdict = _shifted(verdict, window.start)
        self._accept(verdict, window)
        self._windows.append(window)

    def _moved_on(self, end: int) -> int:
        """In words: where the next window begins."""
        p = self._parameters
        first, last = end - p.window_words, end - p.hold_back_words - p.step_words
        if first <= last:
            for place in self._cuts.within(self._text, self._units[first][0], self._units[last][0]):
                word = bisect_left(self._units, (place, 0))
                if self._units[word][0] == place:
                    return word
        return end - p.shortest_window

    def _accept(self, verdict: Verdict, window: Span) -> None:
        if not verdict.releasable:
            spans = [s.start for d in verdict.decisions if d.action is verdict.action for s in d.finding.spans]
            self._stop(verdict, min(spans, default=window.start))
        self._painted.extend(s for s in _redactions(verdict) if not self._covered(s))

    def _stop(self, verdict: Verdict, start: int) -> None:
        self._closed = True
        where = min(self._released, start)
        if verdict.action not in (Action.BLOCK, Action.REVIEW):
            verdict = replace(verdict, action=Action.BLOCK)
        raise SafetyBlocked("the text was stopped by the safety gate", verdict, offset=where)

    def _covered(self, span: Span) -> bool:
        return any(p.start <= span.start and span.end <= p.end for p in self._painted)

    # --- release -----------------------------------------------------------------------------------------------------

    def _frontier(self) -> int:
        """Offset up to which text may leave."""
        word = min(self._ends[-1] - self._parameters.hold_back_words, self._ends[-2], self._sentence_bound())
        if word <= 0:
            return 0
        scored = self._units[self._ends[-1] - 1][1]
        offset = min(self._units[word - 1][1], max(0, scored - RULE_CHARS))
        offset = self._before_run(offset)
        offset = self._before_pem(offset)
        for span in self._painted:  # never cut a redaction
            if span.start < offset < span.end:
                offset = span.start
        return offset

    def _sentence_bound(self) -> int:
        """In words: the last place with ``hold_back_sentences`` sentence ends behind it, all of them scored.

        At most a shortest window back, so that a text without sentence ends is not held back permanently.
        """
        count, end = self._parameters.hold_back_sentences, self._ends[-1]
        if count == 0:
            return end
        scored = self._stops[: bisect_right(self._stops, end)]
        bound = scored[-count - 1] if len(scored) > count else 0
        return max(bound, end - self._parameters.shortest_window)

    def _before_run(self, offset: int) -> int:
        if offset >= len(self._text) or self._text[offset].isspace() or re.match(f"[{_CJK}]", self._text[offset]):
            return offset
        start = offset
        while start > 0 and not self._text[start - 1].isspace() and not re.match(f"[{_CJK}]", self._text[start - 1]):
            start -= 1
            if offset - start > RUN_LIMIT:
                return offset
        return start

    def _before_pem(self, offset: int) -> int:
        begin = self._text.rfind("-----BEGIN", self._released)
        if begin < 0 or offset <= begin or len(self._text) - begin > RUN_LIMIT:
            return offset
        return offset if self._text.find("-----END", begin) >= 0 else begin

    def _with_pem(self, start: int) -> int:
        """``start``, or the beginning of the PEM block that is open there: its rule needs to see the whole block."""
        begin = self._text.rfind("-----BEGIN", max(0, start - RUN_LIMIT), start)
        return begin if begin >= 0 and self._text.find("-----END", begin, start) < 0 else start

    def _release(self, offset: int) -> str:
        if offset <= self._released:
            return ""
        piece = list(self._text[self._released : offset])
        for span in self._painted:
            for i in range(max(span.start, self._released), min(span.end, offset)):
                if not piece[i - self._released].isspace():
                    piece[i - self._released] = REDACTED
        self._released = offset
        self._out.append("".join(piece))
        return self._out[-1]


def _redactions(verdict: Verdict) -> list[Span]:
    if verdict.monitor_only:
        return []
    return [s for d in verdict.decisions if d.action is Action.REDACT for s in d.finding.spans]


def _shifted(verdict: Verdict, by: int) -> Verdict:
    """The verdict with its spans as offsets in the whole stream."""
    if by == 0:
        return verdict
    return replace(verdict, decisions=tuple(_shifted_decision(d, by) for d in verdict.decisions))


def _shifted_decision(decision: Decision, by: int) -> Decision:
    spans = tuple(Span(s.start + by, s.end + by) for s in decision.finding.spans)
    return replace(decision, finding=replace(decision.finding, spans=spans))
