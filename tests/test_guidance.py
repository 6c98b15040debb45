"""Guidance: Bayes' rule for exact denoisers, and a network told a label or none."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import EPS, gaussian, perturbed

import vdmlite as vdm
from vdmlite import nn
from vdmlite.neighbours.guidance import ClassifierFree, ClassifierGuided, LabelNet

pytestmark = pytest.mark.once

MEANS = jnp.array([[-0.8, 0.2], [0.6, 0.5], [0.4, -0.9]])
STDS, WEIGHTS = jnp.array([0.3, 0.4, 0.5]), jnp.array([0.4, 0.35, 0.25])
ALL = vdm.MixtureDenoiser(vdm.Mixture(WEIGHTS, MEANS, STDS))
SECOND = vdm.GaussianDenoiser(vdm.Gaussian(MEANS[1], STDS[1]))


def log_prob(z, gamma):
    """Log p(second component | z), by Bayes' rule."""
    return jax.nn.log_softmax(ALL.diffused(gamma).component_log_prob(z))[1]


def points(key):
    z_key, gamma_key = jax.random.split(key)
    return jax.random.normal(z_key, (64, 2)), jax.random.uniform(
        gamma_key, (64,), minval=-4.0, maxval=4.0
    )


def guesses(denoiser, key):
    return jax.vmap(denoiser)(*points(key))


def scores(denoiser, key):
    return jax.vmap(lambda z, gamma: denoiser(z, gamma).score)(*points(key))


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_both_forms_follow_the_guided_score(scale, key):
    """∇ log q(z) + w ∇ log p(c | z), differentiated from the densities themselves."""

    def score(z, gamma):
        return jax.grad(ALL.diffused(gamma).log_prob)(z) + scale * jax.grad(log_prob)(z, gamma)

    expected = jax.vmap(score)(*points(key))
    for guided in (ClassifierFree(SECOND, ALL, scale), ClassifierGuided(ALL, log_prob, scale)):
        got = scores(guided, key)
        np.testing.assert_allclose(got, expected, atol=3e4 * EPS * (1 + scale) ** 2)


def test_the_ends_of_the_scale_are_the_two_models(key):
    for scale, model in ((0.0, ALL), (1.0, SECOND)):
        for guided in (
            ClassifierFree(SECOND, ALL, scale),
            ClassifierGuided(ALL, log_prob, scale),
        ):
            got, expected = guesses(guided, key), guesses(model, key)
            np.testing.assert_allclose(got.eps, expected.eps, atol=1e4 * EPS)
            np.testing.assert_allclose(got.x, expected.x, atol=1e5 * EPS)


def test_a_guess_still_adds_up_to_z(key):
    z, gamma = points(key)
    guess = guesses(ClassifierFree(SECOND, ALL, 4.0), key)
    a, s = (f(gamma)[:, None] for f in (vdm.alpha, vdm.sigma))
    np.testing.assert_allclose(a * guess.x + s * guess.eps, z, atol=1e3 * EPS)


def test_samples_at_scale_one_are_those_of_the_label(key):
    model = vdm.VDM(
        vdm.FixedLinear(-8.0, 6.0),
        ClassifierGuided(ALL, log_prob, 1.0),
        vdm.GaussianDecoder(),
        (2,),
    )
    x = vdm.draw(model, 3000, steps=250, batch_size=3000, key=key)
    error = x.std(0, ddof=1) / 3000**0.5
    assert np.all(np.abs(x.mean(0) - np.asarray(MEANS[1])) < 5 * error)
    assert np.all(np.abs(x.std(0, ddof=1) / 0.4 - 1) < 5 / 6000**0.5 + 0.01)


def test_a_large_scale_narrows_what_is_drawn(key):
    """Fidelity for diversity: towards what the other labels would not be."""
    spreads = []
    for scale in (1.0, 4.0):
        denoiser = ClassifierFree(SECOND, ALL, scale)
        model = vdm.VDM(vdm.FixedLinear(-8.0, 6.0), denoiser, vdm.GaussianDecoder(), (2,))
        x = vdm.draw(model, 1000, steps=100, batch_size=1000, key=key)
        right = jax.vmap(log_prob, (0, None))(jnp.asarray(x), -8.0)
        spreads.append((x.std(0).mean(), float(jnp.mean(right))))
    (wide, unsure), (narrow, sure) = spreads
    assert narrow < 0.9 * wide
    assert sure > unsure


def label_net(dropout: float = 0.1, labels: int = 3) -> LabelNet:
    net_key, table_key, noise_key = jax.random.split(jax.random.key(5), 3)
    net = LabelNet(
        lambda shape: nn.MLP(shape, out_shape=(2,), width=16, depth=1, key=net_key),
        (2,),
        labels=labels,
        dropout=dropout,
        key=table_key,
    )
    return perturbed(net, key=noise_key)


Z, GAMMA = jnp.array([0.3, -0.2]), 0.5


def test_every_label_is_another_function_and_none_is_one_more():
    net = label_net()
    outs = np.array([net(Z, GAMMA, jnp.asarray(c)) for c in range(4)])
    assert min(np.abs(a - b).max() for i, a in enumerate(outs) for b in outs[:i]) > 1e-3
    np.testing.assert_array_equal(net(Z, GAMMA), outs[3])


def test_a_label_is_dropped_as_often_as_was_asked():
    net, label = label_net(dropout=0.3), jnp.asarray(1)
    keys = jax.random.split(jax.random.key(6), 4000)
    outs = np.asarray(jax.vmap(lambda k: net(Z, GAMMA, label, key=k))(keys))
    kept, none = (
        np.abs(outs - np.asarray(net(Z, GAMMA, c))).max(1) < 1e-4 for c in (label, None)
    )
    assert np.all(kept ^ none)
    assert abs(none.mean() - 0.3) < 5 * (0.21 / 4000) ** 0.5
    still = eqx.nn.inference_mode(net)
    np.testing.assert_array_equal(
        jax.vmap(lambda k: still(Z, GAMMA, label, key=k))(keys[:50]),
        np.tile(net(Z, GAMMA, label), (50, 1)),
    )


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_that_is_none_raises_and_under_jit_is_nan(label):
    net = label_net()
    with pytest.raises(ValueError, match=f"labels are 0 … 2, or 3 for none, got {label}"):
        net(Z, GAMMA, jnp.asarray(label))
    assert np.isnan(eqx.filter_jit(net)(Z, GAMMA, jnp.asarray(label))).all()


@pytest.mark.parametrize(
    ("knobs", "message"),
    [({"labels": 0}, "1 label or more, got 0"), ({"dropout": 1.5}, "got 1.5")],
)
def test_bad_knobs_raise(knobs, message):
    with pytest.raises(ValueError, match=message):
        label_net(**knobs)


def test_it_learns_labels_and_what_there_is_without_them(key):
    """Two labels, two places: told, the net goes to the one; untold, to the middle of both."""
    shape, keys = (2,), jax.random.split(key, 3)
    net = LabelNet(
        lambda s: nn.MLP(s, out_shape=shape, width=64, depth=2, key=keys[0]),
        shape,
        labels=2,
        dropout=0.5,
        key=keys[1],
    )
    model = vdm.VDM(
        vdm.FixedLinear(-5.0, 5.0),
        vdm.NetDenoiser(net, vdm.from_v),
        vdm.GaussianDecoder(),
        shape,
    )
    optimiser = optax.adam(3e-3)
    state, rng = vdm.init(model, optimiser), np.random.default_rng(0)
    places = np.array([[-1.0, 0.5], [1.0, 0.0]])
    for _ in range(500):
        labels = rng.integers(0, 2, 128)
        batch = (places[labels] + 0.1 * rng.normal(size=(128, 2))).astype(Z.dtype)
        state, _ = vdm.train_step(state, optimiser, batch, labels, key=keys[2])
    learned, middle = eqx.nn.inference_mode(state.vdm), places.mean(0)
    z = vdm.alpha(1.0) * jnp.asarray(middle, Z.dtype)  # as likely from the one as the other
    told = [learned.given(jnp.asarray(c)).denoiser for c in (0, 1)]
    np.testing.assert_allclose([d(z, 1.0).x for d in told], places, atol=0.2)
    np.testing.assert_allclose(learned.denoiser(z, 1.0).x, middle, atol=0.3)
    assert ClassifierFree(told[0], learned.denoiser, 2.0)(z, 1.0).x[0] < -1.5


def test_guidance_of_data_that_fits_in_one_gaussian_is_a_narrower_gaussian(key):
    """A label's N(0, a²) against N(0, b²) of all: precisions weigh w and 1 − w."""
    told, untold = (vdm.GaussianDenoiser(gaussian(s)) for s in (0.4, 1.0))
    z, gamma = points(key)
    precision = [1 / (vdm.alpha2(gamma) * s**2 + vdm.sigma2(gamma)) for s in (0.4, 1.0)]
    expected = -(2.5 * precision[0] - 1.5 * precision[1])[:, None] * z
    got = scores(ClassifierFree(told, untold, 2.5), key)
    np.testing.assert_allclose(got, expected, rtol=1e5 * EPS, atol=1e4 * EPS)
