"""Training: the loss falls, runs repeat exactly, and only what is meant to is trained."""

import io
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import EPS, close, oracle_model, perturbed

import vdmlite as vdm
from vdmlite import (
    VDM,
    Cosine,
    FixedLinear,
    GaussianDecoder,
    LearnedLinear,
    LevelDecoder,
    MonotoneNet,
    NetDenoiser,
)
from vdmlite.nn import MLP

ADAM = optax.adam(1e-2)
KEY = jax.random.key(7)
quick = pytest.mark.quick


def small(schedule=None) -> VDM:
    schedule = FixedLinear(-5.0, 4.0) if schedule is None else schedule
    net = MLP((2,), width=16, depth=1, key=jax.random.key(0))
    return VDM(schedule, NetDenoiser(net, vdm.from_v), GaussianDecoder(), (2,))


def batches(n=32):
    """Points on two spots, an endless iterator, the same every time."""
    rng = np.random.default_rng(0)
    while True:
        spots = rng.choice([-0.7, 0.7], (n, 1))
        yield (spots + 0.1 * rng.normal(size=(n, 2))).astype(jnp.result_type(float))


def run(state, steps, start=0):
    some = itertools.islice(batches(), start, start + steps)
    return list(vdm.train(state, ADAM, some, key=KEY))[-1]


def arrays(tree):
    return jax.tree.leaves(eqx.filter(tree, eqx.is_array))


@pytest.mark.once
@quick
def test_one_step_is_the_optimisers(key):
    state, batch = vdm.init(small(), ADAM), next(batches())
    new, terms = vdm.train_step(state, ADAM, batch, key=key)
    assert new.step == 1
    step_key = jax.random.fold_in(key, 0)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def bits_per_dim(model):
        return vdm.batch_vlb(model, jnp.asarray(batch), key=step_key).loss.mean() / (
            2 * np.log(2)
        )

    bits, grads = bits_per_dim(state.vdm)
    close(vdm.bits_per_dim(terms.loss, (2,)), bits, ulps=256)
    params = eqx.filter(state.vdm, eqx.is_inexact_array)
    expected = eqx.apply_updates(state.vdm, ADAM.update(grads, state.opt_state, params)[0])
    for got, want in zip(arrays(new.vdm), arrays(expected), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)  # Adam divides by tiny gradients
    # At step 0 the average keeps 1/10 of its start.
    for average, old, latest in zip(
        *map(arrays, (new.average, state.vdm, new.vdm)), strict=True
    ):
        close(average, 0.1 * old + 0.9 * latest)


def test_the_loss_falls():
    losses = [
        float(terms.loss)
        for _, terms in vdm.train(
            vdm.init(small(), ADAM), ADAM, itertools.islice(batches(), 300), key=KEY
        )
    ]
    early, late = np.array(losses[:50]), np.array(losses[-50:])
    error = np.hypot(early.std(), late.std()) / np.sqrt(50)
    assert early.mean() - late.mean() > 5 * error


@quick
def test_the_average_is_no_alias():
    state = vdm.init(small(), ADAM)
    for s in (state, run(state, 1)[0]):
        for a, b in zip(arrays(s.vdm), arrays(s.average), strict=True):
            assert a.unsafe_buffer_pointer() != b.unsafe_buffer_pointer()
    for a, b in zip(arrays(state.vdm), arrays(state.average), strict=True):
        assert np.array_equal(a, b)


def test_the_same_key_repeats_and_a_resumed_run_is_uninterrupted():
    whole, terms = run(vdm.init(small(), ADAM), 6)
    again, _ = run(vdm.init(small(), ADAM), 6)
    half, _ = run(vdm.init(small(), ADAM), 3)
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, half)
    file.seek(0)
    saved = eqx.tree_deserialise_leaves(file, vdm.init(small(), ADAM))
    resumed, resumed_terms = run(saved, 3, start=3)
    assert eqx.tree_equal(terms, resumed_terms)
    assert len(arrays(whole)) > 10
    for a, b, c in zip(*map(arrays, (whole, again, resumed)), strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)
    other, _ = next(vdm.train(half, ADAM, batches(), key=jax.random.key(8)))
    same, _ = next(vdm.train(half, ADAM, batches(), key=KEY))
    assert not eqx.tree_equal(other.vdm, same.vdm)


class Counted(vdm.AbstractDenoiser):
    """A denoiser with one weight, and arrays that are no weights."""

    weight: jax.Array
    order: jax.Array
    mask: jax.Array
    temperature: float

    def guess(self, z, gamma, *, key=None):
        del key
        TRACES.append(gamma)
        return vdm.from_eps(
            self.weight * z[self.order] * self.mask * self.temperature, z, gamma
        )


TRACES: list = []


def counted(schedule) -> VDM:
    denoiser = Counted(jnp.ones(()) * 0.5, jnp.array([1, 0]), jnp.array([True, False]), 2.0)
    return VDM(schedule, denoiser, GaussianDecoder(), (2,))


def test_only_inexact_arrays_are_trained():
    state, _ = run(vdm.init(counted(FixedLinear(-5.0, 4.0)), ADAM), 2)
    for model in (state.vdm, state.average):
        denoiser = model.denoiser
        assert isinstance(denoiser, Counted)
        assert denoiser.weight != 0.5
        assert denoiser.order.tolist() == [1, 0]
        assert denoiser.mask.tolist() == [True, False]
        assert jnp.issubdtype(denoiser.order.dtype, jnp.integer)
        assert denoiser.mask.dtype == bool
        assert denoiser.temperature == 2.0
        assert model.schedule == FixedLinear(-5.0, 4.0)


def test_a_learned_schedule_is_trained():
    state, _ = run(vdm.init(small(LearnedLinear(-5.0, 4.0)), ADAM), 2)
    assert isinstance(state.vdm.schedule, LearnedLinear)
    assert state.vdm.schedule.start != -5.0
    assert state.vdm.schedule.width != 9.0


@pytest.mark.once
@pytest.mark.parametrize("make", [FixedLinear, LearnedLinear])
def test_a_step_is_compiled_once(make):
    """Not once for each of the first steps, as when a step changes the type of its state."""
    state = vdm.init(counted(make(-5.5, 4.0)), ADAM)
    TRACES.clear()
    run(state, 4)
    assert len(TRACES) == 1


@quick
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.array([[0.1, np.nan]]), "must be finite, got 1 such values as nan"),
        (np.zeros((4, 3)), r"shape \(n, 2\), got \(4, 3\)"),
        (np.zeros(2), r"shape \(n, 2\), got \(2,\)"),
        (np.zeros((4, 2), np.int32), "takes real numbers, got data of type int32"),
    ],
)
def test_a_bad_batch_raises(batch, message):
    run_of_one = vdm.train(vdm.init(small(), ADAM), ADAM, [batch], key=KEY)
    with pytest.raises(ValueError, match=message):
        next(run_of_one)


# The gradient that training descends

LEVELS = np.random.default_rng(3).integers(0, 5, (6, 3))


def of_levels(schedule) -> VDM:
    """A network that is awake, for three pixels of five levels: all terms of the bound move."""
    net = perturbed(MLP((3,), width=8, depth=1, key=jax.random.key(4)), key=jax.random.key(5))
    return VDM(schedule, NetDenoiser(net, vdm.from_v), LevelDecoder(5), (3,))


def bent() -> MonotoneNet:
    """A schedule whose inner weights and ends have all moved."""
    return perturbed(MonotoneNet(-5.0, 4.0, width=4), key=jax.random.key(6), scale=0.5)


def inner(model):
    s = model.schedule
    return s.line, s.heights, s.steepness, s.places


@eqx.filter_jit
def mean_bound_gradient(model, data, steps, key):
    """The plain gradient of the mean bound in bits per dimension."""

    def bound(model):
        return vdm.batch_vlb(model, data, timesteps=steps, key=key).loss.mean() / (
            3 * np.log(2)
        )

    return eqx.filter_grad(bound)(model)


@eqx.filter_jit
def mean_square_gradient(model, data, key):
    """The plain gradient of the batch's mean of (diffusion loss in bits per dimension)²."""
    time_key, noise_key = jax.random.split(key)
    times = vdm.spread_times(len(data), key=time_key)
    keys = jax.random.split(noise_key, len(data))

    def square(model):
        terms = jax.vmap(lambda x, t, k: vdm.vlb(model, x, t, key=k))(data, times, keys)
        return jnp.mean((terms.diffusion / (3 * np.log(2))) ** 2)

    return eqx.filter_grad(square)(model)


def same_gradient(got, want):
    """Equal to a thousand roundings of each array's largest part."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(arrays(got), arrays(want), strict=True):
        assert np.any(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=1024 * EPS * np.abs(b).max())


@quick
def test_inner_weights_descend_the_square_and_all_others_the_bound(key):
    model, data = of_levels(bent()), jnp.asarray(LEVELS)
    _, got = eqx.filter_jit(vdm.training_gradient)(model, data, key=key)
    plain = mean_bound_gradient(model, data, None, key)
    square = mean_square_gradient(model, data, key)
    same_gradient(got, eqx.tree_at(inner, plain, inner(square)))
    for a, b in zip(inner(plain), inner(square), strict=True):  # which are not the same
        assert np.abs(a - b).max() > 0.1 * np.abs(b).max()


@quick
@pytest.mark.parametrize("make", [FixedLinear, LearnedLinear, Cosine])
def test_a_schedule_without_inner_weights_has_the_bounds_own_gradient(make, key):
    model, data = of_levels(make(-5.0, 4.0)), jnp.asarray(LEVELS)
    terms, got = eqx.filter_jit(vdm.training_gradient)(model, data, key=key)
    same_gradient(got, mean_bound_gradient(model, data, None, key))
    expected = vdm.batch_vlb(model, data, key=key)
    for a, b in zip(arrays(terms), arrays(expected), strict=True):
        assert a.shape == (6,)
        np.testing.assert_allclose(a, b, rtol=1024 * EPS)


@quick
def test_with_steps_all_weights_descend_the_discrete_bound(key):
    model, data = of_levels(bent()), jnp.asarray(LEVELS)
    terms, got = eqx.filter_jit(vdm.training_gradient)(model, data, timesteps=3, key=key)
    same_gradient(got, mean_bound_gradient(model, data, 3, key))
    expected = vdm.batch_vlb(model, data, timesteps=3, key=key).diffusion
    np.testing.assert_allclose(terms.diffusion, expected, rtol=1024 * EPS)


class Told(eqx.Module):
    """A network of two weights, told of a condition."""

    gain: jax.Array
    shift: jax.Array

    def __call__(self, z, gamma, condition, *, key=None):
        del key
        return jnp.tanh(self.gain * z + self.shift * condition + 0.1 * gamma)


CONDITIONS = np.array([0, 1, 0, 1, 1, 3])


def told(schedule) -> VDM:
    net = Told(jnp.asarray(0.4), jnp.asarray(-0.7))
    return VDM(schedule, NetDenoiser(net), LevelDecoder(5), (3,))


@quick
@pytest.mark.parametrize("steps", [None, 3])
def test_with_conditions_the_gradient_is_the_mean_of_the_examples_own(steps, key):
    model, data = told(LearnedLinear(-5.0, 4.0)), jnp.asarray(LEVELS)
    gradient = eqx.filter_jit(vdm.training_gradient)
    terms, got = gradient(model, data, CONDITIONS, timesteps=steps, key=key)
    time_key, noise_key = jax.random.split(key)
    times, keys = vdm.spread_times(6, key=time_key), jax.random.split(noise_key, 6)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def one(model, x, condition, t, key):
        return vdm.vlb(model.given(condition), x, t, timesteps=steps, key=key).loss

    each = [
        one(model, *example)
        for example in zip(data, jnp.asarray(CONDITIONS), times, keys, strict=True)
    ]
    np.testing.assert_allclose(terms.loss, [loss for loss, _ in each], rtol=1024 * EPS)
    bits = 6 * 3 * np.log(2)  # the mean, in bits per dimension
    same_gradient(got, jax.tree.map(lambda *g: sum(g) / bits, *[g for _, g in each]))
    unlike, _ = gradient(model, data, CONDITIONS[::-1], timesteps=steps, key=key)
    assert np.abs(unlike.diffusion / terms.diffusion - 1).max() > 1e-3


@pytest.mark.once
@quick
def test_a_step_hands_the_conditions_on(key):
    model = told(FixedLinear(-5.0, 4.0))
    state, optimiser = vdm.init(model, optax.sgd(1.0)), optax.sgd(1.0)
    new, terms = vdm.train_step(state, optimiser, LEVELS, CONDITIONS, key=key)
    step_key = jax.random.fold_in(key, 0)
    gradient = eqx.filter_jit(vdm.training_gradient)
    expected, grads = gradient(model, jnp.asarray(LEVELS), CONDITIONS, key=step_key)
    close(terms.loss, expected.loss.mean(), ulps=256)
    for got, old, g in zip(*map(arrays, (new.vdm, model, grads)), strict=True):
        np.testing.assert_allclose(got, old - g, rtol=0, atol=1024 * EPS * np.abs(g).max())


@quick
@pytest.mark.parametrize(
    ("step", "decay", "kept"),
    [(0, 0.999, 0.1), (8, 0.999, 0.5), (10**6, 0.9, 0.9), (10**6, 0.9999, 0.9999)],
)
def test_a_gradient_is_applied_and_the_average_keeps_its_share(step, decay, kept):
    """min(decay, (1 + n)/(10 + n)) of itself at step n."""
    model = told(LearnedLinear(-5.0, 4.0))
    optimiser = optax.sgd(0.5)
    state = eqx.tree_at(lambda s: s.step, vdm.init(model, optimiser), jnp.asarray(step))
    grads = jax.tree.map(jnp.ones_like, eqx.filter(model, eqx.is_inexact_array))
    new = vdm.apply_gradient(state, optimiser, grads, decay=decay)
    assert new.step == step + 1
    for old, moved, average in zip(*map(arrays, (model, new.vdm, new.average)), strict=True):
        close(moved, old - 0.5, scale=10)
        close(average, old - 0.5 * (1 - kept), scale=10)


@pytest.mark.once
def test_descending_finds_the_schedule_of_least_variance():
    """For data N(0, s² I) the best schedule is known: it draws γ with density p* ∝ √E[m²].

    m = c‖ξ‖² with c = s²e^{−γ}/(1 + s²e^{−γ}), so E[m²] = c²(D² + 2D), and the least variance
    E[ℓ²] − L² = ¼(∫√E[m²] dγ)² − L² is (2/D) L². A straight schedule has five times that.
    """
    d, low, high, steps = 8, -6.0, 5.0, 2000
    loss = d / 2 * (np.log1p(0.25 * np.exp(-low)) - np.log1p(0.25 * np.exp(-high)))
    least = 2 / d * loss**2

    def variance(schedule):
        """By the midpoint rule, from E[ℓ²] = ¼ ∫ γ′(t)² E[m²] dt."""
        t = (jnp.arange(4000) + 0.5) / 4000
        gammas, slopes = (np.asarray(a, np.float64) for a in jax.vmap(schedule.slope)(t))
        c = 1 / (1 + 4 * np.exp(gammas))
        np.testing.assert_allclose(np.mean(0.5 * d * slopes * c), loss, rtol=1e-3)
        return 0.25 * (d**2 + 2 * d) * np.mean(slopes**2 * c**2) - loss**2

    model = oracle_model(schedule=MonotoneNet(low, high), shape=(d,))
    others = jax.tree.map(lambda _: True, eqx.filter(model, eqx.is_inexact_array))
    others = eqx.tree_at(inner, others, (False,) * 4)
    optimiser = optax.chain(
        optax.adam(optax.cosine_decay_schedule(0.03, steps)),
        optax.masked(optax.set_to_zero(), others),
    )
    state, rng = vdm.init(model, optimiser), np.random.default_rng(0)
    assert variance(state.vdm.schedule) > 5 * least
    for _ in range(steps):
        x = (0.5 * rng.normal(size=(256, d))).astype(jnp.result_type(float))
        state, _ = vdm.train_step(state, optimiser, x, key=KEY)
    assert 0.999 * least < variance(state.vdm.schedule) < 1.1 * least
    assert eqx.tree_equal(state.vdm.schedule(0.0), model.schedule(0.0))
    assert eqx.tree_equal(state.vdm.schedule(1.0), model.schedule(1.0))
    assert eqx.tree_equal(state.vdm.denoiser, model.denoiser)


@pytest.mark.once
def test_another_optimiser_does_not_compile_the_gradient_anew():
    traced = []

    def net(z, gamma, *, key=None):
        del gamma, key
        traced.append(z.shape)
        return 0.5 * z

    model = VDM(FixedLinear(-4.0, 4.0), vdm.NetDenoiser(net), vdm.GaussianDecoder(), (2,))
    counts = []
    for optimiser in (optax.sgd(0.1), optax.sgd(0.2), optax.adam(0.1)):
        state = vdm.init(model, optimiser)
        for decay in (0.9, 0.99):
            state, _ = vdm.train_step(state, optimiser, jnp.ones((4, 2)), decay=decay, key=KEY)
        counts.append(len(traced))
    assert counts[0] == counts[1] == counts[2]
