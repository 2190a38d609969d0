"""Texts compared by sentences."""

from hypothesis import given
from hypothesis import strategies as st

from gensafe.media.sentences import MAX_LINES, sentences, text_difference

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
