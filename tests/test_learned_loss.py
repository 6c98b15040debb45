"""Evolution strategies, the point that looks for a goal, policy gradients, learned losses."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vdmlite.neighbours import evolution, learned_loss

pytestmark = pytest.mark.once


def task():
    return learned_loss.PointMass(jnp.array([0.6, -0.8]))


def some_episodes(policy, n=4, key=0):
    keys = jax.random.split(jax.random.key(key), n)
    return jax.vmap(lambda key: learned_loss.episode(policy, task(), key=key))(keys)


def test_ranks_are_even_and_centred():
    found = evolution.centred_ranks(jnp.array([3.0, -100.0, 7.0, 4.0, 1e9]))
    np.testing.assert_allclose(found, [-0.25, -0.5, 0.25, 0.0, 0.5])
    found = evolution.centred_ranks(jnp.array([jnp.nan, 2.0, 2.0, -jnp.inf, 3.0]))
    np.testing.assert_allclose(found, [-0.375, 0.125, 0.125, -0.375, 0.5])


def test_the_slope_points_uphill(key):
    """Of a linear function the expected slope is along its gradient."""
    gradient = jnp.array([3.0, -1.0, 0.0, 2.0])
    keys = jax.random.split(key, 300)

    def found(key):
        return evolution.slope(
            lambda phi, *, key: gradient @ phi, jnp.ones(4), pairs=8, std=0.1, key=key
        )[0]

    each = np.asarray(jax.vmap(found)(keys), np.float64)
    mean, error = each.mean(0), each.std(0) / 300**0.5
    direction = np.asarray(gradient / jnp.linalg.norm(gradient))
    along = mean @ direction
    assert along > 20 * error.max()
    assert np.all(np.abs(mean - along * direction) < 4.5 * error)


def test_evolution_climbs_what_has_no_derivative(key):
    def fitness(phi, *, key):
        del key
        return -jnp.abs(jnp.round(10 * (phi - jnp.array([1.0, -2.0])))).sum()

    stream = evolution.evolve(fitness, jnp.zeros(2), optax.adam(0.05), key=key)
    (phi, _), *_ = itertools.islice(stream, 400, 401)
    np.testing.assert_allclose(phi, [1.0, -2.0], atol=0.15)


def test_those_tried_share_their_luck(key):
    _, values = evolution.slope(
        lambda phi, *, key: jax.random.normal(key), jnp.zeros(3), pairs=4, std=0.1, key=key
    )
    assert len(values) == 8
    assert len(np.unique(values)) == 1


def test_progress_adds_up_to_the_distance():
    policy = learned_loss.Policy(key=jax.random.key(1))
    seen = some_episodes(policy)
    last = seen.seen[:, -1, :2]
    final = jax.vmap(lambda place, action: task().step(place, action)[0])(
        last, seen.actions[:, -1]
    )
    left = jnp.linalg.norm(final - task().goal[None], axis=1)
    np.testing.assert_allclose(seen.rewards.sum(1), 1 - left, atol=1e-5)


def test_changed_dynamics():
    turned = learned_loss.PointMass(jnp.array([0.0, 1.0]), gain=0.5, turn=jnp.pi / 2)
    place, reward = turned.step(jnp.zeros(2), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(place, [0.0, 0.5], atol=1e-6)
    assert float(reward) == pytest.approx(0.5, abs=1e-6)


def test_the_surrogate_has_the_slope_of_what_is_earned(key):
    """REINFORCE is unbiased: its mean slope is the derivative of the expected return."""
    policy, rows = learned_loss.Policy(key=jax.random.key(1)), 4000

    def bias_slope(key):
        keys = jax.random.split(key, 4)
        seen = jax.vmap(lambda key: learned_loss.episode(policy, task(), key=key))(keys)
        slopes = eqx.filter_grad(learned_loss.surrogate)(policy, seen)
        # The baseline is a mean with the episode itself in it: smaller by 3/4 on the mean.
        return -slopes.last.bias * learned_loss.STEPS * 4 / 3

    each = np.asarray(jax.vmap(bias_slope)(jax.random.split(key, rows)), np.float64)

    def expected(bias, key):
        moved = eqx.tree_at(lambda p: p.last.bias, policy, bias)
        return learned_loss.episode(moved, task(), key=key).rewards.sum()

    keys = jax.random.split(jax.random.key(7), rows)
    exact = np.asarray(
        jax.vmap(lambda key: jax.grad(expected)(policy.last.bias, key))(keys), np.float64
    )
    error = np.sqrt(each.var(0) / rows + exact.var(0) / rows)
    assert np.all(np.abs(each.mean(0) - exact.mean(0)) < 4 * error)
    assert np.abs(exact.mean(0)).max() > 10 * error.max()


def test_advantages_are_what_is_still_to_come():
    found = learned_loss.advantages(jnp.array([[1.0, 2.0], [3.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.0, 1.0], [0.0, -1.0]])


def test_ppo_of_one_epoch_is_a_step_of_the_policy_gradient():
    policy = learned_loss.Policy(key=jax.random.key(1))
    seen, none = some_episodes(policy), jnp.zeros(0)
    one, _ = learned_loss.PPO(0.1, epochs=1).update(policy, none, seen)
    other, _ = learned_loss.PolicyGradient(0.1).update(policy, none, seen)
    many, _ = learned_loss.PPO(0.1, epochs=3).update(policy, none, seen)
    for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(many.last.weight - other.last.weight).max() > 1e-3


def test_the_slope_reaches_the_policy_through_what_it_would_do():
    """With the policy's means held, the loss does not see θ."""
    policy = learned_loss.Policy(key=jax.random.key(1))
    loss = learned_loss.LearnedLoss(key=jax.random.key(2))
    seen = some_episodes(policy)
    slopes = eqx.filter_grad(lambda p: loss(p, loss.memory(), seen))(policy)
    assert all(np.abs(a).max() > 0 for a in jax.tree.leaves(slopes))
    silent = eqx.tree_at(lambda one: one.layers[3], loss, loss.layers[3].at[:, 6:10].set(0.0))
    slopes = eqx.filter_grad(lambda p: silent(p, loss.memory(), seen))(policy)
    assert all(np.abs(a).max() == 0 for a in jax.tree.leaves(slopes))


def test_the_memory_descends_with_the_policy():
    policy = learned_loss.Policy(key=jax.random.key(1))
    loss = learned_loss.LearnedLoss(key=jax.random.key(2))
    moved, memory = loss.update(policy, loss.memory(), some_episodes(policy))
    assert memory.shape == (learned_loss.MEMORY,)
    assert np.abs(memory).min() > 0
    assert np.abs(moved.last.weight - policy.last.weight).max() > 0


@pytest.mark.parametrize(("share", "same"), [(0.0, "loss"), (1.0, "gradient")])
def test_a_guide_goes_from_one_loss_to_the_other(share, same):
    policy = learned_loss.Policy(key=jax.random.key(1))
    loss = learned_loss.LearnedLoss(key=jax.random.key(2))
    seen, empty = some_episodes(policy), loss.memory()
    others = {"loss": loss, "gradient": learned_loss.PolicyGradient(1.0)}
    found, _ = learned_loss.Guided(loss, share).update(policy, empty, seen)
    expected, _ = others[same].update(policy, empty, seen)
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_life_of_policy_gradients_learns(key):
    keys = jax.random.split(key, 64)

    def curve(key):
        learner = learned_loss.PolicyGradient(0.3)
        return learned_loss.live(learner, task(), updates=16, key=key)[1]

    each = np.asarray(jax.vmap(curve)(keys), np.float64)
    gain = each[:, -1] - each[:, 0]
    assert gain.mean() > 0.4 > 5 * gain.std() / 8


def test_goals_are_even_or_by_chance(key):
    even = np.asarray(learned_loss.circle(8, key=key).goal)
    angles = np.sort(np.arctan2(even[:, 1], even[:, 0]))
    np.testing.assert_allclose(np.diff(angles), np.pi / 4, atol=1e-5)
    right = np.asarray(learned_loss.circle(200, arc=0.5, stratified=False, key=key).goal)
    assert 0 <= right[:, 0].min() < 0.1
    assert np.ptp(right[:, 1]) > 1.9
    loose = np.asarray(learned_loss.circle(8, stratified=False, key=key).goal)
    np.testing.assert_allclose(np.linalg.norm(loose, axis=1), 1.0, rtol=1e-5)
    assert np.ptp(np.diff(np.sort(np.arctan2(loose[:, 1], loose[:, 0])))) > 0.1


def test_fitness_adds_the_curve(key):
    tasks = learned_loss.circle(4, key=key)
    learner = learned_loss.PolicyGradient(0.3)
    at = [
        float(learned_loss.fitness(learner, tasks, curve=c, key=key)) for c in (0.0, 1.0, 2.0)
    ]
    assert at[2] - at[1] == pytest.approx(at[1] - at[0], abs=1e-5)
    assert at[0] != at[1]


def test_counts_are_checked(key):
    with pytest.raises(ValueError, match="pairs must be at least 1, got 0"):
        evolution.slope(lambda phi, *, key: phi.sum(), jnp.zeros(2), pairs=0, std=1.0, key=key)
    with pytest.raises(ValueError, match="updates must be at least 1, got 0"):
        learned_loss.live(learned_loss.PolicyGradient(0.3), task(), updates=0, key=key)
    with pytest.raises(ValueError, match="goals must be at least 1, got 0"):
        learned_loss.circle(0, key=key)
