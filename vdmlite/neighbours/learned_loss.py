"""Evolved policy gradients: a loss that is learned by evolution (Houthooft et al. 2018).

Inner loop: a policy with weights θ descends L_φ(what it did, what it would do). Outer loop:
evolution of φ, whose fitness is what policies earn after a short life of learning under L_φ.
The task is a point in the plane that has to find a goal it cannot see.
"""

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Count, Key, Scalar, ScalarLike, count, number

STEPS = 8
"""Steps of one episode."""
STD = 0.5
"""Standard deviation of an action about what the policy proposes."""
WINDOW = 8
"""Steps that a convolution of the learned loss sees; the episodes of an update in a row."""
MEMORY = 4
"""Numbers of the learned loss's memory."""


class PointMass(eqx.Module):
    """A task: the point starts at the origin; `gain` and `turn` say how actions move it."""

    goal: Float[Array, "*n 2"]
    gain: ScalarLike = 0.25
    turn: ScalarLike = 0.0

    def step(
        self, place: Float[Array, "2"], action: Float[Array, "2"]
    ) -> tuple[Float[Array, "2"], Scalar]:
        """Return the next place, and how much nearer it is; moves are cut at −2 and 2."""
        c, s = jnp.cos(self.turn), jnp.sin(self.turn)
        x, y = jnp.clip(action, -2, 2)
        moved = place + self.gain * jnp.stack([c * x - s * y, s * x + c * y])
        return moved, jnp.linalg.norm(place - self.goal) - jnp.linalg.norm(moved - self.goal)


class Policy(eqx.Module):
    """(x, y, share of the time) ↦ the mean of the action, which has the deviation `STD`."""

    first: eqx.nn.Linear
    last: eqx.nn.Linear

    def __init__(self, *, key: Key):
        keys = jax.random.split(key)
        self.first = eqx.nn.Linear(3, 16, key=keys[0])
        last = eqx.nn.Linear(16, 2, key=keys[1])
        self.last = jax.tree.map(lambda a: 0.1 * a, last)  # to begin with, no way is preferred

    def __call__(self, seen: Float[Array, "3"]) -> Float[Array, "2"]:
        """Return the action's mean."""
        return self.last(jnp.tanh(self.first(seen)))

    def log_prob(self, seen: Float[Array, "3"], action: Float[Array, "2"]) -> Scalar:
        """Return log π(action | seen), but for a constant."""
        return -0.5 * jnp.square((action - self(seen)) / STD).sum()


class Episodes(NamedTuple):
    """What was seen, done and earned; with an axis of episodes before the steps."""

    seen: Float[Array, "*n steps 3"]
    actions: Float[Array, "*n steps 2"]
    rewards: Float[Array, "*n steps"]


def episode(policy: Policy, task: PointMass, *, key: Key) -> Episodes:
    """Act once from the origin."""

    def act(place, inputs):
        share, noise = inputs
        seen = jnp.concatenate([place, share[None]])
        action = policy(seen) + STD * noise
        moved, reward = task.step(place, action)
        return moved, Episodes(seen, action, reward)

    noise = jax.random.normal(key, (STEPS, 2))
    return jax.lax.scan(act, jnp.zeros(2), (jnp.arange(STEPS) / STEPS, noise))[1]


def earned(policy: Policy, task: PointMass, *, episodes: Count = 8, key: Key) -> Scalar:
    """Return the mean of what an episode earns, at most the distance of the goal at first."""
    keys = jax.random.split(key, count(episodes, "episodes"))
    return jax.vmap(lambda key: episode(policy, task, key=key).rewards.sum())(keys).mean()


def advantages(rewards: Float[Array, "n steps"]) -> Float[Array, "n steps"]:
    """Return what is still earned from each step on, less the mean over the episodes."""
    to_come = jnp.cumsum(rewards[:, ::-1], 1)[:, ::-1]
    return to_come - to_come.mean(0, keepdims=True)


class AbstractLearner(eqx.Module):
    """How a policy is changed after some episodes; `memory` lasts for its life."""

    @abc.abstractmethod
    def memory(self) -> Float[Array, " m"]:
        """Return the memory to begin with; most have none."""

    @abc.abstractmethod
    def update(
        self, policy: Policy, memory: Float[Array, " m"], seen: Episodes
    ) -> tuple[Policy, Float[Array, " m"]]:
        """Return the policy and the memory after one update."""


def _step(loss: Callable[..., Scalar], parameters: Any, rate: ScalarLike) -> Any:
    """Take one step down the slope, which is cut to a length of 3."""
    slopes = eqx.filter_grad(loss)(parameters)
    squares = jnp.stack([jnp.square(a).sum() for a in jax.tree.leaves(slopes)])
    factor = rate * jnp.minimum(1.0, 3.0 * jax.lax.rsqrt(squares.sum() + 1e-12))
    return eqx.apply_updates(parameters, jax.tree.map(lambda a: -factor * a, slopes))


def _log_probs(policy: Policy, seen: Episodes) -> Float[Array, "n steps"]:
    return jax.vmap(jax.vmap(policy.log_prob))(seen.seen, seen.actions)


def surrogate(policy: Policy, seen: Episodes) -> Scalar:
    """Return the loss whose slope is REINFORCE's, with each step's mean as its baseline."""
    log_p = _log_probs(policy, seen)
    return -(log_p * advantages(seen.rewards)).mean()


class PolicyGradient(AbstractLearner):
    """REINFORCE (Williams 1992): a step down `surrogate`."""

    rate: Scalar = eqx.field(converter=number)

    def memory(self) -> Float[Array, "0"]:
        """Return no memory."""
        return jnp.zeros(0)

    def update(
        self, policy: Policy, memory: Float[Array, " m"], seen: Episodes
    ) -> tuple[Policy, Float[Array, " m"]]:
        """Return the policy after one step."""
        return _step(lambda policy: surrogate(policy, seen), policy, self.rate), memory


class PPO(AbstractLearner):
    """The clipped surrogate, several steps on the same episodes (Schulman et al. 2017)."""

    rate: Scalar = eqx.field(converter=number)
    clip: Scalar = eqx.field(converter=number, default=0.2)
    epochs: int = eqx.field(static=True, default=8)

    def memory(self) -> Float[Array, "0"]:
        """Return no memory."""
        return jnp.zeros(0)

    def update(
        self, policy: Policy, memory: Float[Array, " m"], seen: Episodes
    ) -> tuple[Policy, Float[Array, " m"]]:
        """Return the policy after `epochs` steps."""
        worth = advantages(seen.rewards)
        before = _log_probs(policy, seen)

        def loss(policy):
            log_p = _log_probs(policy, seen)
            ratio = jnp.exp(log_p - before)
            cut = jnp.clip(ratio, 1 - self.clip, 1 + self.clip)
            return -jnp.minimum(ratio * worth, cut * worth).mean()

        def once(_, policy):
            return _step(loss, policy, self.rate)

        return jax.lax.fori_loop(0, self.epochs, once, policy), memory


class LearnedLoss(AbstractLearner):
    """L_φ: convolutions over the steps give a context; a small net then prices each step.

    The price of a step depends on what was seen, done and earned, on the context and the
    memory, and on what the policy *would* do, through which alone the slope reaches θ. Each
    layer is divided by the root of its inputs, so that all of φ is of one size.
    """

    layers: tuple[Float[Array, "c_out c_in"], ...]
    biases: tuple[Float[Array, " c_out"], ...]

    def __init__(self, *, key: Key):
        sizes = [
            (6 * WINDOW, 6),
            (6 * WINDOW, 8),
            (8, 4),
            (6 + 2 + 2 + 4 + MEMORY, 24),
            (24, 1),
        ]
        pairs = zip(jax.random.split(key, len(sizes)), sizes, strict=True)
        self.layers = tuple(jax.random.normal(k, (o, i)) for k, (i, o) in pairs)
        self.biases = tuple(jnp.zeros(o) for _, o in sizes)

    def memory(self) -> Float[Array, " m"]:
        """Return an empty memory: numbers that descend the loss together with θ."""
        return jnp.zeros(MEMORY)

    def _layer(self, index: int, h: Float[Array, "n c_in"]) -> Float[Array, "n c_out"]:
        weight = self.layers[index]
        return h @ weight.T / math.sqrt(weight.shape[1]) + self.biases[index][None]

    def __call__(self, policy: Policy, memory: Float[Array, " m"], seen: Episodes) -> Scalar:
        """Return the loss of one update's episodes."""
        seen_, actions, rewards = (a.reshape(-1, *a.shape[2:]) for a in seen)
        facts = jnp.concatenate([seen_, actions, STEPS * rewards[:, None]], 1)
        h = jnp.tanh(self._layer(0, _unfold(facts)))
        h = jnp.tanh(self._layer(1, _unfold(h)))
        context = jnp.tanh(self._layer(2, h.mean(0, keepdims=True)))[0]
        would = jax.vmap(policy)(seen_)
        known = jnp.concatenate([context, memory])
        known = jnp.broadcast_to(known, (len(facts), len(known)))
        inputs = jnp.concatenate([facts, would, (actions - would) / STD, known], 1)
        return self._layer(4, jnp.tanh(self._layer(3, inputs))).mean()

    def update(
        self, policy: Policy, memory: Float[Array, " m"], seen: Episodes
    ) -> tuple[Policy, Float[Array, " m"]]:
        """Return the policy and the memory after one step down L_φ, in both."""
        return _step(lambda both: self(both[0], both[1], seen), (policy, memory), 1.0)


def _unfold(h: Float[Array, "steps c"]) -> Float[Array, "steps c_in"]:
    """Put each step beside the ones before it: a convolution is then a product."""
    padded = jnp.pad(h, ((WINDOW - 1, 0), (0, 0)))
    return jnp.concatenate([padded[i : i + len(h)] for i in range(WINDOW)], 1)


class Guided(AbstractLearner):
    """(1 − share) L_φ + share · `surrogate`: what evolution may begin with."""

    loss: LearnedLoss
    share: ScalarLike

    def memory(self) -> Float[Array, " m"]:
        """Return an empty memory."""
        return self.loss.memory()

    def update(
        self, policy: Policy, memory: Float[Array, " m"], seen: Episodes
    ) -> tuple[Policy, Float[Array, " m"]]:
        """Return the policy and the memory after one step down the mixture."""

        def mixed(both):
            learned, known = self.loss(both[0], both[1], seen), surrogate(both[0], seen)
            return jnp.asarray((1 - self.share) * learned + self.share * known)

        return _step(mixed, (policy, memory), 1.0)


def live(
    learner: AbstractLearner,
    task: PointMass,
    *,
    updates: Count,
    episodes: Count = 4,
    key: Key,
) -> tuple[Policy, Float[Array, " updates"]]:
    """Return a new policy after a life of `updates`, and what it earned before each."""
    episodes = count(episodes, "episodes")
    first_key, life_key = jax.random.split(key)

    def once(state, key):
        policy, memory = state
        keys = jax.random.split(key, episodes)
        seen = jax.vmap(lambda key: episode(policy, task, key=key))(keys)
        return learner.update(policy, memory, seen), seen.rewards.sum(1).mean()

    keys = jax.random.split(life_key, count(updates, "updates"))
    (policy, _), curve = jax.lax.scan(once, (Policy(key=first_key), learner.memory()), keys)
    return policy, curve


def circle(
    goals: Count, *, arc: ScalarLike = 1.0, stratified: bool = True, key: Key
) -> PointMass:
    """Return tasks with goals on the unit circle: even, turned by chance, or all by chance.

    `arc` is the share of the circle that is used, about the goal (1, 0).
    """
    n = count(goals, "goals")
    turn = jax.random.uniform(key, (1,) if stratified else (n,))
    shares = (turn + jnp.arange(n) / n) % 1.0 if stratified else turn
    angles = 2 * jnp.pi * arc * (shares - 0.5)
    return jax.vmap(PointMass)(jnp.stack([jnp.cos(angles), jnp.sin(angles)], 1))


def fitness(
    learner: AbstractLearner,
    tasks: PointMass,
    *,
    updates: Count = 4,
    curve: ScalarLike = 0.3,
    key: Key,
) -> Scalar:
    """Return what new policies earn at the end of their lives, + `curve` × while they learn."""

    def one(task, key):
        life_key, end_key = jax.random.split(key)
        policy, before = live(learner, task, updates=updates, key=life_key)
        return earned(policy, task, key=end_key) + curve * before.mean()

    keys = jax.random.split(key, len(tasks.goal))
    return jax.vmap(one)(tasks, keys).mean()
