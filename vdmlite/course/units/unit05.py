"""Built from solutions/05_continuous_time.py. Do not edit."""


import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo


import vdmlite
from vdmlite.course import exercise


def some_model(key):
    """A model with an exact denoiser and a curved schedule, so that the slope depends on t."""
    data = vdmlite.Gaussian(jnp.full((2, 3), 0.4), 0.3 + jax.random.uniform(key))
    schedule = vdmlite.Cosine(-6.0, 4.0)
    denoiser = vdmlite.GaussianDenoiser(data)
    return vdmlite.VDM(schedule, denoiser, vdmlite.GaussianDecoder(), (2, 3))


def some_levels(key):
    """Six rising noise levels, unevenly spaced, and errors that fall along them."""
    gap_key, error_key = jax.random.split(key)
    gammas = -4.0 + jnp.cumsum(0.3 + jax.random.uniform(gap_key, (6,)))
    return gammas, jnp.sort(jax.random.uniform(error_key, (6,)))[::-1]


def gaussian_errors(gammas):
    """E‖ε − ε̂‖² of the best denoiser for one-dimensional Gaussian data of width ½."""
    return jnp.exp(-gammas) / (4 + jnp.exp(-gammas))


def true_area(gammas):
    """Half the area under those errors, from the first noise level to the last."""
    ends = jnp.log(4 + jnp.exp(-gammas[jnp.array([0, -1])]))
    return 0.5 * (ends[0] - ends[1])


def all_noise(shape):
    """A model whose denoiser always answers ε̂ = 0."""
    denoiser = vdmlite.NetDenoiser(lambda z, gamma, key: jnp.zeros_like(z), vdmlite.from_eps)
    return vdmlite.VDM(vdmlite.Cosine(-6.0, 4.0), denoiser, vdmlite.GaussianDecoder(), shape)


def mean_over_time(draw):
    """The mean of the draws with one noise over an even grid of times, for that denoiser."""
    times = (jnp.arange(1000) + 0.5) / 1000
    return jax.vmap(lambda t: draw(all_noise((4,)), jnp.ones(4), t, jax.random.key(7)))(
        times
    ).mean()


def one_draw(vdm, x, t, key):
    """Return one unbiased draw of the diffusion loss at time t."""
    gamma, slope = jax.value_and_grad(vdm.schedule)(t)
    noise_key, _ = jax.random.split(key)
    eps = jax.random.normal(noise_key, x.shape)
    z = jnp.sqrt(jax.nn.sigmoid(-gamma)) * x + jnp.sqrt(jax.nn.sigmoid(gamma)) * eps
    eps_hat = vdm.denoiser(z, gamma).eps
    return 0.5 * slope * jnp.sum((eps - eps_hat) ** 2)


exercise(
    "5.1",
    one_draw,
    inputs=lambda key: (
        some_model(key),
        jax.random.normal(jax.random.fold_in(key, 3), (2, 3)),
        0.05 + 0.9 * jax.random.uniform(jax.random.fold_in(key, 1)),
        jax.random.fold_in(key, 2),
    ),
    hints=[
        "jax.value_and_grad(f)(t) returns the pair f(t), f′(t).",
        "Half, times γ′(t), times the sum over all dimensions of (ε − ε̂)².",
    ],
    slips=[
        (
            "return 0.5 * slope",
            "return slope",
            "The half is missing: each KL between Gaussians of one width has a ½ in front.",
        ),
        (
            "0.5 * slope * jnp",
            "0.5 * jnp",
            "Without γ′(t) this averages over time, and the integral runs over γ.",
        ),
        (
            "jnp.sum(",
            "jnp.mean(",
            "Nats add up over the dimensions: take the sum, not the mean.",
        ),
    ],
    laws=[
        (
            "if the guess is always ε̂ = 0, its mean over an even grid of times is the area, "
            "½ (γ_1 − γ_0) ‖ε‖², whatever the schedule",
            lambda f: (
                mean_over_time(f),
                0.5
                * (4.0 - -6.0)
                * jnp.sum(jax.random.normal(jax.random.split(jax.random.key(7))[0], (4,)) ** 2),
            ),
        )
    ],
    ships=lambda vdm, x, t, key: vdmlite.continuous_diffusion_loss(vdm, x, t, key=key),
)


def loss_from_x(gamma, slope, x, x_hat):
    """Return −½ SNR′ ‖x − x̂‖²."""
    snr_slope = -slope * jnp.exp(-gamma)
    return -0.5 * snr_slope * jnp.sum((x - x_hat) ** 2)


exercise(
    "5.2",
    loss_from_x,
    inputs=lambda key: (
        jax.random.uniform(key, minval=-2.0, maxval=2.0),
        1 + 10 * jax.random.uniform(jax.random.fold_in(key, 1)),
        jax.random.normal(jax.random.fold_in(key, 2), (2, 3)),
        jax.random.normal(jax.random.fold_in(key, 3), (2, 3)),
    ),
    hints=[
        "The derivative of e^(−γ(t)) by t is e^(−γ(t)) times the derivative of −γ(t).",
        "SNR falls as t grows, so its slope is negative and the loss is positive.",
    ],
    slips=[
        (
            "-slope * jnp.exp(-gamma)",
            "-slope",
            "That is the slope of log SNR; the slope of SNR has a factor SNR = e^(−γ) more.",
        ),
        (
            "return -0.5",
            "return 0.5",
            "A loss below zero: SNR falls with t, so its slope needs the minus sign in front.",
        ),
        (
            "exp(-gamma)",
            "exp(gamma)",
            "SNR is e^(−γ): it falls as γ grows.",
        ),
        (
            "jnp.sum(",
            "jnp.mean(",
            "This is the mean of the squares; ‖·‖² is their sum.",
        ),
    ],
    laws=[
        (
            "it is ½ γ′ ‖ε − ε̂‖², the loss in terms of ε̂",
            lambda f: (
                f(
                    jnp.asarray(0.7),
                    jnp.asarray(3.0),
                    jnp.array([1.0, 2.0]),
                    jnp.array([0.5, 1.0]),
                ),
                0.5
                * 3.0
                * jnp.sum(
                    (vdmlite.alpha(0.7) / vdmlite.sigma(0.7) * jnp.array([0.5, 1.0])) ** 2
                ),
            ),
        )
    ],
)


def limit(std, D, gamma_0, gamma_1):
    """Return the diffusion loss with infinitely many steps for Gaussian data, in nats."""
    ends = jnp.log1p(std**2 * jnp.exp(-gamma_0)), jnp.log1p(std**2 * jnp.exp(-gamma_1))
    return 0.5 * D * (ends[0] - ends[1])


exercise(
    "5.3",
    limit,
    inputs=lambda key: (
        0.3 + jax.random.uniform(key),
        jax.random.randint(jax.random.fold_in(key, 1), (), 2, 9),
        jax.random.uniform(jax.random.fold_in(key, 2), minval=-6.0, maxval=-2.0),
        jax.random.uniform(jax.random.fold_in(key, 3), minval=-1.0, maxval=3.0),
    ),
    hints=[
        "Take the derivative of log(1 + std² e^(−γ)) by γ and compare it with the error.",
        "It is minus the error of one dimension, so the integral is the value at γ_0 less that at γ_1.",
    ],
    slips=[
        (
            "ends[0] - ends[1]",
            "ends[1] - ends[0]",
            "The sign is turned round: log(1 + std² e^(−γ)) falls with γ, and a squared error has no negative area.",
        ),
        (
            "std**2",
            "std",
            "The error has the variance std² in it, not the standard deviation.",
        ),
        (
            "0.5 * D *",
            "0.5 *",
            "This is one dimension's share; D of them cost D times as much.",
        ),
        (
            "0.5 * D *",
            "D *",
            "The half in front of the integral is missing.",
        ),
    ],
    laws=[
        (
            "std = ½ between γ = −13.3 and 5 costs 5.9560 nats",
            lambda f: (
                f(0.5, 1, jnp.asarray(-13.3), jnp.asarray(5.0)),
                jnp.asarray(5.9560146),
            ),
        ),
        (
            "two stretches of γ in a row cost what they cost as one",
            lambda f: (
                f(0.8, 2, jnp.asarray(-3.0), jnp.asarray(0.5))
                + f(0.8, 2, jnp.asarray(0.5), jnp.asarray(2.0)),
                f(0.8, 2, jnp.asarray(-3.0), jnp.asarray(2.0)),
            ),
        ),
    ],
)


def comb(n, key):
    """Return n times in [0, 1), each uniform, together evenly spread."""
    u = jax.random.uniform(key)
    return (u + jnp.arange(n) / n) % 1.0


exercise(
    "5.4",
    comb,
    inputs=lambda key: (7, key),
    hints=[
        "One number u for the whole batch; jnp.arange(n) is 0, 1, …, n − 1.",
        "What runs past 1 comes back in at 0: in Python, % 1.0 does that.",
    ],
    slips=[
        (
            "jax.random.uniform(key)",
            "jax.random.uniform(key, (n,))",
            "Each tooth has its own shift, so the spread is lost: one u is for the whole batch.",
        ),
        (
            "jnp.arange(n) / n",
            "jnp.linspace(0, 1, n)",
            "linspace(0, 1, n) has both ends, which mod 1 are the same point: the teeth are 1/n apart, not 1/(n − 1).",
        ),
        (
            " % 1.0",
            "",
            "Some times are beyond 1: take them mod 1, so that they come back in at 0.",
        ),
        (
            "(u + jnp.arange(n) / n)",
            "((u + jnp.arange(n)) / n)",
            "This is (u + i)/n: the first time never gets beyond 1/n. Only i is divided by n; u shifts the whole comb.",
        ),
    ],
    laws=[
        (
            "sorted, the times are 1/n apart",
            lambda f: (
                jnp.diff(jnp.sort(f(8, jax.random.key(3)))),
                jnp.full(7, 1 / 8),
            ),
        )
    ],
    ships=lambda n, key: vdmlite.spread_times(n, key=key),
)


def both_sides(gammas, errors):
    """Return (above, below) in nats."""
    gap = gammas[1:] - gammas[:-1]
    above = 0.5 * jnp.sum(jnp.expm1(gap) * errors[1:])
    below = 0.5 * jnp.sum(-jnp.expm1(-gap) * errors[:-1])
    return above, below


exercise(
    "5.5",
    both_sides,
    inputs=some_levels,
    hints=[
        "(SNR(s) − SNR(t))·‖x − x̂‖² with ‖x − x̂‖² = e^(γ_t) ‖ε − ε̂‖² at the noisy end: the exponents leave e^(γ_t − γ_s) − 1.",
        "At the clean end ‖x − x̂‖² = e^(γ_s) ‖ε − ε̂‖², and the exponents leave 1 − e^(γ_s − γ_t).",
        "errors[1:] are those at the noisy ends, errors[:-1] those at the clean ends; jnp.expm1(u) is eᵘ − 1.",
    ],
    slips=[
        (
            "jnp.expm1(gap) * errors[1:]",
            "jnp.expm1(gap) * errors[:-1]",
            "The first sum has the error of the clean end: a step begins at its noisy end, errors[1:].",
        ),
        (
            "-jnp.expm1(-gap) * errors[:-1]",
            "jnp.expm1(gap) * errors[:-1]",
            "The second weight still belongs to the noisy end: at the clean end SNR(s) − SNR(t) is to be divided by SNR(s).",
        ),
        (
            "0.5 * jnp.sum",
            "jnp.sum",
            "The half is missing: a step costs half the area of its rectangle.",
        ),
        (
            "jnp.expm1(gap)",
            "gap",
            "Weighing by γ_t − γ_s alone is the limit of short steps; a step of this length costs e^(γ_t − γ_s) − 1.",
        ),
        (
            "above = 0.5 * jnp.sum(jnp.expm1(gap) * errors[1:])\n    below = 0.5 * jnp.sum(-jnp.expm1(-gap) * errors[:-1])",
            "below = 0.5 * jnp.sum(jnp.expm1(gap) * errors[1:])\n    above = 0.5 * jnp.sum(-jnp.expm1(-gap) * errors[:-1])",
            "The two sums are swapped: the stairs lie above the curve when the error is that of the noisy end.",
        ),
    ],
    laws=[
        (
            "four steps from γ = 5 to −13.3 cost 99.9746 nats for Gaussian data of width ½",
            lambda f: (
                f(jnp.linspace(-13.3, 5, 5), gaussian_errors(jnp.linspace(-13.3, 5, 5)))[0],
                jnp.asarray(99.974633),
            ),
        ),
        (
            "the limit lies between the two sums",
            lambda f: (
                jnp.sign(
                    jnp.stack(
                        f(jnp.linspace(-4, 3, 20), gaussian_errors(jnp.linspace(-4, 3, 20)))
                    )
                    - true_area(jnp.linspace(-4, 3, 20))
                ),
                jnp.array([1.0, -1.0]),
            ),
        ),
    ],
)
