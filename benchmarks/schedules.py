"""What a noise schedule costs and saves: `python run.py benchmark`.

Three tables and a figure, in build/benchmarks: seconds of training to a given bound, in the
plane and on digits; the variance of the bound's estimate under each schedule, against
γ-linear; the cost of a training step with a learned schedule, against a fixed one. Seconds
are those of the machine at hand, and compare within a run; training has one seed.
"""

import itertools
import time
from collections.abc import Callable

import jax
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optax

import vdmlite as v
from vdmlite import data, recipes
from vdmlite.course import pretrained
from vdmlite.course.build import ROOT
from vdmlite.viz import COLORS, LINES, style

OUT = ROOT / "build" / "benchmarks"
FIXED: dict[str, Callable[[float, float], v.AbstractSchedule]] = {
    "γ-linear": v.FixedLinear,
    "Karras": v.Karras,
    "flow matching": v.FlowMatching,
    "cosine": v.Cosine,
    "β-linear": v.BetaLinear,
}
EVERY = {**FIXED, "learned ends": v.LearnedLinear, "learned": v.MonotoneNet}


def main() -> None:
    """Measure, print, save."""
    matplotlib.use("agg")
    style()
    OUT.mkdir(parents=True, exist_ok=True)
    print(f"jax {jax.__version__}, {jax.default_backend()}\n")
    variances()
    print()
    cost_of_a_step()
    print()
    plane = data.sample(data.ring(8, 0.2), 24_000, key=jax.random.key(0))
    digits = data.digits()
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    toy = recipes.toy(gamma_min=-8.0, gamma_max=5.0, key=jax.random.key(1))
    time_to(axes[0], "ring", toy, plane[:20_000], plane[20_000:], 1.75, 1500)
    model = recipes.digits(key=jax.random.key(1))
    time_to(axes[1], "digits", model, digits.train, digits.test, 2.0, 1500)
    figure.savefig(OUT / "schedules.png", dpi=120)
    print(f"figure: {(OUT / 'schedules.png').relative_to(ROOT)}")


def variances() -> None:
    """Print the variance of one draw under each schedule, by the shipped models."""
    for name, images in {"digits": data.digits(), "patches": data.patches()}.items():
        model = pretrained.load(name)
        ends = float(model.schedule(0.0)), float(model.schedule(1.0))
        curve = v.error_curve(
            model,
            images.test,
            np.linspace(*ends, 40),
            draws=len(images.test),
            key=jax.random.key(2),
        )
        base = curve.variance(v.FixedLinear(*ends))
        print(f"{name}: variance of one draw of the diffusion loss, γ-linear = 1")
        for label, make in FIXED.items():
            print(f"  {label:<16}{curve.variance(make(*ends)) / base:8.2f}")
        print(f"  {'the least':<16}{curve.least_variance / base:8.2f}")


def cost_of_a_step() -> None:
    """Print the time of a training step with each kind of schedule, alternating."""
    digits = data.digits()
    batch = digits.train[:128]
    optimiser = optax.adam(1e-3)
    states, times = {}, {}
    for name, make in {"fixed": v.FixedLinear, "learned": v.MonotoneNet}.items():
        model = recipes.digits(key=jax.random.key(0)).under(make(-8.0, 5.0))
        states[name], times[name] = v.init(model, optimiser), []
    for _ in range(60):
        for name, state in states.items():
            started = time.perf_counter()
            states[name], terms = v.train_step(state, optimiser, batch, key=jax.random.key(1))
            jax.block_until_ready(terms)
            times[name].append(time.perf_counter() - started)
    fixed, learned = (float(np.median(times[n][10:])) for n in ("fixed", "learned"))
    print("digits, a training step with a batch of 128")
    ratio = learned / fixed
    print(f"  fixed {1e3 * fixed:.1f} ms, learned {1e3 * learned:.1f} ms: ratio {ratio:.2f}")


def time_to(axes, name, model, train, test, goal, steps) -> None:
    """Train under each schedule; print the seconds to the goal, draw the way there.

    The goal is in nats for points and in bits per dimension for images. Evaluations are not
    counted, nor is compilation: it is done on a first step that is thrown away.
    """
    pixels = len(model.shape) > 1
    unit = np.prod(model.shape) * np.log(2) if pixels else 1.0
    word = "bits/dim" if pixels else "nats"
    ends = float(model.schedule(0.0)), float(model.schedule(1.0))
    print(f"{name}: seconds of training to {goal} {word}, and the bound after {steps} updates")
    for i, (label, make) in enumerate(EVERY.items()):
        optimiser = optax.adam(optax.cosine_decay_schedule(2e-3, steps), b2=0.99)
        start = v.init(model.under(make(*ends)), optimiser)
        batches = data.batches(train, 128, key=jax.random.key(3))
        stream = v.train(start, optimiser, batches, key=jax.random.key(4))
        jax.block_until_ready(
            next(v.train(start, optimiser, [train[:128]], key=jax.random.key(4)))
        )
        state, spent, seconds, bounds = start, 0.0, [], []
        while len(bounds) < 15:
            started = time.perf_counter()
            for state, _ in itertools.islice(stream, steps // 15):  # noqa: B007  the last is kept
                pass
            jax.block_until_ready(state)
            spent += time.perf_counter() - started
            found = v.evaluate(
                state.average.under(gamma_linear(state.average.schedule)),
                test,
                draws=4,
                times=4,
                batch_size=4096,
                key=jax.random.key(5),
            )
            seconds.append(spent)
            bounds.append(float(found.nats.loss.mean) / unit)
        reached = [s for s, b in zip(seconds, bounds, strict=True) if b <= goal]
        first = f"{reached[0]:6.1f}" if reached else " never"
        print(f"  {label:<16}{first} s   {bounds[-1]:.3f} {word} in {spent:.1f} s")
        axes.plot(seconds, bounds, color=COLORS[i], ls=LINES[i], label=label)
    axes.axhline(goal, color="0.6", ls=":")
    low = goal - 0.2 * abs(goal)
    axes.set(xlabel="seconds of training", ylabel=f"test bound ({word})", title=name)
    axes.set_ylim(low, goal + 0.4 * abs(goal))
    axes.legend()


def gamma_linear(schedule: v.AbstractSchedule) -> v.LearnedLinear:
    """Return what all are judged by: γ linear in time, between the same ends.

    Its ends are arrays: other numbers are no new compilation.
    """
    return v.LearnedLinear(float(schedule(0.0)), float(schedule(1.0)))


if __name__ == "__main__":
    main()
