"""What sampling and choosing its grid cost: `python run.py benchmark`.

Two tables. The best grids of up to 32 steps among 1000 candidates, against a lower limit: the
additions alone. And a step of `sample` and of `draw` for 64 digits, against the network's
guess alone. Seconds are those of the machine at hand; ratios compare within a run.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import numpy as np
from network import seconds

import vdmlite as v
from vdmlite.course import pretrained
from vdmlite.neighbours.few_steps import edge_costs, shortest_paths
from vdmlite.neighbours.ode import Heun

STEPS, COUNT = 50, 64


def main() -> None:
    """Measure and print."""
    gammas = np.linspace(-13.3, 5.0, 1000)
    error = 0.25 * np.exp(-gammas) / (1 + 0.25 * np.exp(-gammas))
    costs, rest = edge_costs(gammas, error), np.zeros((1000, 1))
    program = wall(lambda: shortest_paths(edge_costs(gammas, error), 32))
    additions = wall(lambda: [rest + costs for _ in range(32)])
    print(f"best grids of 1 … 32 steps among {len(gammas)}: {program:.3f} s,")
    print(f"  {program / additions:.1f} × the additions alone\n")

    model = pretrained.load("digits")
    key, z = jax.random.key(0), jax.random.normal(jax.random.key(1), (COUNT, *model.shape))
    guess = eqx.filter_jit(lambda m, z: jax.vmap(lambda z: m.denoiser(z, 0.5).eps)(z))
    alone = wall(lambda: guess(model, z), repeat=50)
    print(
        f"{COUNT} digits, one guess of the network: {1e3 * alone:.2f} ms. One step, in guesses:"
    )
    print("              sample    draw")
    for name, step in {
        "ancestral": v.Ancestral(),
        "DDIM": v.DDIM(),
        "Heun (two)": Heun(),
    }.items():
        one = partial(v.sample, model, steps=STEPS, step=step)
        together = jax.jit(jax.vmap(lambda k, one=one: one(key=k)))
        keys = jax.random.split(key, COUNT)
        inside = wall(lambda: together(keys))  # noqa: B023
        outside = wall(
            lambda: v.draw(model, COUNT, steps=STEPS, step=step, batch_size=COUNT, key=key)  # noqa: B023
        )
        print(f"  {name:10s}  {inside / STEPS / alone:6.2f}  {outside / STEPS / alone:6.2f}")


def wall(run: Callable, repeat: int = 5) -> float:
    """Return the least wall time of a few runs, after one that doesn't count."""
    return seconds(run, repeat)[1]


if __name__ == "__main__":
    main()
