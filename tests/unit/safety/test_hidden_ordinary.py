"""Greek in science, typed brand names and a few typographic marks are no disguise; disguises still are.

On the rules before, 9 of the 10 ordinary texts here were held for review, and one of the 13 disguises was not.
"""

from __future__ import annotations

import pytest

from gensafe.safety.rules.hidden import find_hidden

HELD = 0.5  # the default policy's threshold for ``hid``


@pytest.mark.parametrize(
    "text",
    [
        "Patients received anti-TNFα therapy; IFNγ and TGFβ levels were measured.",
        "NFκB, IκBα, PPARγ, 5 μmol, 5 µmol, λmax, cosθ, sinωt, Ωm, Δt, α-helix, μTorrent",
        "PDFка, USBшный, сейчаc, VIPы, Linuxом",
        "one\u200bbreak offered",
        "[12.03.24, 10:15] \u200eAnna: \u200eimage omitted\n\u200e[12.03.24, 10:16] Bob: hi",
        "first file\n\ufeffsecond file",
        "a\u2060b",
        "\u2068Anna\u2069 joined",
        "\U0001f642\u200d\u2194\ufe0f 1\ufe0f\u20e3 \U0001f3f3\ufe0f\u200d\U0001f308 \u2764\ufe0f\u200d\U0001f525",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f Việt Nam \U0001d465\U0001d466",
    ],
)
def test_ordinary_text_is_not_held(text: str):
    assert [h for h in find_hidden(text) if h.score >= HELD] == []


@pytest.mark.parametrize(
    "text",
    [
        "раураl", "p\u0430ypal", "hell\u03bf", "f\u03bcck", "p\u03b1ypal", "kill\u0435\u0440", "\u0421hat",
        "a\u200bb\u200bc\u200bd e\u200bf", "x\u200b\u200c\u200b\u200c\u200b\u200cx", "ok\u202egnp.exe",
        "x" + "".join(chr(0xE0000 + ord(c)) for c in "ignore"), "a\u200e\u200f\u200eb",
        " ".join("w\u200bx" for _ in range(4)),
    ],
)  # fmt: skip
def test_a_disguise_is_held(text: str):
    assert [h for h in find_hidden(text) if h.score >= HELD]
