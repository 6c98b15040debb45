"""The shared pictures show what they are given."""

import io

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image, ImageSequence

from vdmlite import data, viz

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def shown(axes) -> np.ndarray:
    return np.asarray(axes.get_images()[0].get_array())


def test_images_are_tiled_row_by_row():
    _, (axes,) = viz.panels(1)
    numbers = np.arange(5)[:, None, None, None] * np.ones((5, 2, 3, 1), int)
    viz.images(axes, numbers, levels=5, columns=2, title="five")
    sheet = shown(axes)
    assert sheet.shape == (3 * 2 + 2, 2 * 3 + 1)
    assert sheet[0, 0] == 0
    assert sheet[0, 4] == 0.25
    assert sheet[3, 0] == 0.5
    assert sheet[-1, 0] == 1
    assert (sheet[:, 3] == 1).all()  # the gap between columns


def test_colours_stay_colours():
    _, (axes,) = viz.panels(1)
    viz.images(axes, data.patches().test[:4], levels=256, columns=2)
    assert shown(axes).shape == (65, 65, 3)


def test_density_is_the_density():
    _, (axes,) = viz.panels(1)
    viz.density(axes, data.ring().log_prob)
    p = shown(axes)
    assert np.isclose(p.sum() * (4 / 120) ** 2, 1, atol=0.01)


def test_points_are_where_they_are():
    _, (axes,) = viz.panels(1)
    viz.points(axes, jnp.array([[0.5, -0.25], [1.0, 0.0]]), reach=3)
    offsets = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(offsets, [[0.5, -0.25], [1.0, 0.0]])
    assert axes.get_xlim() == (-3, 3)


def test_a_film_has_its_frames_and_dwells_on_the_last():
    frames = []
    for shade in (0, 120, 255):
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), (shade,) * 3).save(buffer, "PNG")
        frames.append(buffer.getvalue())
    film = Image.open(io.BytesIO(viz.film(frames, milliseconds=50)))
    times = [frame.info["duration"] for frame in ImageSequence.Iterator(film)]
    assert times == [50, 50, 400]
    assert film.info["loop"] == 0


def test_no_line_is_told_by_colour_alone():
    viz.style()
    styles = [(p["color"], p["linestyle"]) for p in plt.rcParams["axes.prop_cycle"]]
    assert len({line for _, line in styles}) == len(styles)
    assert len(viz.COLORS) == len(viz.MARKERS) == len(set(viz.MARKERS)) == len(styles)
