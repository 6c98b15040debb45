"""Trained models that ship with the course, so that lessons start at once.

`python -m vdmlite.course.pretrained digits` trains one anew, as it was trained, and prints
its test bits per dimension; name any of `MODELS`. In the repository only: what is installed
stays as it is.
"""

import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Integer, Num
from tqdm import tqdm

from .. import (
    VDM,
    GaussianDecoder,
    LearnedLinear,
    NetDenoiser,
    bits_per_dim,
    data,
    evaluate,
    from_v,
    init,
    recipes,
    spread_times,
    storage,
    train,
    vlb,
)
from .._types import AnyArray, Key, Scalar
from ..engine.log import spell_out
from ..evaluation import Estimate
from ..gradient import training_gradient
from ..neighbours import axial, evolution, flow, hierarchy, learned_loss, super_resolution
from ..nn import ConvNet
from ..training import Gradient
from .checkout import ROOT, is_checkout
from .notebook import progress

WEIGHTS = Path(__file__).parent / "weights"


class Plan(NamedTuple):
    """How a model was trained, and how good it was."""

    make: Callable[..., Any]
    """make(key=key) is the untrained model."""
    images: Callable[[], Any]
    fit: Callable[..., Any]
    """fit(model, images, key=key) is the trained one."""
    measure: Callable[..., Estimate]
    """measure(model, images, key=key): its test bits per dimension, or what `unit` says."""
    bits: float
    """What was measured of the weights that ship, in `unit`."""
    cpu_seconds: float
    """What its training takes on 2 cores, their seconds together; of most of the long ones, the
    time of some updates times their number."""
    unit: str = "test bits/dim"


def fit(
    vdm: VDM,
    images: data.Images,
    conditions: np.ndarray | None = None,
    *,
    steps: int,
    batch_size: int,
    gradient: Gradient = training_gradient,
    key: Key,
) -> tuple[VDM, list[float]]:
    """Train; return the averaged model and the bits per dimension of each step's batch.

    `conditions`, one for each training image, and `gradient` are those of `train`.
    """
    batch_key, train_key = jax.random.split(key)
    batches = data.batches(images.train, batch_size, conditions, key=batch_key)
    return _follow(vdm, batches, steps, gradient, train_key)


def _follow(
    vdm: VDM, batches: Iterable, steps: int, gradient: Gradient, key: Key
) -> tuple[VDM, list[float]]:
    optimiser = optax.adam(_rate(2e-3, steps), b2=0.99)
    state, curve = init(vdm, optimiser), []
    look = {"desc": "training", "unit": " steps", "ncols": 80}
    bar = tqdm(range(steps), **look, disable="VDMLITE_STATIC" in os.environ)
    stream = train(state, optimiser, batches, gradient=gradient, key=key)
    for step, (state, terms) in zip(bar, stream, strict=False):  # noqa: B007  the last is kept
        curve.append(bits_per_dim(terms.loss, vdm.shape))
        if step % 20 == 0:  # to look is to wait for the device
            recent = np.mean([float(bits) for bits in curve[-20:]])
            bar.set_postfix_str(f"{recent:.2f} bits/dim", refresh=False)
    return state.average, [float(bits) for bits in curve]


def descend(
    loss: Callable[..., Scalar],
    model: Any,
    examples: np.ndarray,
    *,
    steps: int,
    batch_size: int,
    peak: float = 2e-3,
    key: Key,
) -> Any:
    """Train any model by Adam on the mean of `loss(model, x, key=key)`; return it.

    The rate rises to its `peak` and falls as a cosine.
    """

    def mean(model, batch, *, key):
        each = jax.vmap(lambda x, key: loss(model, x, key=key))
        return each(batch, jax.random.split(key, len(batch))).mean()

    optimiser = optax.adam(_rate(peak, steps))
    return _descend(mean, model, examples, optimiser, steps, batch_size, key)


def _rate(peak: float, steps: int) -> optax.Schedule:
    return optax.warmup_cosine_decay_schedule(0.0, peak, min(100, steps // 10), steps)


def _descend(loss, model, examples, optimiser, steps: int, batch_size: int, key: Key) -> Any:
    """Train a model on `loss(model, batch, key=key)`."""
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optimiser)

    @eqx.filter_jit
    def update(model, state, batch, key):
        slopes = eqx.filter_grad(lambda model: loss(model, batch, key=key))(model)
        changes, state = optimiser.update(
            slopes, state, eqx.filter(model, eqx.is_inexact_array)
        )
        return eqx.apply_updates(model, changes), state

    batch_key, key = jax.random.split(key)
    batches = data.batches(examples, batch_size, key=batch_key)
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))
    for step, batch in progress(zip(range(steps), batches, strict=False), steps):
        model, state = update(model, state, batch, jax.random.fold_in(key, step))
    return model


def measure(
    loss: Callable[..., Scalar], model: Any, examples: np.ndarray, *, passes: int = 4, key: Key
) -> Float[np.ndarray, "passes n"]:
    """Return draws of `loss(model, x, key=key)` for each example, in bits per dimension."""

    @eqx.filter_jit
    def once(model, key):
        each = jax.vmap(lambda x, key: loss(model, x, key=key))
        return each(jnp.asarray(examples), jax.random.split(key, len(examples)))

    draws = np.array([once(model, one) for one in jax.random.split(key, passes)])
    return bits_per_dim(draws, examples.shape[1:])


def _vdm(
    recipe: Callable,
    images: Callable[[], data.Images],
    steps: int,
    batch_size: int,
    *,
    factor: int | None = None,
    times: int = 2,
    **figures,
) -> Plan:
    """Return the plan of a VDM; with a `factor`, of one of images given smaller ones."""

    def conditions(images: np.ndarray) -> np.ndarray | None:
        return None if factor is None else super_resolution.shrink(images, factor)

    def trained(model, images, *, key):
        given = conditions(images.train)
        return fit(model, images, given, steps=steps, batch_size=batch_size, key=key)[0]

    def bits(model, images, *, key):
        given = conditions(images.test)
        found = evaluate(
            model, images.test, given, draws=2 * times, times=times, batch_size=42, key=key
        )
        return found.bits.loss

    return Plan(recipe, images, trained, bits, **figures)


def bound(
    vdm: VDM, x: Num[AnyArray, "*shape"], *, timesteps: int | None = None, key: Key
) -> Scalar:
    """Return the bound of one example in nats, a mean over 16 spread times or all T steps."""
    time_key, key = jax.random.split(key)
    n = 16 if timesteps is None else timesteps
    times = spread_times(n, key=time_key)
    keys = jax.random.split(key, n)
    draw = jax.vmap(lambda t, key: vlb(vdm, x, t, timesteps=timesteps, key=key).loss)
    return draw(times, keys).mean()


def dequantised_bound(
    vdm: VDM,
    x: Integer[AnyArray, "*shape"],
    *,
    levels: int,
    timesteps: int | None = None,
    key: Key,
) -> Scalar:
    """Return the bound of one image's levels in nats, by a model of dequantised ones."""
    cell_key, key = jax.random.split(key)
    points = 2 * (x + jax.random.uniform(cell_key, x.shape)) / levels - 1
    nats = bound(vdm, points, timesteps=timesteps, key=key)
    return nats + x.size * math.log(levels / 2)


def _dequantised(**figures) -> Plan:
    def make(*, key):
        net = ConvNet((8, 8, 1), width=32, depth=3, key=key)
        denoiser = NetDenoiser(net, from_v)
        return VDM(LearnedLinear(-9.0, 5.0), denoiser, GaussianDecoder(), (8, 8, 1))

    def trained(model, images, *, key):
        batch_key, cell_key, train_key = jax.random.split(key, 3)
        keys = (jax.random.fold_in(cell_key, i) for i in itertools.count())
        raw = data.batches(images.train, 128, key=batch_key)
        batches = (
            data.dequantise(batch, images.levels, key=one)
            for batch, one in zip(raw, keys, strict=False)
        )
        return _follow(model, batches, 1500, training_gradient, train_key)[0]

    loss = partial(dequantised_bound, levels=17)
    return Plan(make, data.digits, trained, partial(_mean_of, loss), **figures)


def small_mnist() -> data.Images:
    """Return MNIST of 7×7 pixels."""
    large = data.mnist()
    train, test = (super_resolution.shrink(x, 4) for x in (large.train, large.test))
    return data.Images(train, test, large.levels)


def shifts(
    images: Integer[AnyArray, "n height width c"], margin: int = 3
) -> Integer[np.ndarray, "n places h w c"]:
    """Return each image at every place of a frame that is larger by `margin`, row by row."""
    steps = [(i, margin - i) for i in range(margin + 1)]
    return np.stack(
        [
            np.pad(images, ((0, 0), rows, columns, (0, 0)))
            for rows in steps
            for columns in steps
        ],
        axis=1,
    )


def shifted_digits() -> data.Images:
    """Return digits in frames of 11×11: to train at all 16 places, to test at one."""
    centred = data.digits()
    train, test = shifts(centred.train), shifts(centred.test)
    place = np.random.default_rng(0).integers(test.shape[1], size=len(test))
    rows = np.arange(len(test))
    return data.Images(train.reshape(-1, *train.shape[2:]), test[rows, place], centred.levels)


def _axial(
    images: Callable[[], data.Images],
    shape: tuple[int, int, int],
    dropout: float,
    steps: int,
    batch_size: int,
    **figures,
) -> Plan:
    def trained(model, images, *, key):
        fit = {"steps": steps, "batch_size": batch_size, "peak": 6e-3}
        return descend(axial.training_loss, model, images.train, **fit, key=key)

    def price(model, x, *, key):
        del key  # exact
        return -jnp.asarray(model.log_prob(x))

    def bits(model, images, *, key):
        (found,) = measure(price, model, images.test, passes=1, key=key)
        return _estimate(found)

    make = partial(axial.AxialTransformer, shape, 17, dropout=dropout)
    return Plan(make, images, trained, bits, **figures)


def _chain(
    images: Callable[[], data.Images],
    shape: tuple[int, ...],
    levels: int,
    steps: int,
    decay: float,
    sizes: dict[str, int],
    **figures,
) -> Plan:
    def loss(model, batch, *, key):
        return hierarchy.training_loss(model, batch, free_nats=1.0, key=key)[0]

    def trained(model, images, *, key):
        optimiser = optax.adamw(_rate(2e-3, steps), weight_decay=decay)
        return _descend(loss, model, images.train, optimiser, steps, 128, key)

    def nats(model, x, *, key):
        return hierarchy.terms(model, x, key=key).total

    make = partial(hierarchy.hierarchy, shape, levels, **sizes)
    return Plan(make, images, trained, partial(_mean_of, nats), **figures)


def _flow(bend: flow.AbstractBend, *, variational: bool, **figures) -> Plan:
    def trained(model, images, *, key):
        model = flow.with_images(model, images.train[:256], key=key)
        loss = flow.dequantised_loss
        return descend(loss, model, images.train, steps=1500, batch_size=128, key=key)

    make = partial(flow.image_flow, (8, 8, 1), 17, bend=bend, variational=variational)
    return Plan(make, data.digits, trained, partial(_mean_of, flow.dequantised_loss), **figures)


def evolve_loss(
    model: learned_loss.LearnedLoss,
    *,
    generations: int,
    guided: int = 0,
    arc: float = 1.0,
    stratified: bool = True,
    key: Key,
) -> tuple[learned_loss.LearnedLoss, list[float]]:
    """Evolve a loss on 8 goals a generation; return it and the mean fitness of each.

    In the first `guided` generations half of the loss is that of a policy gradient.
    """
    arrays, rest = eqx.partition(model, eqx.is_array)
    phi, unravel = ravel_pytree(arrays)
    rate = optax.cosine_decay_schedule(0.05, generations)

    def of(phi):
        return eqx.combine(unravel(phi), rest)

    def fitness(phi, *, key, share=0.0):
        task_key, life_key = jax.random.split(key)
        tasks = learned_loss.circle(8, arc=arc, stratified=stratified, key=task_key)
        learner = learned_loss.Guided(of(phi), share) if share else of(phi)
        return learned_loss.fitness(learner, tasks, key=life_key)

    history = []
    for done, part, share in ((0, guided, 0.5), (guided, generations - guided, 0.0)):
        optimiser = optax.adam(lambda n, done=done: rate(n + done))
        key, one = jax.random.split(key)
        stream = evolution.evolve(partial(fitness, share=share), phi, optimiser, key=one)
        for _, (phi, values) in progress(zip(range(part), stream, strict=False), part):  # noqa: B007
            history.append(values.mean())
    return of(phi), [float(value) for value in history]


def returns(
    learner: learned_loss.AbstractLearner,
    *,
    goals: int = 512,
    updates: int = 4,
    key: Key,
    change: Callable[[learned_loss.PointMass], learned_loss.PointMass] = lambda task: task,
) -> Float[np.ndarray, " goals"]:
    """Return what a policy earns after its life, for each of many goals drawn by chance."""
    task_key, life_key = jax.random.split(key)
    tasks = change(learned_loss.circle(goals, stratified=False, key=task_key))
    keys = jax.random.split(life_key, goals)
    return np.asarray(_returns(learner, tasks, updates, keys), np.float64)


@eqx.filter_jit
def _returns(learner, tasks, updates, keys):
    def one(task, key):
        life_key, end_key = jax.random.split(key)
        policy, _ = learned_loss.live(learner, task, updates=updates, key=life_key)
        return learned_loss.earned(policy, task, episodes=32, key=end_key)

    return jax.vmap(one)(tasks, keys)


def _evolved(**figures) -> Plan:
    def trained(model, images, *, key):
        del images
        return evolve_loss(model, generations=6000, key=key)[0]

    def earned(model, images, *, key):
        del images
        return _estimate(returns(model, key=key))

    unit = "earned on held-out goals"
    return Plan(learned_loss.LearnedLoss, lambda: None, trained, earned, unit=unit, **figures)


def _mean_of(loss: Callable[..., Scalar], model: Any, images: data.Images, *, key) -> Estimate:
    """Return the mean of a loss over the test images in bits per dimension."""
    return _estimate(measure(loss, model, images.test, key=key).mean(1))


def _estimate(draws: np.ndarray) -> Estimate:
    return Estimate(draws.mean(), draws.std(ddof=1) / len(draws) ** 0.5)


MIXTURE = flow.MixtureOfLogistics(4)
WITHOUT = partial(recipes.patches, exponents=())
SMALL = partial(super_resolution.stage, (7, 7, 1), 256, width=48, depth=4)
LARGE = partial(
    super_resolution.stage, (28, 28, 1), 256, factor=4, noise=0.1, width=48, depth=8
)
MNIST_CHAIN = {"latents": 4, "size": 32, "width": 160}
DIGITS_CHAIN = {"latents": 4, "size": 16, "width": 128}
SHIFTED = partial(super_resolution.stage, (11, 11, 1), 17, width=40, depth=7)
MODELS = {
    "digits": _vdm(recipes.digits, data.digits, 1500, 128, bits=1.87, cpu_seconds=37),
    "patches": _vdm(recipes.patches, data.patches, 4000, 16, bits=3.16, cpu_seconds=1800),
    "patches_without_fourier": _vdm(
        WITHOUT, data.patches, 4000, 16, bits=3.15, cpu_seconds=1800
    ),
    "digits_dequantised": _dequantised(bits=2.18, cpu_seconds=39),
    "digits_chain": _chain(
        data.digits, (8, 8, 1), 17, 3000, 0.01, DIGITS_CHAIN, bits=1.920, cpu_seconds=31
    ),
    "digits_axial": _axial(data.digits, (8, 8, 1), 0.2, 520, 128, bits=1.790, cpu_seconds=92),
    "mnist_chain": _chain(
        data.mnist, (28, 28, 1), 256, 6000, 0.1, MNIST_CHAIN, bits=1.659, cpu_seconds=88
    ),
    "mnist_small": _vdm(SMALL, small_mnist, 3000, 128, bits=2.974, cpu_seconds=240),
    "mnist_large": _vdm(
        LARGE, data.mnist, 3000, 16, factor=4, times=1, bits=1.091, cpu_seconds=960
    ),
    "flow_uniform": _flow(MIXTURE, variational=False, bits=1.944, cpu_seconds=310),
    "flow_variational": _flow(MIXTURE, variational=True, bits=1.878, cpu_seconds=490),
    "flow_affine": _flow(flow.Affine(), variational=True, bits=2.058, cpu_seconds=460),
    "shifted_axial": _axial(
        shifted_digits, (11, 11, 1), 0.1, 1500, 64, bits=0.965, cpu_seconds=250
    ),
    "shifted_vdm": _vdm(SHIFTED, shifted_digits, 3000, 128, bits=1.003, cpu_seconds=650),
    "learned_loss": _evolved(bits=0.554, cpu_seconds=100),
}
"""All models that ship; `MODELS[name].bits` is what a test holds each to."""


def load(name: str) -> Any:
    """Return a trained model, one of `MODELS`: a VDM or one of `neighbours`.

    Raises:
        ValueError: there is no model of that name.
    """
    if name not in MODELS:
        raise ValueError(f"there are {', '.join(MODELS)}, not {name!r}")
    make = MODELS[name].make
    like = eqx.filter_eval_shape(lambda: storage.cast(make(key=jax.random.key(0)), jnp.float16))
    return storage.cast(storage.load(WEIGHTS / f"{name}.vdm", like), jnp.result_type(float))


def save(name: str, model: Any) -> None:
    """Write a model's weights, in half precision, whole or not at all."""
    storage.save(WEIGHTS / f"{name}.vdm", storage.cast(model, jnp.float16))


def main(names: list[str]) -> int:
    """Train the models named, and replace their weights."""
    spell_out()
    if not names or not set(names) <= set(MODELS):
        print(f"name one or more of {', '.join(MODELS)}")
        return 2
    if not is_checkout():
        print(f"{ROOT} is no copy of the repository, and only there are weights made anew")
        return 2
    for name in names:
        plan, (init_key, fit_key) = MODELS[name], jax.random.split(jax.random.key(0))
        images = plan.images()
        started = time.process_time()
        model = plan.fit(plan.make(key=init_key), images, key=fit_key)
        spent = time.process_time() - started
        save(name, model)
        found = plan.measure(load(name), images, key=jax.random.key(1))
        print(f"{name}: {found} {plan.unit}, trained in {spent:.0f} CPU-seconds")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
