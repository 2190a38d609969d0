import pytest

from gensafe.media.names import name_contradicts


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "a picture"), ("dir.v2/B.JPG", "a picture"), ("x.tar.mp3", "a sound"), ("clip.WebM", "a film")],
)
def test_text_under_the_name_of_a_medium(name, kind):
    said = name_contradicts(name, "text/plain")
    assert kind in said and "text" in said


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.txt", "text/plain"),
        ("a", "text/plain"),
        ("-", "text/plain"),
        ("", "text/plain"),
        ("drawing.svg", "text/plain"),
        ("module.ts", "text/plain"),
        ("a.png", "image/jpeg"),
        ("a.mp4", "audio/mp4"),
        ("a.png", "application/octet-stream"),
    ],
)
def test_no_contradiction(name, media_type):
    assert name_contradicts(name, media_type) == ""
