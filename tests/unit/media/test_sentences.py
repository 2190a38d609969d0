"""Texts compared by sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensafe.media.sentences import MAX_CHARACTERS, MAX_LINES, common, sentences, text_difference

STORY = 'One day Mira found a bell. "Is it yours?" she asked. Nobody knew! The duck, Mr. Tom, was proud. It rang twice.'


def test_sentences_keep_their_marks():
    assert sentences(STORY)[:3] == ["One day Mira found a bell.", '"Is it yours?"', "she asked."]
    assert sentences("eins zwei\n\ndrei") == ["eins zwei", "drei"]
    assert sentences("你好。我在这里！") == ["你好。", "我在这里！"]
    assert sentences("  ") == []


def test_an_edit_is_told_in_words_and_shown_as_a_diff():
    edited = STORY.replace("a bell", "a lamp").replace(" It rang twice.", "")
    found = text_difference(STORY, edited)
    assert (found.changed, found.sentences) == (2, 7)
    assert 0.80 < found.words_kept < 0.90
    assert (
        str(found)
        == f"{round(100 * found.words_kept)} % of the words are those of the recorded text; 2 sentences of 7 differ"
    )
    assert "-One day Mira found a bell." in found.lines
    assert "+One day Mira found a lamp." in found.lines
    assert "-It rang twice." in found.lines


def test_all_and_nothing_are_said_only_where_they_are():
    same = text_difference(STORY, STORY)
    assert (same.words_kept, same.changed, same.lines) == (1.0, 0, ())
    assert str(text_difference(STORY, "no such thing here at any point")).startswith("0 %")
    long = " ".join(f"word{i} went on." for i in range(400))
    assert str(text_difference(long, long.replace("word7 ", "word8 "))).startswith("99 %")
    assert str(text_difference("A b. C d.", "A b. C e.")).endswith("1 sentence of 2 differs")
    assert len(text_difference(long, long.upper().replace("WENT", "CAME")).lines) == MAX_LINES


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_compare(before, after):
    found = text_difference(before, after)
    assert 0 <= found.words_kept <= 1
    assert found.changed <= max(len(sentences(before)), len(sentences(after)))
    assert (found.changed == 0) == (sentences(before) == sentences(after))
    assert text_difference(after, before).changed == found.changed


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [("a ", "a b ", 0.5), ("then q ", "then q then ", 0.79)],
)
def test_repetitive_texts_of_the_largest_size_compare_within_the_limit(before, after, kept):
    """Seen on commit a634fb2: cubic, 0.02, 0.12 and 1.35 s of CPU for 100, 200 and 400 words of "a ", "a b "; the
    review measured 71.9 s for 1,600. These have 5,000 to 10,000 words: the test ends by its time limit there.
    """
    found = text_difference(*((each * MAX_CHARACTERS)[:MAX_CHARACTERS] for each in (before, after)))
    assert found.words_kept == pytest.approx(kept, abs=0.05)


def test_the_cost_of_a_comparison_depends_on_lengths_alone(monkeypatch):
    """Repetitive texts took 72 s for 1,600 words: now one row of bits for each word, whatever the words are."""
    import gensafe.media.sentences as module

    rows = []
    plain = module._common

    def counted(one, two):
        rows.append((len(one), len(two)))
        return plain(one, two)

    monkeypatch.setattr(module, "_common", counted)
    module.text_difference("a " * 1600, "a b " * 800)
    module.text_difference("the q " * 1600, "w1 w2 the " * 1000)
    assert len(rows) == 4 and all(n <= 3200 and m <= 3200 for n, m in rows)


@given(st.lists(st.sampled_from("abc"), max_size=14), st.lists(st.sampled_from("abc"), max_size=14))
def test_the_common_part_is_the_longest_and_in_order(one, two):
    table = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(two):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    found = common(one, two)
    assert len(found) == table[-1][-1]
    assert all(one[i] == two[j] for i, j in found)
    assert found == sorted(found) and len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
