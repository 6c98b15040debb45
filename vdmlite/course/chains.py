"""Chains of single numbers with linear Gaussian steps: both sides of the ELBO are known.

    x = z_0 ──► z_1 ──► … ──► z_T      the encoder q climbs (`up`)
    x   ◄──   z_1 ◄──   … ◄── z_T      the model p comes down (`down`), from z_T ~ N(0, 1)

In NumPy, which has double precision by itself. All results are in nats.
"""

from typing import Any, NamedTuple

import numpy as np


class Chain(NamedTuple):
    """Steps u ↦ slope · u + offset + std · noise; place 0 is the one between x and z_1."""

    slope: np.ndarray
    offset: np.ndarray
    std: np.ndarray


def log_normal(value: Any, mean: Any, std: Any) -> Any:
    """Return log N(value; mean, std²), number by number."""
    return -0.5 * ((value - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def evidence(x: float, down: Chain) -> float:
    """Return log p(x): a mean and a variance are carried from z_T down to x."""
    mean, variance = 0.0, 1.0
    for slope, offset, std in reversed(list(zip(*down, strict=True))):
        mean, variance = slope * mean + offset, slope**2 * variance + std**2
    return float(log_normal(x, mean, np.sqrt(variance)))


def elbo(x: float, up: Chain, down: Chain) -> float:
    """Return E_q[log p(x, z) − log q(z | x)], one step after the other.

    Every term is the mean of a squared distance: a squared mean and a variance.
    """
    mean, variance = x, 0.0  # of z_{t−1} under q; at first that is x itself
    total = 0.0
    for (slope, offset, std), (back, shift, noise) in zip(
        zip(*up, strict=True), zip(*down, strict=True), strict=True
    ):
        next_mean, next_variance = slope * mean + offset, slope**2 * variance + std**2
        covariance = slope * variance  # of z_{t−1} and z_t
        distance = (mean - back * next_mean - shift) ** 2
        distance += variance - 2 * back * covariance + back**2 * next_variance
        total += -0.5 * np.log(2 * np.pi * noise**2) - distance / (2 * noise**2)
        total += 0.5 * np.log(2 * np.pi * np.e * std**2)  # −E_q[log q(z_t | z_{t−1})]
        mean, variance = next_mean, next_variance
    return float(total - 0.5 * np.log(2 * np.pi) - 0.5 * (mean**2 + variance))


def divergence(x: float, up: Chain, down: Chain) -> float:
    """Return KL(q(z | x) ‖ p(z | x)), from the covariance matrices of both."""
    mean, cov = _model(down)
    gain = cov[1:, 0] / cov[0, 0]  # condition the model on x
    p_mean = mean[1:] + gain * (x - mean[0])
    p_cov = cov[1:, 1:] - np.outer(gain, cov[0, 1:])
    q_mean, q_cov = _joint(x, 0.0, up)
    q_mean, q_cov = q_mean[1:], q_cov[1:, 1:]
    precision, shift = np.linalg.inv(p_cov), q_mean - p_mean
    log_ratio = np.linalg.slogdet(p_cov)[1] - np.linalg.slogdet(q_cov)[1]
    spread = np.trace(precision @ q_cov)
    return float(0.5 * (spread - len(shift) + shift @ precision @ shift + log_ratio))


def exact_encoder(down: Chain) -> Chain:
    """Return the model's own posterior, p(z_1 | x) ∏ p(z_t | z_{t−1}): again a chain."""
    mean, cov = _model(down)
    slope = np.diag(cov, 1) / np.diag(cov)[:-1]
    variance = np.diag(cov)[1:] - slope * np.diag(cov, 1)
    return Chain(slope, mean[1:] - slope * mean[:-1], np.sqrt(variance))


def _joint(mean: float, variance: float, chain: Chain) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of u_0, u_1, … with u_0 ~ N(mean, variance).

    (I − A) u = c + noise, with the slopes below the diagonal of A.
    """
    solve = np.linalg.inv(np.eye(len(chain.slope) + 1) - np.diag(chain.slope, -1))
    noise = np.append(variance, chain.std**2)
    return solve @ np.append(mean, chain.offset), (solve * noise) @ solve.T


def _model(down: Chain) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of (x, z_1, …, z_T) under the model."""
    mean, cov = _joint(0.0, 1.0, Chain(*(part[::-1] for part in down)))
    return mean[::-1], cov[::-1, ::-1]
