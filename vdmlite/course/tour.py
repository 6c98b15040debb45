"""The tour: the course in miniature, on real data, in about a minute: `python run.py`."""

import time

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
    codec,
    compare_schedules,
    data,
    draw,
    evaluate,
    recipes,
    walk,
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
    init_key, fit_key, test_key, pace_key, draw_key, film_key = jax.random.split(
        jax.random.key(0), 6
    )
    digits = data.digits()
    print(
        "A variational diffusion model learns to remove noise from 1437 handwritten digits,\n"
        "8×8 pixels of 17 grey levels; 360 others are kept to test it.\n"
    )
    model, curve = fit(
        recipes.digits(key=init_key),
        digits,
        steps=pick(smoke=40, laptop=1500),
        batch_size=128,
        key=fit_key,
    )
    result = evaluate(model, digits.test, draws=pick(smoke=2, laptop=32), key=test_key)
    report(result, digits)
    pay(model, digits)
    pace(model, digits, key=pace_key)
    steps = pick(smoke=10, laptop=200)
    print(f"\nDrawing 64 digits, {steps} steps each …", flush=True)
    drawn = draw(model, 64, steps=steps, batch_size=64, key=draw_key)
    save(curve, digits, drawn, film(model, steps, key=film_key))
    print(f"\nDone in {time.monotonic() - started:.0f} s. The figures are in build/tour.")
    print("Next: `python run.py lab` opens the first lesson in JupyterLab.")


def report(result, digits: data.Images) -> None:
    """Print the bound on the test digits, term by term, beside two baselines."""
    print("\nThe price of a test digit, in bits per dimension (lower is better)")
    print("  of the model's bound              ± Monte-Carlo error")
    for name in ("prior", "reconstruction", "diffusion"):
        print(f"    {name:<30}{getattr(result.bits, name):.4f}")
    print(f"    {'together':<30}{result.bits.loss:.4f}")
    print("  and of simpler descriptions")
    print(f"    {'all levels equally likely':<28}{baselines.uniform(digits):8.4f}")
    print(f"    {'each pixel by itself':<28}{baselines.pixelwise(digits).mean():8.4f}")


def pay(model: VDM, digits: data.Images) -> None:
    """Print what the test digits take as a file, once they have come back from it."""
    images = digits.test[: pick(smoke=12, laptop=360)]
    coded = codec.compress(model, images, steps=pick(smoke=4, laptop=50), lanes=6)
    same = np.array_equal(codec.decompress(model, coded), images)
    png = baselines.png(digits._replace(test=images)) * images.size / 8
    print(
        f"\nCompressed with the model: {len(images)} test digits in {len(bytes(coded))} bytes "
        f"(as one PNG file {png:.0f}), "
        f"{'restored bit for bit' if same else 'NOT RESTORED'}"
    )


def pace(model: VDM, digits: data.Images, *, key) -> None:
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
    found = compare_schedules(model, schedules, digits.test, key=key, **options)
    for name, one in found.items():
        print(f"    {name:<30}{one.bits.loss:.4f}   {one.variance / unit**2:14.1f}")


def film(model: VDM, steps: int, *, key) -> np.ndarray:
    """Return eight digits on their way from noise: shape (8, 8, height, width, 1), in 0 … 1."""
    first_key, walk_key = jax.random.split(key)
    z = jax.vmap(lambda k: model.prior.sample(key=k))(jax.random.split(first_key, 8))
    gammas = model.schedule(jnp.linspace(1.0, 0.0, steps + 1))
    latents = jax.vmap(lambda z, k: walk(model.denoiser, z, gammas, key=k))(
        z, jax.random.split(walk_key, 8)
    )
    shown = np.linspace(0, steps, 8).astype(int)
    return np.clip((np.asarray(latents)[:, shown] + 1) / 2, 0, 1)


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
        baselines.pixelwise(digits).mean(),
        color="0.3",
        linestyle="--",
        label="each pixel by itself",
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
