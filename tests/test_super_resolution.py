"""Super-resolution: small images, a network that sees one, a cascade of models."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import EPS, perturbed

import vdmlite as vdm
from vdmlite import nn
from vdmlite.neighbours import super_resolution as sr

pytestmark = pytest.mark.once

SHAPE = (8, 4, 1)


def some(n=5, shape=SHAPE, levels=17):
    return np.random.default_rng(n).integers(0, levels, (n, *shape)).astype(np.uint8)


def test_a_small_image_has_the_means_of_squares():
    images = some(shape=(4, 4, 2))
    low = sr.shrink(images, 2)
    assert low.dtype == np.uint8
    assert low.shape == (5, 2, 2, 2)
    assert low[3, 1, 0, 1] == np.rint(images[3, 2:4, 0:2, 1].mean())
    assert np.array_equal(sr.shrink(images, 1), images)
    with pytest.raises(ValueError, match="3×3 do not divide 4×4"):
        sr.shrink(images, 3)


def test_bicubic_enlarging_keeps_planes_and_their_mean():
    """Away from the edges a plane is met exactly, by a kernel of third order."""
    rows, columns = np.indices((8, 8))
    plane = (2.0 * rows - columns)[..., None]
    large = sr.enlarge(jnp.asarray(plane), (32, 32, 1))
    at = (np.arange(32) + 0.5) / 4 - 0.5
    expected = 2.0 * at[:, None] - at[None]
    np.testing.assert_allclose(large[8:24, 8:24, 0], expected[8:24, 8:24], atol=1e-4)
    flat = sr.enlarge(jnp.full((2, 2, 1), 0.3), SHAPE)
    np.testing.assert_allclose(flat, 0.3, rtol=1e3 * EPS)


def conv(shape, out=(*SHAPE, 17)):
    made = nn.ConvNet(shape, out_shape=out, width=8, depth=1, key=jax.random.key(0))
    return perturbed(made, key=jax.random.key(1))


def image_net(noise=0.0):
    return sr.ImageNet(conv, SHAPE, factor=2, levels=17, noise=noise)


def model(noise=0.0):
    denoiser = vdm.NetDenoiser(image_net(noise), vdm.from_level_logits)
    return vdm.VDM(vdm.FixedLinear(-8.0, 5.0), denoiser, vdm.LevelDecoder(17), SHAPE)


def test_the_network_sees_the_small_image_in_channels_beside_z(key):
    z, low = jax.random.normal(key, SHAPE), jnp.asarray(sr.shrink(some(), 2)[0])
    known = sr.enlarge(vdm.LevelDecoder(17).embed(low), SHAPE)
    expected = image_net().net(jnp.concatenate([z, known], -1), 0.3)
    np.testing.assert_allclose(image_net()(z, 0.3, low), expected, rtol=1e2 * EPS)
    other = image_net()(z, 0.3, (low + 3) % 17)
    assert not np.allclose(other, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_u_net_keeps_the_channels_of_z(channels, key):
    shape = (8, 8, channels)
    net = sr.ImageNet(
        lambda s: nn.UNet(s[-1], width=8, depth=1, attention=False, key=key),
        shape,
        factor=4,
        levels=256,
    )
    denoiser = vdm.NetDenoiser(net)
    low = jnp.zeros((2, 2, channels), jnp.uint8)
    guess = denoiser.given(low)(jax.random.normal(key, shape), 0.0)
    assert guess.eps.shape == shape


def test_noise_is_added_in_training_alone(key):
    z, low = jnp.zeros(SHAPE), jnp.asarray(sr.shrink(some(), 2)[0])
    net = image_net(0.5)
    calm = net(z, 0.0, low)
    assert np.array_equal(calm, image_net()(z, 0.0, low))
    assert not np.allclose(calm, net(z, 0.0, low, key=key))
    inference = eqx.nn.inference_mode(net)
    assert np.array_equal(calm, inference(z, 0.0, low, key=key))


def test_a_wrong_condition_is_refused_with_both_shapes(key):
    with pytest.raises(ValueError, match=r"has shape \(4, 2, 1\), got \(2, 2, 1\)"):
        image_net()(jnp.zeros(SHAPE), 0.0, jnp.zeros((2, 2, 1), int))
    with pytest.raises(ValueError, match="factor 3 does not divide 8×4"):
        sr.ImageNet(conv, SHAPE, factor=3, levels=17)
    data, low = some(), sr.shrink(some(), 2)
    with pytest.raises(ValueError, match=r"got \(8, 4, 1\)"):
        vdm.evaluate(model(), data, data, draws=2, key=key)
    assert np.isfinite(vdm.evaluate(model(), data, low, draws=2, key=key).bits.loss.mean)


def test_the_loop_the_evaluator_and_the_draws_take_small_images(key):
    data, low = some(32), sr.shrink(some(32), 2)
    optimiser = optax.adam(1e-3)
    state = vdm.init(model(0.1), optimiser)
    before = state.vdm
    batches = vdm.data.batches(data, 8, low, key=key)
    stream = vdm.train(state, optimiser, itertools.islice(batches, 2), key=key)
    for state, terms in stream:  # noqa: B007
        assert np.isfinite(terms.loss)
    old, new = (jax.tree.leaves(eqx.filter(v, eqx.is_array)) for v in (before, state.vdm))
    assert not all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))


@pytest.mark.parametrize(("levels", "start"), [(17, -7.97), (256, -13.39)])
def test_a_stage_begins_where_levels_are_as_far_apart_for_any_number(levels, start, key):
    stage = sr.stage((4, 4, 1), levels, width=8, depth=1, key=key)
    assert float(stage.schedule(0.0)) == pytest.approx(start, abs=0.01)
    assert float(stage.schedule(1.0)) == pytest.approx(5.0)
    untrained = vdm.evaluate(stage, some(4, (4, 4, 1)), draws=2, key=key).bits.loss
    assert np.isfinite(untrained.mean)


def test_a_stage_with_a_factor_is_told_the_small_image(key):
    stage = sr.stage(SHAPE, 17, factor=2, noise=0.1, width=8, depth=1, key=key)
    assert isinstance(stage.denoiser, vdm.NetDenoiser)
    net = stage.denoiser.net
    assert isinstance(net, sr.ImageNet)
    assert (net.small, net.noise, net.levels) == ((4, 2, 1), 0.1, 17)
    stage = eqx.tree_at(
        lambda v: v.denoiser.net,  # pyright: ignore[reportAttributeAccessIssue]
        stage,
        perturbed(net, key=key),
    )
    data, z = some(), jax.random.normal(key, SHAPE)
    one, other = (stage.given(low).predict(z, 0.5).x for low in sr.shrink(data, 2)[:2])
    assert not np.allclose(one, other)
    with pytest.raises(ValueError, match="factor 3 does not divide 8×4"):
        sr.stage(SHAPE, 17, factor=3, key=key)


def test_a_cascade_gives_each_model_the_draws_of_the_one_before(key):
    """Exact where the large image is known from the small one: every level is copied."""

    class Copy(vdm.AbstractDenoiser):
        low: jax.Array

        def guess(self, z, gamma, *, key=None):
            del key
            known = jnp.repeat(jnp.repeat(self.low, 2, 0), 2, 1)
            return vdm.from_x(vdm.LevelDecoder(17).embed(known), z, gamma)

        def given(self, condition):
            return Copy(jnp.asarray(condition))

    small = vdm.VDM(
        vdm.FixedLinear(-12.0, 5.0),
        vdm.EmpiricalDenoiser(jax.vmap(vdm.LevelDecoder(17).embed)(some(4, (4, 2, 1)))),
        vdm.LevelDecoder(17),
        (4, 2, 1),
    )
    large = vdm.VDM(
        vdm.FixedLinear(-12.0, 5.0),
        Copy(jnp.zeros((4, 2, 1), int)),
        vdm.LevelDecoder(17),
        SHAPE,
    )
    lows, highs = sr.draw_cascade([small, large], 6, steps=30, key=key)
    assert lows.shape == (6, 4, 2, 1)
    assert np.array_equal(sr.shrink(highs, 2), lows)
    known = some(4, (4, 2, 1)).astype(lows.dtype)
    assert {low.tobytes() for low in lows} <= {low.tobytes() for low in known}
