"""A text from ``generate``, edited by hand, and what ``verify`` on the same data directory says about it."""

from gensafe.cli import main
from gensafe.provenance import strip_a8


def test_an_edited_answer_is_recognised_and_the_edit_is_shown(tmp_path, capsys):
    where, out = ["--data-dir", str(tmp_path / "data")], tmp_path / "answer.txt"
    # a question outside the model's world: a fixed answer, which no sampling can have marked
    words = ["generate", "tell me about ice hockey", "--modality", "text", "--model", "symphony-nano"]
    assert main([*words, "-o", str(out), *where]) == 0
    said = strip_a8(out.read_text(encoding="utf-8"))
    stripped, edited = tmp_path / "stripped.txt", tmp_path / "edited.txt"
    stripped.write_text(said, encoding="utf-8")
    words = said.split(" ")
    words[1] = "surely"
    edited.write_text(" ".join(words), encoding="utf-8")
    capsys.readouterr()
    assert main(["verify", "-v", str(stripped), *where]) == 0
    assert "fits this content exactly" in capsys.readouterr().out
    assert main(["verify", "-v", str(edited), *where]) == 2
    shown = capsys.readouterr().out
    assert "resembles" in shown
    assert "% of the words are those of the recorded text; 1 sentence of" in shown
    assert any(line.strip().startswith("+") and "surely" in line for line in shown.splitlines())
