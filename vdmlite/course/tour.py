"""The tour: the course in miniature, on real data, in about a minute: `python run.py`."""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from .. import (
    VDM,
    BetaLinear,
    Cosine,
    FixedLinear,
    FlowMatching,
    Karras,
    bits_per_dim,
    compare_schedules,
    data,
    evaluate,
    recipes,
    sample,
)
from ..viz import images, style
from . import baselines
from .build import ROOT
from .notebook import pick
from .pretrained import fit

FIGURES = ROOT / "build" / "tour"
SHAPE = (8, 8, 1)


def main() -> None:
    """Train a VDM on the digits, measure it in bits per dimension, draw from it."""
    matplotlib.use("agg")
    style()
    FIGURES.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    digits = data.digits()
    print(
        "A variational diffusion model learns to remove noise from 1437 handwritten digits,\n"
        "8×8 pixels of 17 grey levels; 360 others are kept to test it.\n"
    )
    model, curve = fit(
        recipes.digits(key=jax.random.key(0)),
        digits,
        steps=pick(smoke=40, laptop=1500),
        batch_size=128,
        key=jax.random.key(0),
    )
    result = evaluate(model, digits.test, draws=pick(smoke=2, laptop=32), key=jax.random.key(1))
    report(result, digits)
    pace(model, digits)
    keys, steps = jax.random.split(jax.random.key(2), 64), pick(smoke=10, laptop=200)
    print(f"\nDrawing 64 digits, {steps} steps each …", flush=True)
    drawn = jax.vmap(lambda k: sample(model, steps, key=k))(keys)
    save(curve, digits, np.asarray(drawn), film(model, steps, key=jax.random.key(3)))
    print(f"\nDone in {time.monotonic() - started:.0f} s. The figures are in build/tour.")
    print("Next: `python run.py lab` opens the first lesson in JupyterLab.")


def report(result, digits: data.Images) -> None:
    """Print the bound on the test digits, term by term, beside two baselines."""

    def bits(nats) -> float:
        return float(bits_per_dim(nats, SHAPE))

    print("\nThe price of a test digit, in bits per dimension (lower is better)")
    print("  of the model's bound              ± Monte-Carlo error")
    for name in ("prior", "reconstruction", "diffusion"):
        mean, error = getattr(result.mean, name), getattr(result.error, name)
        print(f"    {name:<28}{bits(mean):8.4f} ± {bits(error):.4f}")
    print(f"    {'together':<28}{bits(result.mean.loss):8.4f} ± {bits(result.loss_error):.4f}")
    print("  and of simpler descriptions")
    print(f"    {'all levels equally likely':<28}{baselines.uniform(digits):8.4f}")
    print(f"    {'each pixel by itself':<28}{baselines.pixelwise(digits):8.4f}")


def pace(model: VDM, digits: data.Images) -> None:
    """Print the bound of the same model under five schedules, and how its estimates scatter."""
    ends = float(model.schedule(0.0)), float(model.schedule(1.0))
    schedules = {
        "γ linear in time": FixedLinear(*ends),
        "Karras": Karras(*ends),
        "flow matching": FlowMatching(*ends),
        "cosine": Cosine(*ends),
        "β linear (DDPM)": BetaLinear(*ends),
    }
    print("\nThe same model under other noise schedules: the bound cannot tell them apart")
    print("                                bits/dim            variance of one draw")
    options = pick(smoke={"draws": 2}, laptop={"draws": 16, "times": 2, "batch_size": 1440})
    unit = np.prod(SHAPE) * np.log(2)
    found = compare_schedules(model, schedules, digits.test, key=jax.random.key(4), **options)
    for name, one in found.items():
        bound, error = one.mean.loss / unit, one.loss_error / unit
        print(f"    {name:<28}{bound:8.4f} ± {error:.4f}   {one.variance / unit**2:14.1f}")


def film(model: VDM, steps: int, *, key) -> np.ndarray:
    """Return eight digits on their way from noise: shape (8, 8, height, width, 1), in 0 … 1."""
    first_key, *step_keys = jax.random.split(key, steps + 1)

    @eqx.filter_jit
    def walk(model, z, s, t, keys):
        return jax.vmap(lambda z, k: model.reverse(z, s, t).sample(key=k))(z, keys)

    z = jax.vmap(lambda k: model.prior.sample(key=k))(jax.random.split(first_key, 8))
    times, frames = np.linspace(1, 0, steps + 1), []
    shown = set(np.linspace(0, steps, 8).astype(int).tolist())
    for i in range(steps + 1):
        if i in shown:
            frames.append(np.clip((np.asarray(z) + 1) / 2, 0, 1))
        if i < steps:
            s, t = jnp.asarray(times[i + 1]), jnp.asarray(times[i])
            z = walk(model, z, s, t, jax.random.split(step_keys[i], 8))
    return np.stack(frames, axis=1)


def save(
    curve: list[float], digits: data.Images, drawn: np.ndarray, frames: np.ndarray
) -> None:
    """Write the figures, each under a name that says what it shows."""
    figure, ax = plt.subplots(figsize=(6, 3))
    width = min(50, len(curve))
    smooth = np.convolve(curve, np.ones(width) / width, "valid")
    ax.plot(np.arange(len(smooth)) + width, smooth, label="model, mean of 50 batches")
    ax.axhline(baselines.uniform(digits), color="0.5", linestyle=":", label="all levels alike")
    ax.axhline(
        baselines.pixelwise(digits), color="0.3", linestyle="--", label="each pixel by itself"
    )
    ax.set(xlabel="step", ylabel="bits per dimension", ylim=(1.5, None))
    ax.legend()
    figure.savefig(FIGURES / "training.png", dpi=120)
    plt.close(figure)

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4))
    images(axes[0], digits.train[:64], levels=digits.levels, title="real digits")
    strips = frames.reshape(-1, *SHAPE)
    images(axes[1], strips, levels=2, title="from noise to a digit")
    images(axes[2], drawn, levels=digits.levels, title="digits the model drew")
    figure.savefig(FIGURES / "digits.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
