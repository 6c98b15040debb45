"""What tests run over and measure against: named constructors, quadrature, tolerances.

A new schedule, reading, denoiser or decoder is tested by adding one line below;
`test_architecture.py` fails if a class of the package is missing here.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vdmlite as vdm
from vdmlite import nn

EPS = float(jnp.finfo(jnp.result_type(float)).eps)
"""Machine epsilon of the run; every tolerance that is not statistical is a multiple of it."""

X64 = jnp.result_type(float) == jnp.float64

SCHEDULES: dict[str, Callable[[float, float], vdm.AbstractSchedule]] = {
    "FixedLinear": vdm.FixedLinear,
    "LearnedLinear": vdm.LearnedLinear,
    "Cosine": vdm.Cosine,
    "BetaLinear": vdm.BetaLinear,
    "FlowMatching": vdm.FlowMatching,
    "Karras": vdm.Karras,
    "MonotoneNet": vdm.MonotoneNet,
    "PiecewiseLinear": lambda low, high: vdm.PiecewiseLinear(
        [low, *(low + (high - low) * share for share in (0.1, 0.4, 0.8)), high]
    ),
}

READINGS: dict[str, tuple[Callable[..., vdm.Prediction], Callable[..., Any]]] = {
    # the name of a Prediction's property: how it is read, what it is for known x and ε
    "x": (vdm.from_x, lambda x, eps, a, s: x),
    "eps": (vdm.from_eps, lambda x, eps, a, s: eps),
    "v": (vdm.from_v, lambda x, eps, a, s: a * eps - s * x),
    "score": (vdm.from_score, lambda x, eps, a, s: -eps / s),
}


def gaussian(std: float = 0.5, mean: float = 0.0, shape: tuple[int, ...] = (2,)):
    return vdm.Gaussian(jnp.full(shape, mean), jnp.asarray(std, jnp.result_type(float)))


def mixture() -> vdm.Mixture:
    """Three unequal components in the plane, of mean (0.02, −0.01)."""
    means = jnp.array([[-0.8, 0.2], [0.6, 0.5], [0.4, -0.9]])
    return vdm.Mixture(jnp.array([0.4, 0.35, 0.25]), means, jnp.array([0.1, 0.2, 0.3]))


def perturbed(tree, *, key, scale: float = 0.3):
    """Add noise to every weight, so that the layers that start at zero are awake."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    moved = [
        a + scale * jax.random.normal(k, a.shape, a.dtype) if hasattr(a, "dtype") else a
        for a, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, moved)


def net() -> vdm.NetDenoiser:
    mlp = nn.MLP((2,), width=16, depth=2, key=jax.random.key(1))
    return vdm.NetDenoiser(perturbed(mlp, key=jax.random.key(2)), vdm.from_v)


DENOISERS: dict[str, Callable[[], vdm.AbstractDenoiser]] = {  # of examples of shape (2,)
    "GaussianDenoiser": lambda: vdm.GaussianDenoiser(gaussian(mean=0.3)),
    "MixtureDenoiser": lambda: vdm.MixtureDenoiser(mixture()),
    "EmpiricalDenoiser": lambda: vdm.EmpiricalDenoiser(mixture().means),
    "NetDenoiser": net,
}

DECODERS: dict[str, tuple[Callable[[], vdm.AbstractDecoder], Any]] = {
    # with one example of its data
    "LevelDecoder": (lambda: vdm.LevelDecoder(7), np.array([[0, 6, 3], [5, 1, 2]], np.int32)),
    "GaussianDecoder": (
        vdm.GaussianDecoder,
        np.array([[-0.8, 0.1, 2.0], [0.0, 0.5, -0.3]], jnp.result_type(float)),
    ),
}


def over(registry: dict[str, Any], argument: str = "make"):
    """Run a test for every entry of a registry."""
    return pytest.mark.parametrize(argument, registry.values(), ids=registry.keys())


def off_by(x, delta) -> vdm.EmpiricalDenoiser:
    """Return a denoiser that always guesses x + delta.

    Its ‖ε − ε̂‖² = SNR ‖delta‖² whatever the noise: all of a loss but the denoiser, exactly.
    """
    return vdm.EmpiricalDenoiser((x + delta)[None])


def oracle_model(
    *,
    schedule: vdm.AbstractSchedule | None = None,
    shape: tuple[int, ...] = (1,),
    std: float = 0.5,
) -> vdm.VDM:
    """The exact model of N(0, std²), at the ends that MATH.md has numbers for."""
    schedule = vdm.FixedLinear(-13.3, 5.0) if schedule is None else schedule
    denoiser = vdm.GaussianDenoiser(gaussian(std, shape=shape))
    return vdm.VDM(schedule, denoiser, vdm.GaussianDecoder(), shape)


def normal_nodes(n: int):
    """Return points and weights of E f(ε), ε ~ N(0, 1): exact for degree up to 2n − 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return nodes, weights / weights.sum()


def time_nodes():
    """Return points and weights of the mean over t ~ U(0, 1).

    By quarters, so that the kinks of the `PiecewiseLinear` above lie inside none.
    """
    nodes, weights = np.polynomial.legendre.leggauss(20)
    times = (np.arange(4)[:, None] + (nodes + 1) / 2) / 4
    return jnp.asarray(times.ravel(), jnp.result_type(float)), np.tile(weights / 8, 4)


def close(actual, desired, ulps: float = 32, scale: float = 1.0) -> None:
    """Assert equality up to `ulps` roundings of numbers of size `scale`."""
    atol = ulps * EPS * scale
    np.testing.assert_allclose(actual, desired, rtol=ulps * EPS, atol=atol)


def agrees(draws, expected, errors: float = 5.0) -> None:
    """Assert that the mean of independent draws lies within `errors` standard errors."""
    draws = np.asarray(draws, np.float64)
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    z = (draws.mean(axis=0) - expected) / error
    assert np.all(np.abs(z) < errors), f"{draws.mean(axis=0)} ± {error}, expected {expected}"
