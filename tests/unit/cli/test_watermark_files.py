"""``gensafe watermark embed`` on files that hold more than one picture."""

import io

import numpy as np
import pytest
from PIL import Image

from gensafe.cli.watermark import _refuse_animation
from gensafe.core.errors import InvalidRequest
from gensafe.core.types import Modality


def picture(frames: int) -> bytes:
    data = io.BytesIO()
    stills = [Image.fromarray(np.full((32, 32, 3), 40 * i, np.uint8)) for i in range(1, frames + 1)]
    stills[0].save(data, "GIF", save_all=True, append_images=stills[1:])
    return data.getvalue()


def test_an_animation_is_refused_with_its_frames_and_the_fix():
    with pytest.raises(InvalidRequest, match="3 frames") as refused:
        _refuse_animation(picture(3), Modality.IMAGE)
    assert refused.value.field == "IN" and "film" in refused.value.fix


def test_a_still_is_not():
    _refuse_animation(picture(1), Modality.IMAGE)
