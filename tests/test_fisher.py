"""Fisher scores: their mean and covariance under the model, chunks, projections."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from oracles import perturbed

import vdmlite
from vdmlite.neighbours import axial, fisher

pytestmark = pytest.mark.once
LOG_PROB = axial.AxialTransformer.log_prob


def gaussian_log_prob(model, x):
    return model.log_prob(x)


@pytest.fixture(scope="module")
def tiny():
    """A model of 2×2 binary images, its 16 images, their probabilities and their scores."""
    made = axial.AxialTransformer(
        (2, 2, 1), 2, width=4, outer=1, inner=1, heads=2, key=jax.random.key(0)
    )
    made = perturbed(made, key=jax.random.key(1))
    every = np.array(list(itertools.product(range(2), repeat=4))).reshape(-1, 2, 2, 1)
    p = np.exp(np.asarray(jax.jit(jax.vmap(made.log_prob))(jnp.asarray(every)), np.float64))
    scores = jax.jit(jax.vmap(lambda x: fisher.score(LOG_PROB, made, x)))(jnp.asarray(every))
    return made, every, p, scores


def test_the_score_of_a_gaussian():
    mean, std = jnp.array([0.5, -1.0]), jnp.array(0.8)
    x = jnp.array([1.3, 0.2])
    found = fisher.score(gaussian_log_prob, vdmlite.Gaussian(mean, std), x)
    away = (x - mean) / std
    expected = [*(away / std), ((away**2).sum() - 2) / std]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_mean_is_zero_and_the_covariance_is_the_hessian(tiny):
    made, every, p, scores = tiny
    scores = np.asarray(scores, np.float64)
    assert np.abs(p @ scores).max() < 1e-5 < np.abs(scores).max()
    arrays, rest = eqx.partition(made, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(arrays)

    def log_p(flat, x):
        return LOG_PROB(eqx.combine(unravel(flat), rest), x)

    some = np.random.default_rng(0).choice(len(flat), 60, replace=False)

    def of_some(values, x):
        return log_p(flat.at[some].set(values), x)

    hessian = jax.jit(jax.vmap(lambda x: jax.hessian(of_some)(flat[some], x)))
    hessians = hessian(jnp.asarray(every))
    information = -np.tensordot(p, np.asarray(hessians, np.float64), 1)
    covariance = np.einsum("n,ni,nj->ij", p, scores[:, some], scores[:, some])
    np.testing.assert_allclose(covariance, information, atol=1e-4 * np.abs(covariance).max())
    assert np.linalg.norm(covariance) > 0.1


@pytest.mark.parametrize("chunk", [3, 16, 100])
def test_chunks_change_nothing(tiny, chunk):
    made, every, _, scores = tiny
    found = fisher.moments(LOG_PROB, made, every, chunk=chunk)
    np.testing.assert_allclose(found.mean, scores.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.square, (scores**2).mean(0), rtol=1e-4, atol=1e-6)
    e = fisher.Embedding(LOG_PROB, made, found.square, 12, key=jax.random.key(2))
    each = jax.jit(jax.vmap(e))(jnp.asarray(every))
    np.testing.assert_allclose(fisher.embed(e, every, chunk=chunk), each, rtol=1e-3, atol=1e-4)


def test_the_embedding_is_whitened(tiny):
    """With draws as often as they are probable, each weight's wish has variance 1."""
    made, every, p, scores = tiny
    times = np.round(2000 * p).astype(int)
    square = fisher.moments(LOG_PROB, made, np.repeat(every, times, axis=0)).square
    e = fisher.Embedding(LOG_PROB, made, square, 8, damping=0.0, key=jax.random.key(2))
    white = np.asarray(e.scale) * np.repeat(np.asarray(scores), times, axis=0)
    # Some weights are of levels that cannot be seen: their scores are 0, but for rounding.
    awake = np.asarray(square > 1e-8 * square.max())
    assert awake.mean() > 0.9
    np.testing.assert_allclose(np.mean(np.square(white), 0)[awake], 1.0, rtol=1e-3)
    damped = fisher.Embedding(LOG_PROB, made, square, 8, key=jax.random.key(2))
    expected = damped.projection(damped.scale * scores[3])
    found = eqx.filter_jit(damped)(jnp.asarray(every[3]))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_memory_is_that_of_a_chunk_and_all_is_compiled_once():
    shapes = []

    def traced(x):
        shapes.append(x.shape)
        return x.sum(keepdims=True)

    for n in (5, 8, 21):
        examples = np.arange(3.0 * n).reshape(n, 3)
        found = fisher.embed(traced, examples, chunk=8)
        np.testing.assert_allclose(found, examples.sum(1, keepdims=True))
    assert shapes == [(3,)]
    made = axial.AxialTransformer((4, 4, 1), 3, width=32, key=jax.random.key(0))
    weights = len(fisher.score(LOG_PROB, made, np.zeros((4, 4, 1), int)))
    e = fisher.Embedding(LOG_PROB, made, jnp.ones(weights), 16, key=jax.random.key(0))

    def needed(chunk):
        zeros = jnp.zeros((chunk, 4, 4, 1), int)
        compiled = jax.jit(jax.vmap(e)).lower(zeros).compile()
        memory = compiled.memory_analysis()
        assert memory is not None
        return memory.temp_size_in_bytes

    assert 4 * weights * 4 < needed(4) < 0.4 * needed(32)


def test_a_projection_keeps_lengths_on_the_mean_and_their_spread_is_theirs():
    weights, size, n = 900, 64, 400
    h = jax.random.normal(jax.random.key(0), (weights,))
    keys = jax.random.split(jax.random.key(1), n)
    found = np.asarray([fisher.Projection(weights, size, key=k)(h) for k in keys], np.float64)
    squares = (found**2).sum(1) / float(jnp.vdot(h, h))
    assert abs(squares.mean() - 1) < 4 * squares.std() / n**0.5
    spread = np.sqrt(squares).std() * math.sqrt(2 * size)
    assert spread == pytest.approx(1.0, abs=0.15)
    few = fisher.Projection(weights, size, key=keys[0])
    assert few.which.shape == (size, 30)
    np.testing.assert_allclose(few(2 * h), 2 * few(h), rtol=1e-5)


def test_a_power_keeps_the_sign():
    found = fisher.power(jnp.array([-4.0, 0.0, 9.0]))
    np.testing.assert_allclose(found, [-2.0, 0.0, 3.0])
    np.testing.assert_allclose(fisher.power(jnp.array([-8.0]), 1 / 3), [-2.0], rtol=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"shape \(5,\), expected \(4,\)"):
        fisher.Projection(4, 2, key=jax.random.key(0))(jnp.ones(5))
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        fisher.Projection(4, 0, key=jax.random.key(0))
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        fisher.moments(gaussian_log_prob, None, np.zeros((3, 1)), chunk=0)
    with pytest.raises(ValueError, match="the number of examples must be at least 1, got 0"):
        fisher.moments(gaussian_log_prob, None, np.zeros((0, 1)))
