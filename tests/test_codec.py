"""The codec: lossless, at the price that the bound states, and what is borrowed is repaid.

A code can be lossless and far too long, in silence. So every test of a round trip has a test of
its rate beside it.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vdmlite as vdm
from vdmlite import codec, data
from vdmlite.codec import archive, stack
from vdmlite.course import pretrained

ALL = np.ones(1, bool)
ORDERS = [codec.bb_ans, codec.bit_swap]
quick = pytest.mark.quick
once = pytest.mark.once


def cost(law, values) -> float:
    """The bits that a push takes, for lane 0 of a law."""
    pushed = codec.Stack(law.shape[0])
    pushed.push("it", law, values, np.ones(law.shape[0], bool))
    return float(pushed.heights[0])


def there_and_back(law, values):
    """Push a value and pop it again; the stack must be as it was."""
    both, active = codec.Stack(law.shape[0]), np.ones(law.shape[0], bool)
    both.push("in", law, values, active)
    assert not both.is_restored
    found = both.pop("out", law, active)
    assert both.is_restored
    np.testing.assert_array_equal(found, values)


# The stack


@quick
def test_the_supply_is_the_same_on_every_machine():
    assert stack.noise("supply 0", 4).tolist() == SUPPLY
    assert stack.noise("supply 0", 2).tolist() == SUPPLY[:2]


SUPPLY = [696815329, 54293308, 102918656, 1447077059]


@quick
def test_a_new_stack_has_nothing_on_it():
    new = codec.Stack(3)
    assert new.is_restored
    assert new.heights.tolist() == [0.0] * 3
    assert [(depth, len(words)) for depth, words in new.stored()] == [(0, 0)] * 3
    with pytest.raises(ValueError, match="at least 1 lane, got 0"):
        codec.Stack(0)


@quick
def test_what_is_pushed_comes_back_in_reverse_on_every_lane():
    rng, lanes = np.random.default_rng(0), 3
    pile, active = codec.Stack(lanes), np.array([True, False, True])
    law = codec.GridGaussian(rng.normal(size=(lanes, 5, 2)), 0.3, 2.0**-5)
    pushed = [np.round(rng.normal(size=law.shape) * 32) / 32 for _ in range(40)]
    for values in pushed:
        pile.push("x", law, values, active)
    assert pile.heights[1] == 0
    assert (pile.heights[[0, 2]] > 1000).all()
    kept = codec.Stack(lanes, pile.stored())
    np.testing.assert_array_equal(kept.heights, pile.heights)
    for values in reversed(pushed):
        found = kept.pop("x", law, active)
        np.testing.assert_array_equal(found[active], values[active])
        assert not found[~active].any()
    assert kept.is_restored


@quick
def test_what_is_borrowed_is_a_draw_and_is_repaid_in_full():
    """Far below where the stack began: the supply has no end."""
    lanes = 40
    law = codec.GridGaussian(np.full((lanes, 50), 0.7), 0.2, 2.0**-5, tight=True)
    pile, active, drawn = codec.Stack(lanes), np.ones(lanes, bool), []
    for _ in range(20):
        drawn.append(pile.borrow("z", law, active))
    assert (pile.heights < -3000).all()
    noise = (np.array(drawn) - 0.7) / 0.2
    n = noise.size
    assert abs(noise.mean()) < 4 / math.sqrt(n)
    assert abs(noise.var() - 1) < 4 * math.sqrt(2 / n)
    for values in reversed(drawn):
        pile.repay("z", law, values, active)
    assert pile.is_restored


@once
@pytest.mark.parametrize("size", [1, 2, 30])
def test_bits_that_were_just_pushed_are_borrowed_as_good_as_new(size):
    """Unwhitened, the noise that is popped would be the noise that was pushed, and no draw.

    Small examples are the hardest: their bits never leave the coder's state.
    """
    lanes, active = 3000 // size, np.ones(3000 // size, bool)
    law = codec.GridGaussian(np.zeros((lanes, size)), 1.0, 2.0**-3, tight=True)
    pile, z = codec.Stack(lanes), None
    z = pile.borrow("z", law, active)
    pile.push("z", law, z, active)
    bare = codec.Stack(lanes, pile.stored()).pop("z", law, active)
    np.testing.assert_array_equal(bare, z)
    products = []
    for _ in range(10):
        new = pile.borrow("z", law, active)
        pile.push("z", law, new, active)
        products.append(new * z)
        z = new
    assert abs(np.mean(products)) < 5 / math.sqrt(np.size(products))


def test_the_ledger_says_what_each_move_did():
    pile = codec.Stack(2)
    law = codec.Categories(np.zeros((2, 10, 4)))
    pile.push("x", law, np.zeros((2, 10)), np.array([True, False]))
    pile.borrow("z", law, np.array([True, True]))
    assert [entry.name for entry in pile.ledger] == ["x", "z"]
    bits = np.array([entry.bits for entry in pile.ledger])
    np.testing.assert_allclose(bits, [[20, 0], [-20, -20]], atol=0.02)
    np.testing.assert_allclose(bits.sum(0), pile.heights)
    np.testing.assert_allclose(codec.initial_bits(pile.ledger), [0, 20], atol=0.02)


# Laws


@quick
def test_a_gaussians_masses_are_its_integrals_over_the_cells():
    mean, std, step = 0.31, 0.17, 2.0**-4
    law = codec.GridGaussian(np.full((1, 1), mean), std, step)
    points = np.arange(-8, 20) * step
    found = [cost(law, np.full((1, 1), x)) for x in points]
    edges = (np.append(points, points[-1] + step) - step / 2 - mean) / std
    cdf = np.array([0.5 * math.erfc(-e / math.sqrt(2)) for e in edges])
    # In the far tails no mass is less than the least.
    near = np.abs(points - mean) < 4 * std
    np.testing.assert_allclose(np.array(found)[near], -np.log2(np.diff(cdf))[near], atol=0.02)
    assert np.sum(2.0 ** -np.array(found)) == pytest.approx(1, abs=1e-4)


@quick
@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("step", [2.0**-3, 2.0**-6, 2.0**-20])
def test_the_rate_is_the_entropy_at_every_fineness(step, tight):
    """Low bits of fine grids are raw, so that masses needn't be smaller than they can be."""
    rng, n = np.random.default_rng(1), 4000
    mean = rng.normal(size=(1, n))
    law = codec.GridGaussian(mean, 0.5, step, tight=tight)
    x = np.rint((mean + 0.5 * rng.normal(size=(1, n))) / step) * step
    there_and_back(law, x)
    expected = np.log2(0.5 * math.sqrt(2 * math.pi * math.e) / step)
    assert cost(law, x) / n == pytest.approx(expected, abs=4 * math.sqrt(0.5 / n) / math.log(2))


@quick
def test_each_element_may_have_its_own_width():
    rng, n = np.random.default_rng(2), 3000
    std = np.exp(rng.uniform(-2, 0, (1, n)))
    law = codec.GridGaussian(np.zeros((1, n)), std, 2.0**-6)
    x = np.rint(std * rng.normal(size=(1, n)) * 64) / 64
    there_and_back(law, x)
    expected = np.mean(np.log2(std * math.sqrt(2 * math.pi * math.e) * 64))
    assert cost(law, x) / n == pytest.approx(expected, abs=4 * math.sqrt(0.5 / n) / math.log(2))


@quick
def test_a_narrow_element_beside_wide_ones_is_not_drawn_from_nowhere():
    """With the cells of the wide one, a hundredth of the narrow one's draws were."""
    n = 1000
    std = np.tile([[1.0, 2.0**-17]], (1, n))
    law = codec.GridGaussian(np.zeros((1, 2 * n)), std, 2.0**-18, tight=True)
    pile = codec.Stack(1)
    x = np.concatenate([pile.borrow("z", law, ALL) for _ in range(4)])
    assert np.abs(x / std).max() < 6.6
    assert np.std(x / std, axis=None) == pytest.approx(1, abs=0.05)
    expected = np.mean(np.log2(std * math.sqrt(2 * math.pi * math.e) * 2**18))
    assert -pile.heights[0] / x.size == pytest.approx(expected, abs=0.02)


@quick
@pytest.mark.parametrize("step", [2.0**-4, 2.0**-12])
def test_what_lies_far_out_is_coded_too_but_never_borrowed(step):
    far = np.array([[0.0, 1e6, -1e4, 8.5, -9.0]])
    law = codec.GridGaussian(np.zeros((1, 5)), 1.0, step)
    there_and_back(law, far)
    assert cost(law, far) < 5 * 60 + 5 * max(0, -math.log2(step) - 4)
    with pytest.raises(ValueError, match=r"1e\+10 standard deviations .* no such value"):
        cost(law, np.array([[0.0, 1e10, 0, 0, 0]]))
    tight, pile = codec.GridGaussian(np.zeros((1, 5)), 1.0, step, tight=True), codec.Stack(1)
    with pytest.raises(ValueError, match="no such value is coded"):
        pile.repay("z", tight, far, ALL)
    assert pile.is_restored


@quick
@pytest.mark.parametrize(
    ("mean", "std", "step", "words"),
    [
        (math.nan, 1.0, 0.5, "1 means that are not finite"),
        (math.inf, 1.0, 0.5, "1 means that are not finite"),
        (0.0, 0.0, 0.5, "least standard deviation of 0.0"),
        (0.0, -1.0, 0.5, "least standard deviation of -1.0"),
        (0.0, math.nan, 0.5, "least standard deviation of nan"),
        (0.0, 1.0, 0.3, "a power of two, got 0.3"),
        (0.0, 1.0, 0.0, "a power of two, got 0.0"),
    ],
)
def test_a_gaussian_that_is_none_is_refused(mean, std, step, words):
    with pytest.raises(ValueError, match=words):
        codec.GridGaussian(np.array([[0.0, mean]]), std, step)


@quick
def test_a_value_beside_the_grid_is_refused_before_a_lane_is_touched():
    law, pile = codec.GridGaussian(np.zeros((2, 3)), 1.0, 0.25), codec.Stack(2)
    with pytest.raises(ValueError, match=r"no multiple of the grid's step 0\.25"):
        pile.push("z", law, np.array([[0.0, 0.25, 0.5], [0.0, 0.25, 0.6]]), np.ones(2, bool))
    assert pile.is_restored
    pile.push("z", law, np.array([[0.0, 0.25, 0.5], [0.0, 0.25, 0.6]]), np.array([True, False]))


@quick
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_levels_cost_their_log_likelihood(levels):
    rng = np.random.default_rng(levels)
    logits = 3 * rng.normal(size=(1, 500, levels))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    x = np.array([[rng.choice(levels, p=row) for row in p[0]]])
    expected = -np.log2(np.take_along_axis(p, x[..., None], -1)).sum()
    for order in "CF":
        law = codec.Categories(np.array(logits, order=order))  # pyright: ignore[reportArgumentType, reportCallIssue]
        there_and_back(law, x)
        assert cost(law, x) == pytest.approx(expected, rel=2e-3)


@quick
def test_levels_that_are_none_are_refused():
    law = codec.Categories(np.zeros((1, 3, 4)))
    for bad in (-1, 4):
        with pytest.raises(ValueError, match=r"must lie in 0 … 3, got .*"):
            cost(law, np.array([[0, 1, bad]]))
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="must not be NaN"):
            codec.Categories(np.full((1, 1, 4), bad))
    assert cost(codec.Categories(np.array([[[0.0, -math.inf]]])), np.zeros((1, 1))) < 1e-5


# Moves, on a chain of two Gaussian latents where all is known


def two_latents(order, lanes: int, n: int):
    """x on a grid, z1 | x and z2 | z1 with exact posteriors of a linear Gaussian model."""
    step, unit = 2.0**-5, np.zeros((lanes, n))

    def law(mean, variance, *, tight=False):
        return codec.GridGaussian(unit + mean, math.sqrt(variance), step, tight=tight)

    # z2 ~ N(0, 1), z1 = z2 + N(0, 1), x = z1 + N(0, 1): variances 1, 2, 3.
    borrows = [
        codec.Move("z1", lambda v: law(2 / 3 * v["x"], 2 / 3, tight=True), borrows=True),
        codec.Move("z2", lambda v: law(1 / 2 * v["z1"], 1 / 2, tight=True), borrows=True),
    ]
    pushes = [
        codec.Move("x", lambda v: law(v["z1"], 1), borrows=False),
        codec.Move("z1", lambda v: law(v["z2"], 1), borrows=False),
        codec.Move("z2", lambda _: law(0, 1), borrows=False),
    ]
    return order(borrows, pushes)


@quick
@pytest.mark.parametrize("order", ORDERS)
def test_with_exact_posteriors_bits_back_is_the_entropy_to_the_bit(order):
    """Every draw of the latents, not their mean: log p(x) = log p(x, z) − log q(z | x)."""
    rng, lanes, n = np.random.default_rng(3), 2, 300
    x = np.rint(math.sqrt(3) * rng.normal(size=(lanes, n)) * 32) / 32
    pile, moves, active = codec.Stack(lanes), two_latents(order, lanes, n), np.ones(lanes, bool)
    codec.encode(moves, pile, x, active)
    log_p = -0.5 * x**2 / 3 - 0.5 * math.log(2 * math.pi * 3) - math.log(32)
    np.testing.assert_allclose(pile.heights, -log_p.sum(1) / math.log(2), rtol=1e-3)
    np.testing.assert_array_equal(codec.decode(moves, pile, active), x)
    assert pile.is_restored


@quick
def test_the_order_decides_what_has_to_be_borrowed_and_not_the_rate():
    rng, lanes, n = np.random.default_rng(4), 20, 300
    x = np.rint(math.sqrt(3) * rng.normal(size=(lanes, n)) * 32) / 32
    needed = {}
    for order in ORDERS:
        pile = codec.Stack(lanes)
        codec.encode(two_latents(order, lanes, n), pile, x, np.ones(lanes, bool))
        needed[order] = codec.initial_bits(pile.ledger).mean()

    def entropy(variance):
        return n * math.log2(32 * math.sqrt(2 * math.pi * math.e * variance))

    expected = entropy(2 / 3) + entropy(1 / 2), entropy(2 / 3)
    np.testing.assert_allclose([needed[o] for o in ORDERS], expected, rtol=0.01)


# A VDM

POINTS = jnp.array([[0, 3], [5, 5], [7, 1], [2, 6]])
LEVELS = vdm.VDM(
    vdm.FixedLinear(-8.0, 5.0),
    vdm.EmpiricalDenoiser(vdm.LevelDecoder(8).embed(POINTS)),
    vdm.LevelDecoder(8),
    (2,),
)
MIXTURE = vdm.Mixture(
    jnp.array([0.3, 0.7]), jnp.array([[-0.8, 0.3], [0.5, -0.2]]), jnp.array([0.3, 0.1])
)
REAL = vdm.VDM(
    vdm.FixedLinear(-8.0, 5.0), vdm.MixtureDenoiser(MIXTURE), vdm.GaussianDecoder(), (2,)
)
SPACING = 2.0**-9
GRIDS = {
    "even": lambda model: model,
    "uneven": lambda model: model.under(
        vdm.PiecewiseLinear(tuple(-8 + 13 * (i / 12) ** 1.5 for i in range(13)))
    ),
    "learned": lambda model: model.under(vdm.MonotoneNet(-8.0, 5.0)),
}


def examples(model, n: int):
    rng = np.random.default_rng(5)
    if model is LEVELS:
        return np.asarray(POINTS)[rng.integers(4, size=n)].astype(np.uint8), None
    x = np.asarray(data.sample(MIXTURE, n, key=jax.random.key(6)), np.float64)
    return np.rint(x / SPACING) * SPACING + 0.0, SPACING


KNOWN = {}


def bound_of(model, grid, steps):
    """The bound of the noise levels that are coded; no order of moves changes it."""
    where = model is REAL, grid, steps
    if where not in KNOWN:
        under, (x, spacing) = GRIDS[grid](model), examples(model, 400)
        gammas = codec.coding_gammas(under.schedule, steps)
        KNOWN[where] = vdm.evaluate(
            under.under(vdm.PiecewiseLinear(gammas / 256)),
            jnp.asarray(x) if spacing is None else jnp.asarray(x, jnp.result_type(float)),
            timesteps=steps,
            draws=4,
            times=4,
            batch_size=1600,
            key=jax.random.key(7),
        ).nats.loss
    return KNOWN[where]


@once
@pytest.mark.parametrize(
    ("grid", "order"),
    [
        # The levels are numbers to the moves, whose order has nothing to do with them.
        ("even", codec.bb_ans),
        ("even", codec.bit_swap),
        ("uneven", codec.bb_ans),
        ("learned", codec.bit_swap),
    ],
)
@pytest.mark.parametrize("model", [LEVELS, REAL], ids=["levels", "real"])
@pytest.mark.parametrize("steps", [1, 12])
def test_a_vdm_codes_at_the_price_of_its_bound(steps, model, grid, order):
    """Within the path's error; below it where a step is long: no mass is less than 2^−24."""
    under, n = GRIDS[grid](model), 400
    x, spacing = examples(model, n)
    gammas = codec.coding_gammas(under.schedule, steps)
    moves = codec.vdm_moves(under, gammas, lanes=n, order=order, spacing=spacing)
    pile, active = codec.Stack(n), np.ones(n, bool)
    codec.encode(moves, pile, x, active)
    net = pile.heights
    np.testing.assert_array_equal(codec.decode(moves, pile, active), x)
    assert pile.is_restored
    bound = bound_of(model, grid, steps)
    expected = bound.mean / math.log(2) - (0 if spacing is None else 2 * math.log2(spacing))
    error = math.hypot(net.std() / math.sqrt(n), bound.error / math.log(2))
    far = steps == 1
    assert net.mean() < expected + 4 * error
    assert far or net.mean() > expected - 4 * error


@once
@pytest.mark.parametrize("model", [LEVELS, REAL], ids=["levels", "real"])
def test_many_steps_come_near_the_entropy(model):
    x, spacing = examples(model, 200)
    coded = codec.compress(model, x, steps=100, lanes=200, spacing=spacing)
    if model is LEVELS:
        entropy = 2.0
    else:
        log_p = jax.vmap(MIXTURE.log_prob)(jnp.asarray(x, jnp.result_type(float)))
        entropy = float(-log_p.mean()) / math.log(2) - 2 * math.log2(SPACING)
    assert entropy - 0.2 < coded.net_bits / 200 < entropy + 1.0


@quick
def test_the_grid_of_levels_is_refused_where_it_is_none():
    with pytest.raises(ValueError, match="5000 steps are too many"):
        codec.coding_gammas(vdm.FixedLinear(), 5000)
    with pytest.raises(ValueError, match="within ±127, got -200"):
        codec.coding_gammas(vdm.FixedLinear(-200.0, 5.0), 5)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        codec.coding_gammas(vdm.FixedLinear(), 0)


@quick
@pytest.mark.parametrize(("model", "spacing"), [(LEVELS, 0.5), (REAL, None)])
def test_a_decoder_without_a_code_is_refused(model, spacing):
    with pytest.raises(TypeError, match="data is coded by a LevelDecoder, or by a Gaussian"):
        codec.compress(model, examples(model, 3)[0], spacing=spacing)


# The archive


@pytest.fixture(scope="module")
def digits():
    return pretrained.load("digits"), data.digits().test


@pytest.fixture(scope="module")
def small():
    """A small archive, its data and its model."""
    x, _ = examples(LEVELS, 50)
    return codec.compress(LEVELS, x, steps=6, lanes=7), x


@pytest.mark.parametrize("lanes", [None, 1, 7, 50, 64])
def test_what_was_compressed_comes_back_from_the_file(lanes, tmp_path):
    x, _ = examples(LEVELS, 50)  # the last of 8 rounds of 7 has one example
    coded = codec.compress(LEVELS, x, steps=6, lanes=lanes)
    coded.save(tmp_path / "x.vdmz")
    read = codec.read_archive(tmp_path / "x.vdmz")
    assert bytes(read) == bytes(coded) == (tmp_path / "x.vdmz").read_bytes()
    assert read.net_bits == pytest.approx(coded.net_bits)
    found = codec.decompress(LEVELS, read)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(codec.decompress(LEVELS, read), x)  # and again


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_data_keep_their_type(dtype):
    x = examples(LEVELS, 4)[0].astype(dtype)
    found = codec.decompress(LEVELS, codec.compress(LEVELS, x, steps=4))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_numbers_come_back_to_the_last_bit(dtype):
    x = examples(REAL, 5)[0].astype(dtype)
    coded = codec.compress(REAL, x, steps=4, spacing=SPACING)
    found = codec.decompress(REAL, codec.parse_archive(bytes(coded)))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((3, 3), np.uint8), "a batch for this model has shape"),
        (np.zeros((0, 2), np.uint8), "at least one example"),
        (np.full((3, 2), 8, np.uint8), r"levels must lie in 0 … 7, got values from 8 to 8"),
        (np.full((3, 2), -1), "levels must lie in 0 … 7"),
        (np.zeros((3, 2)), "takes integers 0 … 7"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_a_bit_is_coded(x, words, monkeypatch):
    monkeypatch.setattr(archive, "encode", None)
    with pytest.raises(ValueError, match=words):
        codec.compress(LEVELS, x)


def test_minus_zero_is_refused_for_it_would_come_back_as_zero():
    with pytest.raises(ValueError, match=r"-0\.0 among the data .*: data \+ 0\.0 has none"):
        codec.compress(REAL, np.array([[0.5, -0.0]]), spacing=SPACING)


def test_numbers_beside_the_spacing_are_refused():
    with pytest.raises(ValueError, match="no multiple of the grid's step"):
        codec.compress(REAL, np.full((2, 2), 0.3), spacing=SPACING)


def resealed(file: bytes) -> bytes:
    return file[: -archive.DIGEST] + archive._digest(file[: -archive.DIGEST])


def with_head(file: bytes, **changes) -> bytes:
    """A file with another head, and the digest of it."""
    names = ["examples", "lanes", "steps", "order", "kind", "spacing", "ndim"]
    start = len(archive.MAGIC) + 1
    head = dict(zip(names, archive.HEAD.unpack_from(file, start), strict=True)) | changes
    packed = archive.HEAD.pack(*head.values())
    return resealed(file[:start] + packed + file[start + archive.HEAD.size :])


def broken(file: bytes) -> dict[str, tuple[bytes, str]]:
    return {
        "empty": (b"", "the file is empty"),
        "other": (b"PK\x03\x04 something else", "no compressed data: it begins with b'PK"),
        "short": (file[:-1], "damaged or cut short"),
        "very short": (file[:6], "damaged or cut short"),
        "long": (file + b"\0", "damaged or cut short"),
        "newer": (
            resealed(file[:4] + b"\x02" + file[5:]),
            "version 2 is not known here, only 1",
        ),
        "many": (with_head(file, examples=10**12), "contradicts itself: 10000000+ examples of"),
        "no examples": (with_head(file, examples=0), "contradicts itself: 0 examples"),
        "no lanes": (with_head(file, lanes=0), "contradicts itself: 50 examples .* in 0 lanes"),
        "lanes": (with_head(file, lanes=10**9), "contradicts itself"),
        "more lanes": (with_head(file, lanes=8), "contradicts itself"),
        "fewer lanes": (with_head(file, lanes=6), "contradicts itself"),
        "steps": (with_head(file, steps=60000), "contradicts itself: .* bytes are missing"),
        "no steps": (with_head(file, steps=0), "contradicts itself"),
        "order": (with_head(file, order=7), "contradicts itself"),
        "kind": (with_head(file, kind=99), "contradicts itself"),
        "dimensions": (with_head(file, ndim=200), "contradicts itself"),
    }


@pytest.mark.parametrize("name", broken(b"VDMZ" + bytes(300)))
def test_a_file_that_is_broken_is_refused_in_a_sentence(name, small, tmp_path):
    file, words = broken(bytes(small[0]))[name]
    (tmp_path / "x.vdmz").write_bytes(file)
    with pytest.raises(codec.ArchiveError, match=rf"x\.vdmz: .*{words}"):
        codec.read_archive(tmp_path / "x.vdmz")


@once
def test_a_hundred_thousand_damaged_files_are_all_refused(small):
    file, rng = bytes(small[0]), np.random.default_rng(8)
    for _ in range(100_000):
        bad = bytearray(file)
        match rng.integers(4):
            case 0:
                bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
            case 1:
                del bad[rng.integers(len(bad)) :]
            case 2:
                place, size = rng.integers(len(bad)), rng.integers(1, 9)
                bad[place : place + size] = rng.bytes(int(size))
            case _:
                place = rng.integers(len(bad))
                bad[place:place] = rng.bytes(int(rng.integers(1, 9)))
        if bytes(bad) != file:
            with pytest.raises(codec.ArchiveError):
                codec.parse_archive(bytes(bad))


@once
def test_damage_under_a_right_digest_is_refused_or_harmless(small):
    """As somebody who means harm would make it: no other error, and no other data."""
    coded, x = small
    file, rng, opened = bytes(coded), np.random.default_rng(9), 0
    for _ in range(3000):
        bad = bytearray(file)
        for _ in range(rng.integers(1, 4)):
            bad[rng.integers(5, len(bad))] = rng.integers(256)
        try:
            read = codec.parse_archive(resealed(bytes(bad)))
        except codec.ArchiveError:
            continue
        opened += 1
        if opened % 40 == 0 and len(read.lanes) == 7:
            try:
                found = codec.decompress(LEVELS, read)
            except codec.ArchiveError:
                continue
            np.testing.assert_array_equal(found, x)
    assert opened > 400


def test_another_model_is_refused(small):
    coded, _ = small
    moved = vdm.EmpiricalDenoiser(vdm.LevelDecoder(8).embed(POINTS[::-1]))
    other = vdm.VDM(LEVELS.schedule, moved, LEVELS.decoder, (2,))
    with pytest.raises(codec.ArchiveError, match=r"made with another model: .* digest"):
        codec.decompress(other, coded)
    finer = vdm.VDM(LEVELS.schedule, LEVELS.denoiser, vdm.LevelDecoder(16), (2,))
    with pytest.raises(codec.ArchiveError, match="made with another model"):
        codec.decompress(finer, coded)


def test_another_schedule_is_no_matter(small):
    """The file has the noise levels."""
    coded, x = small
    np.testing.assert_array_equal(codec.decompress(LEVELS.under(vdm.Cosine()), coded), x)


def test_a_machine_that_computes_otherwise_is_refused(small, monkeypatch):
    coded, _ = small
    guess = vdm.EmpiricalDenoiser.guess

    def nearly(self, z, gamma, *, key=None):
        found = guess(self, z, gamma, key=key)
        return vdm.Prediction(found.x + 1e-4, found.eps, gamma)

    monkeypatch.setattr(vdm.EmpiricalDenoiser, "guess", nearly)
    jax.clear_caches()
    with pytest.raises(codec.ArchiveError, match="computes other numbers with the model"):
        codec.decompress(LEVELS, coded)
    jax.clear_caches()


def test_a_lane_that_was_changed_is_noticed(small):
    coded, _ = small
    (depth, words), *others = coded.lanes
    changed = words.copy()
    changed[len(words) // 2] ^= 4
    with pytest.raises(codec.ArchiveError, match="the archive is damaged"):
        codec.decompress(LEVELS, coded._replace(lanes=((depth, changed), *others)))


def test_a_bar_goes_over_the_rounds(small):
    seen = []

    def rounds(numbers):
        for number in numbers:
            seen.append(number)
            yield number

    coded = codec.compress(LEVELS, small[1], steps=2, lanes=20, rounds=rounds)
    codec.decompress(LEVELS, coded, rounds=rounds)
    assert seen == [0, 1, 2, 2, 1, 0]


# Digits, and other machines


@once
@pytest.mark.parametrize("order", ORDERS)
def test_all_test_digits_come_back(order, digits):
    model, images = digits
    coded = codec.compress(model, images, steps=10, order=order, lanes=90)
    np.testing.assert_array_equal(codec.decompress(model, coded), images)
    assert 3.4 < coded.net_bits / images.size < 4.1


@once
def test_grids_can_be_optimal(digits):
    """Lesson 10's grid is a schedule, and codes with fewer bits than an even one."""
    from vdmlite.neighbours.few_steps import best_grid

    model, images = digits
    low, high = (float(model.schedule(t)) for t in (0.0, 1.0))
    curve = vdm.error_curve(
        model,
        data.digits().train[:256],
        np.linspace(low, high, 40),
        draws=256,
        key=jax.random.key(1),
    )
    best = model.under(vdm.PiecewiseLinear(best_grid(curve, 12)))
    nets = [codec.compress(m, images, steps=12, lanes=90).net_bits for m in (model, best)]
    assert nets[1] < 0.9 * nets[0]


KEPT = Path(__file__).parent / "parity" / "digits.vdmz"


@quick
def test_an_archive_that_another_version_of_jax_wrote_is_read(digits):
    """The kept file is of jax 0.10.1 on a machine with AVX-512."""
    model, images = digits
    found = codec.decompress(model, codec.read_archive(KEPT))
    np.testing.assert_array_equal(found, images[:24])


SCRIPT = """
import jax, numpy as np
from vdmlite import codec, data, recipes, storage
like = recipes.digits(key=jax.random.key(0))
found = codec.decompress(storage.load("model.vdm", like), codec.read_archive("x.vdmz"))
np.testing.assert_array_equal(found, data.digits().test[:len(found)])
"""


@once
@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--xla_cpu_max_isa=SSE4_2",
        "--xla_cpu_max_isa=AVX2",
        "--xla_cpu_multi_thread_eigen=false",
    ],
)
def test_another_process_with_other_instructions_decodes_the_same(flags, digits, tmp_path):
    model, images = digits
    vdm.save(tmp_path / "model.vdm", model)
    codec.compress(model, images[:40], steps=20, lanes=8).save(tmp_path / "x.vdmz")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "XLA_FLAGS": flags},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
