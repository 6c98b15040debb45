"""The model: reverse steps are posteriors at a guess, and a chain of them makes data."""

import dataclasses
import itertools
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import SCHEDULES, agrees, close, gaussian, off_by, oracle_model, over

from vdmlite import (
    VDM,
    FixedLinear,
    GaussianDecoder,
    GaussianDenoiser,
    LevelDecoder,
    NetDenoiser,
    posterior,
)

X, Z = jnp.array([0.5, -0.2]), jnp.array([1.0, 0.3])


def test_reverse_is_the_posterior_at_the_guess():
    schedule = FixedLinear(-4.0, 4.0)
    for delta in (jnp.zeros(2), jnp.array([0.2, -1.0])):
        model = VDM(schedule, off_by(X, delta), GaussianDecoder(), (2,))
        step, expected = (
            model.reverse(Z, 0.25, 0.5),
            posterior(Z, X + delta, schedule(0.25), schedule(0.5)),
        )
        close(step.mean, expected.mean)
        close(step.std, expected.std)


def test_predict_and_prior():
    model = oracle_model(shape=(2,))
    assert eqx.tree_equal(model.predict(Z, 0.3), model.denoiser(Z, model.schedule(0.3)))
    assert model.prior.mean.shape == (2,)
    close(model.prior.log_prob(Z), -np.log(2 * np.pi) - 0.5 * float(Z @ Z))


@over(SCHEDULES)
def test_under_another_schedule_all_else_is_kept(make):
    model, schedule = oracle_model(shape=(2,)), make(-4.0, 4.0)
    moved = model.under(schedule)
    assert moved.schedule is schedule
    kept = [field.name for field in dataclasses.fields(VDM) if field.name != "schedule"]
    assert kept == ["denoiser", "decoder", "shape"]
    assert moved.denoiser is model.denoiser
    assert moved.decoder is model.decoder
    assert moved.shape == model.shape
    assert model.schedule == FixedLinear(-13.3, 5.0)
    # The denoiser sees γ alone: at the same γ, at whatever time, it guesses the same.
    same = model.predict(Z, (float(schedule(0.3)) + 13.3) / 18.3)
    close(moved.predict(Z, 0.3).eps, same.eps, ulps=256)
    close(moved.prior.log_prob(Z), model.prior.log_prob(Z))


def test_given_a_condition_the_denoiser_is_told_of_it_and_all_else_is_kept():
    def network(z, gamma, condition=None, *, key):
        del gamma, key
        return z if condition is None else z * condition

    model = VDM(FixedLinear(-4.0, 4.0), NetDenoiser(network), GaussianDecoder(), (2,))
    label = jnp.array([3.0, -1.0])
    told = model.given(label)
    assert model.given(None) is model
    close(told.predict(Z, 0.3).eps, Z * label)
    close(model.predict(Z, 0.3).eps, Z)
    mean = posterior(Z, told.predict(Z, 0.5).x, model.schedule(0.25), model.schedule(0.5)).mean
    close(told.reverse(Z, 0.25, 0.5).mean, mean)
    for name in ("schedule", "decoder"):
        assert getattr(told, name) is getattr(model, name)
    assert eqx.tree_equal(told.given(label + 1), model.given(label + 1))  # the last counts


def test_a_denoiser_that_takes_no_condition_is_refused_one():
    with pytest.raises(TypeError, match="condition"):
        oracle_model(shape=(2,)).given(jnp.ones(()))


def test_reverse_in_the_wrong_order_raises():
    with pytest.raises(ValueError, match="gamma_s = 4 > gamma_t = -4"):
        oracle_model(schedule=FixedLinear(-4.0, 4.0), shape=(2,)).reverse(Z, 1.0, 0.0)


@pytest.mark.once
def test_one_long_chain_makes_the_data(key):
    """20,000 independent dimensions are one example: x ~ N(0.3, 0.5²) in each."""
    steps, d, std, mean = 1000, 20_000, 0.5, 0.3
    model = VDM(
        FixedLinear(-9.0, 6.0),
        GaussianDenoiser(gaussian(std, mean, (d,))),
        GaussianDecoder(),
        (d,),
    )

    @eqx.filter_jit
    def chain(model, key):
        def step(z_t, now):
            s, t, k = now
            return model.reverse(z_t, s, t).sample(key=k), None

        times = jnp.linspace(1, 0, steps + 1)
        first, rest = jax.random.split(key)
        steps_of = (times[1:], times[:-1], jax.random.split(rest, steps))
        return jax.lax.scan(step, model.prior.sample(key=first), steps_of)[0]

    z_0 = np.asarray(chain(model, key))
    # The exact mean and variance of such a chain, in float64: x̂ is linear in z.
    m, v, gammas = 0.0, 1.0, np.linspace(6, -9, steps + 1)
    for g_t, g_s in itertools.pairwise(gammas):
        a_t, a_s = 1 / (1 + np.exp(g_t)), 1 / (1 + np.exp(g_s))  # α², and σ² = 1 − α²
        s_t, s_s = 1 - a_t, 1 - a_s
        c = 1 - np.exp(g_s - g_t)
        gain = np.sqrt(a_t) * std**2 / (a_t * std**2 + s_t)
        from_z, from_x = np.sqrt(a_s / a_t) * (1 - c), np.sqrt(a_s) * c
        slope = from_z + from_x * gain
        m = slope * m + from_x * (1 - gain * np.sqrt(a_t)) * mean
        v = slope**2 * v + s_s * c
    agrees(z_0, m)
    agrees((z_0 - m) ** 2, v)
    # And 1000 steps are many: the law of the chain is nearly that of the data.
    assert abs(m / mean - 1) < 0.01
    assert abs(v / std**2 - 1) < 0.02


@pytest.mark.parametrize(
    ("shape", "batch", "message"),
    [
        (
            (7, 2, 3),
            False,
            "one example has shape (2, 3), got (7, 2, 3); this looks like a batch",
        ),
        ((2,), False, "one example has shape (2, 3), got (2,)"),
        ((2, 3), True, "a batch for this model has shape (n, 2, 3), got (2, 3)"),
        ((7, 3, 2), True, "a batch for this model has shape (n, 2, 3), got (7, 3, 2)"),
    ],
)
def test_check_says_what_was_wrong(shape, batch, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        oracle_model(shape=(2, 3)).check(np.zeros(shape), batch=batch)


def test_check_looks_at_values_too():
    model = eqx.tree_at(lambda m: m.decoder, oracle_model(shape=(2,)), LevelDecoder(4))
    model.check(np.array([0, 3]))
    model.check(np.array([[0, 3], [1, 2]]), batch=True)
    with pytest.raises(ValueError, match="0 … 3, got values from 0 to 4"):
        model.check(np.array([[0, 4]]), batch=True)
