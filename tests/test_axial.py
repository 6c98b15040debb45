"""Axial transformers: what each pixel depends on, exact probabilities, draws, a code."""

import functools
import itertools
import math

import equinox as eqx
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import perturbed

from vdmlite import nn
from vdmlite.neighbours import axial, axial_code

pytestmark = pytest.mark.once


@functools.cache
def model(shape, levels=3, **knobs):
    knobs = {"width": 8, "outer": 1, "inner": 1, "heads": 2, **knobs}
    made = axial.AxialTransformer(shape, levels, **knobs, key=jax.random.key(0))
    return perturbed(made, key=jax.random.key(1))


def images(n, shape, levels=3):
    return np.random.default_rng(n).integers(0, levels, (n, *shape)).astype(np.uint8)


def dependence(made):
    """Return which pixel's logits depend on which pixel's embedding."""
    known, first = jnp.asarray(images(1, made.shape)[0]), jnp.asarray(0)

    def slopes(made):
        context = made.context(known, first)
        return jax.jacrev(lambda h: made.along(h, made.above(h, context)))(
            made.embed(known[..., 0], first)
        )

    n = known.size
    return np.abs(eqx.filter_jit(slopes)(made)).sum((2, 5)).reshape(n, n) > 0


@pytest.mark.parametrize("outer", [1, 2])
def test_a_pixel_depends_on_all_before_it_and_on_nothing_else(outer):
    depends = dependence(model((4, 5, 1), outer=outer, inner=2))
    assert np.array_equal(depends, np.tril(np.ones((20, 20), bool), -1))


@pytest.mark.parametrize("missing", ["shift_down", "shift_right"])
def test_without_a_shift_something_leaks(missing, monkeypatch):
    monkeypatch.setattr(axial, missing, lambda h: h)
    depends = dependence(model((2, 3, 1)))
    assert (depends & ~np.tril(np.ones((6, 6), bool), -1)).any()


def test_a_channel_sees_all_of_the_channels_before():
    shape, levels = (2, 3, 2), 5
    made = model(shape, levels, width=16)
    base = images(1, shape, levels)[0]
    logits = eqx.filter_jit(made.logits)

    def order(i, j, c):
        return (c * shape[0] + i) * shape[1] + j

    places = list(np.ndindex(*shape))
    for place in places:
        changed = base.copy()
        changed[place] = (base[place] + 1) % levels
        for c in range(2):
            one, other = (logits(jnp.asarray(x), jnp.asarray(c)) for x in (base, changed))
            moved = np.abs(one - other).max(-1) > 0
            for i, j in np.ndindex(*shape[:2]):
                assert moved[i, j] == (order(*place) < order(i, j, c)), (place, (i, j, c))


@pytest.mark.parametrize("shape", [(2, 2, 1), (1, 2, 2), (2, 1, 2)])
def test_all_images_together_have_probability_one(shape):
    made = model(shape, 2)
    every = np.array(list(itertools.product(range(2), repeat=4))).reshape(-1, *shape)
    found = jax.jit(jax.vmap(made.log_prob))(jnp.asarray(every))
    assert float(jnp.exp(found).sum()) == pytest.approx(1.0, rel=1e-5)
    assert float(found.max() - found.min()) > 0.5  # and they are not all alike


def test_the_training_loss_is_right_on_the_mean():
    made, image = model((2, 3, 3)), images(1, (2, 3, 3))[0]
    keys = jax.random.split(jax.random.key(3), 600)
    each = jax.jit(jax.vmap(lambda k: axial.training_loss(made, image, key=k)))(keys)
    exact = -eqx.filter_jit(made.log_prob)(jnp.asarray(image))
    assert len(np.unique(np.round(each, 3))) == 3  # one value for each channel
    assert abs(each.mean() - exact) < 4 * each.std() / 600**0.5


def test_dropout_is_for_training_alone():
    made, image = model((2, 2, 1), dropout=0.5), images(1, (2, 2, 1))[0]
    loss = eqx.filter_jit(axial.training_loss)
    losses = [float(loss(made, image, key=jax.random.key(i))) for i in range(4)]
    assert len(set(losses)) > 1
    calm = model((2, 2, 1))
    one, other = (eqx.filter_jit(m.log_prob)(jnp.asarray(image)) for m in (made, calm))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_both_ways_to_draw_have_the_same_pixels(key):
    for shape in ((4, 3, 1), (2, 3, 2)):
        made = model(shape, 5)
        quick = axial.draw(made, 6, key=key)
        assert quick.shape == (6, *shape)
        assert np.array_equal(quick, axial.draw(made, 6, naive=True, key=key))
    assert not np.array_equal(quick, axial.draw(made, 6, key=jax.random.key(9)))


def test_draws_come_as_often_as_they_are_probable(key):
    shape, n = (1, 2, 2), 4000
    made = model(shape, 2)
    every = np.array(list(itertools.product(range(2), repeat=4))).reshape(-1, *shape)
    p = np.exp(jax.jit(jax.vmap(made.log_prob))(jnp.asarray(every)))
    drawn = axial.draw(made, n, key=key).reshape(n, 4) @ (8, 4, 2, 1)
    seen = np.bincount(drawn, minlength=16) / n
    assert np.all(np.abs(seen - p) < 4.5 * np.sqrt(p * (1 - p) / n))


def test_a_code_is_as_long_as_the_likelihood_says():
    made, known = model((4, 4, 1), 7), images(40, (4, 4, 1), 7)
    stack = axial_code.encode(made, known)
    bits = -float(jax.jit(jax.vmap(made.log_prob))(jnp.asarray(known)).sum()) / math.log(2)
    assert float(stack.heights[0]) == pytest.approx(bits, rel=2e-3)
    assert np.array_equal(axial_code.decode(made, stack, 40), known)
    assert stack.is_restored


def test_a_bad_image_is_refused_with_what_was_expected():
    made = model((4, 4, 1), 3)
    with pytest.raises(ValueError, match=r"\(4, 4, 1\), got \(4, 3, 1\)"):
        made.log_prob(images(1, (4, 3, 1))[0])
    with pytest.raises(ValueError, match=r"\(4, 4, 1\), got \(2, 2, 1\)"):
        axial_code.encode(made, images(2, (2, 2, 1)))
    with pytest.raises(ValueError, match="levels 0 … 2, got 0 … 4"):
        axial_code.encode(made, np.full((1, 4, 4, 1), [[[4], [0], [1], [2]]]))
    with pytest.raises(ValueError, match="3 heads do not share 8 channels"):
        model((2, 2, 1), heads=3)


def test_axial_attention_takes_the_place_of_the_u_nets(key):
    """Any pixel reaches any other, where convolutions alone do not."""
    net = nn.UNet(1, width=8, depth=1, key=key)
    far = eqx.tree_at(lambda n: n.middle[0].attention, net, axial.AxialAttention(8, key=key))
    far = perturbed(far, key=key)
    z = jax.random.normal(key, (24, 24, 1))
    slope = jax.jit(jax.grad(lambda z: far(z, 0.0)[23, 0, 0]))(z)
    assert np.all(np.abs(slope[..., 0]) > 0)
    none = nn.UNet(1, width=8, depth=1, attention=False, groups=2, key=key)
    shapes = [eqx.filter_eval_shape(one, z, 0.0).shape for one in (far, none)]
    assert shapes == [z.shape, z.shape]


def test_the_cost_of_axial_attention_grows_as_a_root():
    """Multiplications of queries with keys: N √N along two axes, N² over the image."""

    def scores(module, size):
        h = jnp.zeros((size, size, 8))
        found = []
        jaxpr = jax.make_jaxpr(module)(h)

        def walk(jaxpr):
            for equation in jaxpr.eqns:
                if equation.primitive.name == "dot_general":
                    (left, _), _ = equation.params["dimension_numbers"]
                    shape = equation.invars[0].aval.shape
                    inner = math.prod(shape[i] for i in left)
                    found.append(math.prod(equation.outvars[0].aval.shape) * inner)
                for sub in jax.extend.core.jaxprs_in_params(equation.params):
                    walk(sub)

        walk(jaxpr.jaxpr)
        return sum(found) - linear(size)

    def linear(size):
        return 2 * size**2 * (3 + 1 + 2 + 2) * 8 * 8

    module = axial.AxialAttention(8, key=jax.random.key(0))
    small, large = scores(module, 8), scores(module, 16)
    assert small == 2 * 2 * 8**3 * 8  # two axes, scores and sums, N √N pairs, 8 channels
    assert large == 8 * small
