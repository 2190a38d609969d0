"""The parts of the picture mark: carrier algebra, lattice search, registration, null behaviour of the comb."""

import numpy as np
import pytest

from gensafe.core.types import MarkLevel
from gensafe_watermark import payload as coding
from gensafe_watermark import statistics
from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image import embedder, geometry, layout, search, selfcheck, spectrum
from gensafe_watermark.image.reading import Reader

KEY = bytes(range(32))
PAYLOAD = b"genuine"


def pattern(shape, tile, orientation=0, phase=(0.3, 0.6)):
    mark = tiles.carrier(KEY, "image", 1)
    spectrum = tiles.shift(mark.coefficients(coding.encode(PAYLOAD, KEY, "image")), *phase)
    return tiles.render(tiles.orient(tiles.to_grid(spectrum), orientation), shape, tile)


def test_rendered_pattern_has_unit_variance_and_the_tile_period():
    drawn = pattern((240, 320), 80.0)
    assert drawn.std() == pytest.approx(1, abs=0.02)
    assert np.allclose(drawn[:160, :160], drawn[80:240, 80:240], atol=1e-3)


@pytest.mark.parametrize("orientation", range(8))
def test_analysis_inverts_rendering_in_every_orientation(orientation):
    grid = tiles.analyse(pattern((200, 200), 100.0, orientation), (100.0, 100.0))
    reader = Reader(KEY, "image", "test")
    best = reader.align(grid)[0]
    assert (best.variant, best.orientation) == (1, orientation)
    assert (best.px, best.py) == (pytest.approx(0.3, abs=1e-3), pytest.approx(0.6, abs=1e-3))
    assert coding.decode(reader.soft(grid, best), KEY, "image").payload == PAYLOAD


def test_folding_agrees_with_analysis():
    drawn = pattern((300, 400), 75.0)
    matrix = np.eye(2) / 75.0
    folded = geometry.fold(drawn, geometry.Warp.linear(matrix, drawn.shape), 3)
    assert folded.shape == (9, tiles.GRID, tiles.GRID)
    centred = np.abs(folded.sum(axis=0))
    assert np.corrcoef(centred.ravel(), np.abs(tiles.analyse(drawn, (75.0, 75.0))).ravel())[0, 1] > 0.97


@pytest.mark.parametrize(("turn", "tile", "mirror"), [(0.0, 64.0, 1), (0.4, 71.0, 1), (2.1, 90.0, -1)])
def test_search_finds_scale_turn_and_mirror(turn, tile, mirror):
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = (rotation @ np.diag([mirror, 1.0])).T / tile
    mark = tiles.carrier(KEY, "image", 0)
    power = spectrum.Power.of(drawn_along(geometry.Warp.linear(matrix, (256, 320)), 3))
    best, examined = search.similarities(power, [mark], (40.0, 200.0), 3)
    score, refined = spectrum.polish(power, mark, best[0].matrix)
    sign = np.sign(np.sum(refined * matrix))  # known up to a half turn
    assert np.allclose(sign * refined, matrix, atol=0.006 / tile)
    assert score > 1 and examined > 1e5


def drawn_along(warp, noise, seed=1):
    """A mark of layout 0 laid along a map, under white noise."""
    mark = tiles.carrier(KEY, "image", 0)
    u, v = warp.tile_coordinates()
    spectrum = mark.coefficients(coding.encode(PAYLOAD, KEY, "image"))
    waves = zip(spectrum, tiles.FREQUENCIES, strict=True)
    drawn = sum((c * np.exp(2j * np.pi * (kx * u + ky * v))).real for c, (kx, ky) in waves)
    return (drawn + np.random.default_rng(seed).normal(0, noise, drawn.shape)).astype(np.float32)


@pytest.mark.parametrize("orientation", [0, 1, 6])
def test_one_scale_is_found_under_more_noise_than_two_and_a_turn(orientation):
    side = 71.3
    marked = pattern((227, 340), side, orientation)
    noisy = (marked + np.random.default_rng(3).normal(0, 5, marked.shape)).astype(np.float32)
    power = spectrum.Power.of(noisy)
    layouts = [tiles.carrier(KEY, "image", variant) for variant in range(tiles.VARIANTS)]
    candidates, examined = search.scales(power, layouts, (31.0, 500.0), 3)
    assert (candidates[0].variant, 1 / candidates[0].matrix[0, 0]) == (1, pytest.approx(side, rel=0.004))
    assert examined == pytest.approx(tiles.VARIANTS * tiles.ORIENTATIONS * np.log(500 / 31) / 0.0025, rel=0.01)


@pytest.mark.parametrize("bend", [((1.17, -0.05), (0.04, 1.06)), ((1.02, 0.04), (-0.11, 1.21))])
def test_windows_find_what_perspective_looks_like(bend):
    matrix = np.array(bend).T / 80
    power = spectrum.Power.of(drawn_along(geometry.Warp.linear(matrix, (193, 289)), 3))
    mark = tiles.carrier(KEY, "image", 0)
    candidates, _ = search.distortions(power, [mark], (80.0,), 3)
    found = candidates[0].matrix
    assert np.allclose(found * np.sign(np.sum(found * matrix)), matrix, atol=0.012 / 80)


def test_parts_of_a_picture_add_up_to_its_grid():
    noise = np.random.default_rng(4).normal(size=(101, 150)).astype(np.float32)
    parts = tiles.analyse_blocks(noise, (40.0, 33.0), 4)
    whole = tiles.analyse(noise, (40.0, 33.0))
    assert np.allclose(parts.sum(axis=0), whole, atol=1e-2)
    corner = noise.copy()
    corner[25:], corner[:, 37:] = 0, 0
    assert np.allclose(parts[0], tiles.analyse(corner, (40.0, 33.0)), atol=1e-2)
    assert np.allclose(embedder.windows(parts, 4)[0], whole, atol=1e-2)
    assert np.allclose(embedder.windows(parts, 2)[1], parts[[1, 2, 5, 6]].sum(axis=0))


def test_registration_measures_displaced_blocks():
    drawn = pattern((320, 320), 80.0, phase=(0.0, 0.0))
    warp = geometry.Warp.linear(np.eye(2) / 80.0, drawn.shape)
    mark = tiles.carrier(KEY, "image", 1)
    grids = geometry.fold(drawn, warp, 2)
    _, px, py = mark.align(tiles.from_grid(tiles.whiten(grids.sum(axis=0)))[None])[0]
    moved = geometry.Warp.linear(np.eye(2) / 80.0 * 1.01, drawn.shape)
    displacement, score = geometry.register(geometry.fold(drawn, moved, 2), mark, px, py)
    # a map 1 % too dense puts block centres, one tile from the middle, 0.01 tiles too far out
    expected = -0.01 * np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
    assert np.allclose(displacement, expected, atol=0.004)
    assert score.min() > 4
    centres = geometry.block_centres(drawn.shape, 2)
    fitted = geometry.fit_displacement(centres, displacement, score, 1)
    assert fitted[0, 1] * 2 == pytest.approx(-0.04, abs=0.012)


def test_comb_scores_of_noise_stay_under_the_reported_bound():
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(40, 160, 160)).astype(np.float32)
    p = []
    for number, plane in enumerate(noise):
        reader = Reader(KEY, "image", "test")
        aligned = reader.align(tiles.analyse(plane, (80.0, 80.0)))
        reader.count(f"noise {number}", len(aligned), aligned[0].z)
        found = reader.give_up()
        assert found.level is MarkLevel.NONE
        p.append(found.p_value)
    assert np.mean(np.array(p) < 0.3) <= 0.3
    for z, level in ((7.5, MarkLevel.NONE), (9.5, MarkLevel.PRESENT)):  # wrong keys on marked photographs reach 6.7
        reader = Reader(KEY, "image", "test")
        reader.count("one grid", 16, z)
        assert reader.give_up().level is level
    assert statistics.presence_threshold(16, roughness=tiles.ROUGHNESS) < 7.5


def test_layout_keeps_waves_wide_enough():
    for side in (96, 128, 199, 200, 299, 321, 480, 719, 720, 1080, 2160, 4000):
        count = layout.tile_count(side)
        assert count in layout.tile_counts()
        assert side / count / tiles.RADIUS >= 4
        assert side / count / layout.reduction(side, count) / tiles.RADIUS >= 3


def test_jpeg_imitation_follows_the_real_codec():
    import io

    from PIL import Image

    rng = np.random.default_rng(2)
    plane = np.clip(128 + np.cumsum(rng.normal(0, 3, (96, 96)), axis=1), 0, 255).round().astype(np.float32)
    data = io.BytesIO()
    Image.fromarray(plane.astype(np.uint8)).save(data, "JPEG", quality=50)
    real = np.asarray(Image.open(data), np.float32)
    assert np.abs(selfcheck.jpeg(plane, 50) - real).mean() < 0.6


def test_blurred_reading_needs_no_fine_waves():
    mark = tiles.carrier(KEY, "image", 0)
    coded = coding.encode(PAYLOAD, KEY, "image")
    rng = np.random.default_rng(0)
    spectrum = mark.coefficients(coded)
    spectrum /= np.abs(spectrum).mean()
    spectrum[tiles.MAGNITUDE > 15] = 0  # a strong blur, then whitening: only noise is left of the fine waves
    noise = rng.normal(size=(2, len(spectrum)))
    noisy = (spectrum + 0.8 * (noise[0] + 1j * noise[1])).astype(np.complex64)
    assert coding.decode(mark.chips(noisy), KEY, "image") is None
    assert coding.decode(mark.chips(noisy, blurred=True), KEY, "image").payload == PAYLOAD


def test_all_blocks_together_place_what_single_blocks_cannot():
    mark = tiles.carrier(KEY, "image", 0)
    warp = geometry.Warp.linear(np.eye(2) / 50.0, (300, 300))
    noisy = drawn_along(warp, 14)
    wrong = warp.plus(np.array([[0.0, 0.02, -0.01], [0.0, 0.01, 0.02]]))
    centres = geometry.block_centres(warp.shape, 5)
    grids = geometry.fold(noisy, wrong, 5)
    found = wrong.plus(geometry.refine(grids, mark, (0.0, 0.0), centres, 1))
    off = np.abs(found.coefficients[:, 1:3] - warp.coefficients[:, 1:3]).max()
    assert off < 0.01
    displacement, score = geometry.register(grids, mark, 0.0, 0.0)
    alone = wrong.plus(geometry.fit_displacement(centres, displacement, score, 1))
    assert np.abs(alone.coefficients[:, 1:3] - warp.coefficients[:, 1:3]).max() > 4 * off


def test_a_map_without_a_turn_is_levelled():
    turned = geometry.Warp.linear(np.array([[1.0, 0.004], [-0.003, 1.005]]) / 70, (200, 300))
    level = turned.levelled()
    assert level is not None
    assert level.matrix()[0, 1] == 0 and level.matrix()[0, 0] == pytest.approx(level.matrix()[1, 1])
    assert geometry.Warp.linear(np.array([[1.0, 0.03], [-0.03, 1.0]]) / 70, (200, 300)).levelled() is None
