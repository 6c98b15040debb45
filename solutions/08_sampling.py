# %% [markdown]
# # 08 · Sampling: exercises
#
# *Six exercises, about 90 minutes · belongs to lesson 08*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment
# the hint. Every check stands alone: go on to the next one whenever you like. The last exercise is a **build**:
# harder, and your own.
#
# Throughout, γ is the noise level, `alpha(gamma)` and `sigma(gamma)` are the scales of signal and noise, with
# $z = \alpha x + \sigma \varepsilon$, $\alpha^2 = \mathrm{sigmoid}(-\gamma)$ and
# $\sigma^2 = \mathrm{sigmoid}(\gamma)$. A step goes from the latent `z_t` at `gamma_t` down to the cleaner `gamma_s`.
# Where chance is needed you are given `noise`, drawn from $N(0, I)$.

# %% tags=["imports"]
import jax
import jax.numpy as jnp
import numpy as np

from vdmlite import alpha, sigma
from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import functools
import itertools

import vdmlite
from vdmlite.course import exercise
from vdmlite.neighbours import langevin as langevin_of_the_package
from vdmlite.neighbours import ode

SPOTS = vdmlite.MixtureDenoiser(
    vdmlite.Mixture(
        jnp.array([0.4, 0.6]), jnp.array([[-0.8, 0.2], [0.6, -0.5]]), jnp.array([0.3, 0.5])
    )
)


def wide_variance(gamma):
    """The variance of the latent for data N(0, 4)."""
    return 4 * alpha(gamma) ** 2 + sigma(gamma) ** 2


def wide_v(z, gamma):
    """The exact guess of v = α ε − σ x for data N(0, 4)."""
    eps = sigma(gamma) * z / wide_variance(gamma)
    x = 4 * alpha(gamma) * z / wide_variance(gamma)
    return alpha(gamma) * eps - sigma(gamma) * x


def saying(eps):
    """A denoiser that guesses the same noise wherever it is asked."""
    return vdmlite.NetDenoiser(lambda z, gamma, key=None: eps)


def a_step(key):
    """A latent, a guess, two levels at least 0.7 apart, and noise."""
    keys = jax.random.split(key, 5)
    gamma_s = jax.random.uniform(keys[2], minval=-2.5, maxval=0.5)
    return (
        jax.random.normal(keys[0], (3,)),
        jax.random.normal(keys[1], (3,)),
        gamma_s,
        gamma_s + jax.random.uniform(keys[3], minval=0.7, maxval=2.0),
        jax.random.normal(keys[4], (3,)),
    )


def with_noise(move, noise):
    """What move(key), linear in the noise it draws, would give for this noise."""
    first, second = (jax.random.normal(jax.random.key(i), noise.shape) for i in (0, 1))
    a, b = move(key=jax.random.key(0)), move(key=jax.random.key(1))
    width = jnp.mean((a - b) / (first - second))
    return a + width * (noise - first)


def by_ancestral_step(z_t, x_hat, gamma_s, gamma_t, noise):
    eps_hat = (z_t - alpha(gamma_t) * x_hat) / sigma(gamma_t)
    move = functools.partial(vdmlite.Ancestral(), saying(eps_hat), z_t, gamma_s, gamma_t)
    return with_noise(move, noise)


def by_ddim_step(z_t, eps_hat, gamma_s, gamma_t, share, noise):
    """The package's step, at the η whose fresh noise has that share of the variance."""
    eta = jnp.sqrt(share * sigma(gamma_t) ** 2 / noise_of_a_step(gamma_s, gamma_t))
    move = functools.partial(vdmlite.DDIM(eta), saying(eps_hat), z_t, gamma_s, gamma_t)
    return with_noise(move, noise), eta


def noise_of_a_step(gamma_s, gamma_t):
    """The variance of the noise that the way up adds: σ_t² less (α_t/α_s)² σ_s²."""
    return sigma(gamma_t) ** 2 - (alpha(gamma_t) * sigma(gamma_s) / alpha(gamma_s)) ** 2


def by_langevin_moves(before, V, delta):
    """Read off the package's move at γ = 0, where σ² = ½, and then repeated."""
    bell = vdmlite.Gaussian(jnp.zeros(1), jnp.sqrt(2 * V - 1))  # its latent has the variance V
    move = functools.partial(
        langevin_of_the_package.langevin_move,
        vdmlite.GaussianDenoiser(bell),
        gamma=0.0,
        size=float(2 * delta),
        key=jax.random.key(0),
    )
    at_0, at_1 = (float(move(jnp.full(1, z))[0]) for z in (0.0, 1.0))
    noise = (at_0 / float(jax.random.normal(jax.random.key(0), (1,))[0])) ** 2
    variances = [float(before)]
    while len(variances) < 3000 and variances[-1] < 1e9:
        variances.append((at_1 - at_0) ** 2 * variances[-1] + noise)
    return variances[1], variances[-1] if variances[-1] < 1e9 else np.inf


def by_velocity(eps_of, z, log_p, gamma, h):
    """An Euler step along the package's velocity, its divergence by one push a dimension."""
    denoiser = vdmlite.NetDenoiser(lambda z, gamma, key=None: eps_of(z))
    change, push = jax.linearize(lambda z: ode.velocity(denoiser, z, gamma), z)
    return z + h * change, log_p - h * sum(push(e) @ e for e in jnp.eye(len(z)))


def a_flow(key):
    """A share of the exact guess of the noise at one level, a point, its log density, a short way.

    With a small share the points come together.
    """
    keys = jax.random.split(key, 4)
    gamma = jax.random.uniform(keys[0], minval=-1.5, maxval=1.0)
    z = 0.7 * jax.random.normal(keys[1], (2,))
    log_p = SPOTS.diffused(gamma).log_prob(z)
    h = jax.random.uniform(keys[2], minval=0.3, maxval=0.8)
    share = jax.random.uniform(keys[3], maxval=1.5)
    return lambda z: share * SPOTS(z, gamma).eps, z, log_p, gamma, h


def case(*values, arrays=(0, 1)):
    """Numbers for a law: arrays of one at the places named, the others without an axis."""
    return [
        jnp.full(1, float(value)) if place in arrays else jnp.asarray(float(value))
        for place, value in enumerate(values)
    ]


def latents(*values):
    """The same for a step, whose last number is its noise."""
    return case(*values, arrays=(0, 1, len(values) - 1))


# %% [markdown]
# ## 8.1 · The ancestral step of a network that guesses the data
# *difficulty ●●○ · 12 minutes*
#
# The lesson wrote the ancestral step with a guess of the noise. Yours guesses the data, `x_hat`. Then the mean of
# $q(z_s \mid z_t, \hat x)$ is a weighted sum of two things: what the latent $z_t$ says, and what $\hat x$ says. Which
# weights? Find them on paper, from the lesson's formula and $z_t = \alpha_t \hat x + \sigma_t \hat\varepsilon$. They
# contain $c = 1 - e^{\gamma_s - \gamma_t}$, as the width of the fresh noise does. Two tests for your weights: a
# latent without noise, $z_t = \alpha_t \hat x$, must become $\alpha_s \hat x$; and at $c = 1$, where $z_s$ has no
# noise left, $z_t$ has nothing to say.
#
# Return the draw that belongs to `noise`. It has to be right in the tiny steps of a long walk, too, where $1 - e^a$
# loses its digits: `jnp.expm1(a)` is $e^a - 1$ without that loss.


# %% tags=["8.1"]
def ancestral(z_t, x_hat, gamma_s, gamma_t, noise):
    """Return z_s by one ancestral step."""
    ### BEGIN SOLUTION c
    c = -jnp.expm1(gamma_s - gamma_t)
    ### END SOLUTION
    ### BEGIN SOLUTION the weight of z_t in the mean
    of_z = alpha(gamma_s) / alpha(gamma_t) * (1 - c)
    ### END SOLUTION
    ### BEGIN SOLUTION the weight of x̂ in the mean
    of_x = alpha(gamma_s) * c
    ### END SOLUTION
    ### BEGIN SOLUTION the draw of z_s
    return of_z * z_t + of_x * x_hat + sigma(gamma_s) * jnp.sqrt(c) * noise
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "8.1",
    ancestral,
    inputs=a_step,
    hints=[
        "The lesson's mean is (α_s/α_t)(z_t − c σ_t ε̂). Which expression in z_t and x̂ "
        "stands for σ_t ε̂?",
        "Collect the terms: what multiplies z_t, and what x̂? Try the two tests of the text "
        "on what you have.",
        "Noise is multiplied by a standard deviation; the lesson says of what.",
    ],
    slips=[
        (
            "alpha(gamma_s) / alpha(gamma_t) * (1 - c)",
            "alpha(gamma_s) / alpha(gamma_t)",
            "With this weight z_t keeps all its noise: try c = 1, where z_t should have "
            "nothing to say.",
        ),
        (
            "alpha(gamma_s) / alpha(gamma_t) * (1 - c)",
            "sigma(gamma_s) / sigma(gamma_t)",
            "That is the weight of z_t in DDIM, which keeps all the noise that the next level "
            "has room for. The ancestral "
            "step keeps less, for it adds fresh noise.",
        ),
        (
            "alpha(gamma_s) / alpha(gamma_t)",
            "alpha(gamma_t) / alpha(gamma_s)",
            "That is the scale of the way up; on the way down the signal grows, by α_s/α_t.",
        ),
        (
            "alpha(gamma_s) * c",
            "c",
            "This puts x̂ in at its own scale; in z_s the data has the scale α_s.",
        ),
        (
            "alpha(gamma_s) * c",
            "alpha(gamma_t) * c",
            "In z_s the data has the scale of the level where the step arrives: α_s, not α_t.",
        ),
        (
            "alpha(gamma_s) * c",
            "alpha(gamma_s)",
            "This counts the data twice, for z_t brings some of it along: a latent without "
            "noise would not become α_s x̂.",
        ),
        (
            "c = -jnp.expm1(gamma_s - gamma_t)",
            "c = -jnp.expm1(gamma_t - gamma_s)",
            "The two levels are exchanged: c would be negative, and its root no number. c = 1 "
            "− e^(γ_s − γ_t).",
        ),
        (
            "c = -jnp.expm1(gamma_s - gamma_t)",
            "c = jnp.exp(gamma_s - gamma_t)",
            "That is 1 − c.",
        ),
        (
            "sigma(gamma_s) * jnp.sqrt(c) * noise",
            "sigma(gamma_s) ** 2 * c * noise",
            "This multiplies the noise by the variance; it wants the standard deviation, σ_s "
            "√c.",
        ),
        (
            "sigma(gamma_s) * jnp.sqrt(c) * noise",
            "sigma(gamma_t) * jnp.sqrt(c) * noise",
            "The fresh noise is that of the level where the step arrives: σ_s, not σ_t.",
        ),
        (
            "sigma(gamma_s) * jnp.sqrt(c) * noise",
            "sigma(gamma_s) * noise",
            "With this the fresh noise alone has the variance σ_s², and what is left in z_t "
            "comes on top: σ_s √c.",
        ),
        (
            " + sigma(gamma_s) * jnp.sqrt(c) * noise",
            "",
            "This is the mean of z_s; a draw has noise as well.",
        ),
        (
            "alpha(gamma_s) / alpha(gamma_t) * (1 - c)\n    of_x = alpha(gamma_s) * c",
            "1 - c\n    of_x = c",
            "That forgets the signal's scales: z_t holds x times α_t, and z_s is to hold x times α_s.",
        ),
    ],
    laws=[
        (
            "a step to almost no noise ends at the guess x̂",
            lambda f: (f(*latents(1.0, 0.3, -40.0, 0.5, 1.0)), jnp.full(1, 0.3)),
        ),
        (
            "noise of variance σ_t² in z_t and the fresh noise become together noise of "
            "variance σ_s²",
            lambda f: (
                jnp.asarray(f(*latents(sigma(0.5), 0.0, -1.0, 0.5, 0.0))) ** 2
                + jnp.asarray(f(*latents(0.0, 0.0, -1.0, 0.5, 1.0))) ** 2,
                sigma(-1.0) ** 2 * jnp.ones(1),
            ),
        ),
        (
            "the fresh noise of a step of 0.00001 is right to four digits (1 − e^a has three "
            "there: see expm1)",
            lambda f: (
                1e3 * jnp.asarray(f(*latents(0.0, 0.0, 0.0, 1e-5, 1.0))),
                1e3 * jnp.sqrt(0.5e-5) * jnp.ones(1),
            ),
        ),
    ],
    ships=by_ancestral_step,
)

# %% [markdown]
# ## 8.2 · DDIM with a share of fresh noise
# *difficulty ●●○ · 12 minutes*
#
# DDIM splits the latent into the guessed data and noise, and mixes the two again in the proportions of the next
# level. To let in some chance, let fresh noise take the place of a part of $\hat\varepsilon$: it shall have the share
# `share`, from 0 to 1, of the *variance* $\sigma_s^2$ that the noise in $z_s$ has; $\hat\varepsilon$ keeps the rest
# of it. The two are independent.
#
# Return $z_s$, and the η of the lesson that belongs to this share: with η = 1 the step is the ancestral one. (Nothing
# stops η here from being larger than 1; which share of the variance is fresh in an ancestral step?)


# %% tags=["8.2"]
def ddim(z_t, eps_hat, gamma_s, gamma_t, share, noise):
    """Return (z_s by one step of DDIM with that share of fresh noise, its η)."""
    ### BEGIN SOLUTION the guess of the data
    x_hat = (z_t - sigma(gamma_t) * eps_hat) / alpha(gamma_t)
    ### END SOLUTION
    ### BEGIN SOLUTION the noise in z_s, old and fresh, as if σ_s were 1
    mixed = jnp.sqrt(1 - share) * eps_hat + jnp.sqrt(share) * noise
    ### END SOLUTION
    ### BEGIN SOLUTION the next latent
    z_s = alpha(gamma_s) * x_hat + sigma(gamma_s) * mixed
    ### END SOLUTION
    ### BEGIN SOLUTION the η of this share
    eta = jnp.sqrt(share / -jnp.expm1(gamma_s - gamma_t))
    ### END SOLUTION
    return z_s, eta


# %% tags=["author"]
exercise(
    "8.2",
    ddim,
    inputs=lambda key: (
        *a_step(key)[:4],
        jax.random.uniform(jax.random.fold_in(key, 1), minval=0.1, maxval=0.45),
        a_step(key)[4],
    ),
    hints=[
        "z_t = α_t x̂ + σ_t ε̂ has one unknown.",
        "Independent noises add their variances: what are the two standard deviations, if the "
        "variances are to be in the proportion 1 − share to share?",
        "The lesson's fresh noise has the standard deviation ν. Which share of σ_s² is ν²? "
        "Solve for η.",
    ],
    slips=[
        (
            "jnp.sqrt(1 - share) * eps_hat",
            "(1 - share) * eps_hat",
            "The share is one of the variance; noise is multiplied by a standard deviation, "
            "the root.",
        ),
        (
            "jnp.sqrt(share) * noise",
            "share * noise",
            "The share is one of the variance; the fresh noise is multiplied by its root.",
        ),
        (
            "jnp.sqrt(1 - share) * eps_hat + jnp.sqrt(share) * noise",
            "(1 - share) * eps_hat + share * noise",
            "Here the standard deviations add up to 1; the variances should.",
        ),
        (
            "jnp.sqrt(1 - share) * eps_hat",
            "(1 - jnp.sqrt(share)) * eps_hat",
            "Standard deviations do not add; variances do.",
        ),
        (
            "jnp.sqrt(1 - share) * eps_hat",
            "eps_hat",
            "Here all of ε̂ is kept and fresh noise comes on top: z_s would be too noisy for "
            "its level.",
        ),
        (
            "jnp.sqrt(1 - share) * eps_hat + jnp.sqrt(share) * noise",
            "jnp.sqrt(share) * eps_hat + jnp.sqrt(1 - share) * noise",
            "The two are exchanged: `share` is the share of the fresh noise.",
        ),
        (
            "sigma(gamma_s) * mixed",
            "sigma(gamma_t) * mixed",
            "The noise in z_s has the scale of the level where the step arrives, σ_s.",
        ),
        (
            "sigma(gamma_s) * mixed",
            "sigma(gamma_s) ** 2 * mixed",
            "σ_s² is the variance of the noise; it is multiplied by the standard deviation "
            "σ_s.",
        ),
        (
            "alpha(gamma_s) * x_hat",
            "alpha(gamma_t) * x_hat",
            "The data has to be put back at the scale of the next level, α_s.",
        ),
        (
            "/ alpha(gamma_t)",
            "",
            "That is α_t x̂, the signal in z_t: divide by α_t for the data.",
        ),
        (
            "sigma(gamma_t) * eps_hat) / alpha",
            "sigma(gamma_s) * eps_hat) / alpha",
            "The noise in z_t has the scale σ_t.",
        ),
        (
            "jnp.sqrt(share / -jnp.expm1(gamma_s - gamma_t))",
            "share / -jnp.expm1(gamma_s - gamma_t)",
            "That is η²: shares of variance go with the square of η.",
        ),
        (
            "jnp.sqrt(share / -jnp.expm1(gamma_s - gamma_t))",
            "jnp.sqrt(share)",
            "η is measured by the ancestral step, whose fresh noise does not have all of the "
            "variance σ_s²: c is missing.",
        ),
        (
            "jnp.sqrt(share / -jnp.expm1(gamma_s - gamma_t))",
            "jnp.sqrt(share * -jnp.expm1(gamma_s - gamma_t))",
            "Solve η² c = share for η: c comes below the line.",
        ),
        (
            "jnp.sqrt(share / -jnp.expm1(gamma_s - gamma_t))",
            "jnp.sqrt(share / -jnp.expm1(gamma_s - gamma_t)) * sigma(gamma_s)",
            "That is ν/√c, with σ_s left in; in η the scale σ_s has dropped out.",
        ),
    ],
    laws=[
        (
            "with share 0 it is α_s x̂ + σ_s ε̂, whatever the noise, and η is 0",
            lambda f: f_and(
                f(*latents(made_of(0.7), 1.0, -1.0, 0.5, 0.0, 9.0)),
                alpha(-1.0) * 0.7 + sigma(-1.0),
                0.0,
            ),
        ),
        (
            "with share 1 nothing is left of ε̂, and the noise is all fresh",
            lambda f: (
                f(*latents(made_of(0.7), 1.0, -1.0, 0.5, 1.0, 2.0))[0],
                (alpha(-1.0) * 0.7 + sigma(-1.0) * 2.0) * jnp.ones(1),
            ),
        ),
        (
            "with the share c = 1 − e^(γ_s − γ_t) it is the ancestral step, and η is 1",
            lambda f: f_and(
                f(*latents(made_of(0.7), 1.0, -1.0, 0.5, 1 - np.exp(-1.5), 0.8)),
                by_ancestral_step(*latents(made_of(0.7), 0.7, -1.0, 0.5, 0.8))[0],
                1.0,
            ),
        ),
    ],
    ships=by_ddim_step,
)


def made_of(x, gamma=0.5):
    """The latent that is made of the data x and the noise 1."""
    return alpha(gamma) * x + sigma(gamma)


def f_and(got, z_s, eta):
    """Both sides of a law on z_s and η."""
    return tuple(got), (jnp.full(1, z_s), jnp.asarray(eta))


# %% [markdown]
# ## 8.3 · The ODE of a network that guesses v
# *difficulty ●●○ · 12 minutes*
#
# Let γ grow and keep $x$ and ε: then $z = \alpha x + \sigma \varepsilon$ moves with the velocity
# $\frac{d\alpha}{d\gamma} x + \frac{d\sigma}{d\gamma} \varepsilon$. Put guesses in place of $x$ and ε, and you have
# the right-hand side of the probability-flow ODE. Your network guesses $v = \alpha \varepsilon - \sigma x$ (lesson
# 04): `v_hat`.
#
# Return $dz/d\gamma$. First find both guesses from $z$ and $\hat v$. When you have an answer, simplify it on paper.
# It is shorter than the lesson's, and says something about what $v$ is.


# %% tags=["8.3"]
def velocity(z, v_hat, gamma):
    """Return dz/dγ."""
    ### BEGIN SOLUTION the guess of x
    x_hat = alpha(gamma) * z - sigma(gamma) * v_hat
    ### END SOLUTION
    ### BEGIN SOLUTION the guess of ε
    eps_hat = sigma(gamma) * z + alpha(gamma) * v_hat
    ### END SOLUTION
    ### BEGIN SOLUTION the velocity
    alpha_slope = -0.5 * sigma(gamma) ** 2 * alpha(gamma)
    sigma_slope = 0.5 * alpha(gamma) ** 2 * sigma(gamma)
    return alpha_slope * x_hat + sigma_slope * eps_hat
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "8.3",
    velocity,
    inputs=lambda key: (*a_step(key)[:2], a_step(key)[2]),
    hints=[
        "z = α x + σ ε and v = α ε − σ x: two equations for two unknowns, and α² + σ² = 1. "
        "(z, v) is (x, ε) turned by an angle.",
        "The derivatives of α and σ are in the lesson. To find them alone: the derivative of "
        "σ² = sigmoid(γ) is σ² α², and it is also 2σ dσ/dγ.",
        "Both derivatives contain the product ½ α σ. Take it out: what is left in the bracket?",
    ],
    slips=[
        (
            "0.5 * ",
            "",
            "Those are twice the derivatives: from 2σ dσ/dγ = σ² α² a factor ½ remains.",
        ),
        (
            "alpha_slope = -0.5",
            "alpha_slope = 0.5",
            "The sign: as γ grows, the signal fades, and α falls.",
        ),
        (
            "sigma(gamma) ** 2 * alpha(gamma)",
            "sigma(gamma) ** 2 * alpha(gamma) ** 2",
            "This is ½ of the derivative of α² itself; for α divide by α once more.",
        ),
        (
            "return alpha_slope * x_hat + sigma_slope * eps_hat",
            "return -alpha_slope * x_hat - sigma_slope * eps_hat",
            "This is the velocity downwards, to less noise; asked for is dz/dγ, as γ grows.",
        ),
        (
            "return alpha_slope * x_hat + sigma_slope * eps_hat",
            "return v_hat",
            "v is the velocity of a turn, by the angle whose cosine is α and whose sine is σ. "
            "Asked for is the velocity by γ: how fast does the angle "
            "grow with γ?",
        ),
        (
            "return alpha_slope * x_hat + sigma_slope * eps_hat",
            "return sigma(gamma) * (eps_hat - 0.5 * sigma(gamma) * z)",
            "This is the drift of the reverse SDE, where a walk is shaken as well; without "
            "chance ε̂ has a factor ½, too.",
        ),
        (
            "return alpha_slope * x_hat + sigma_slope * eps_hat",
            "return 0.5 * sigma(gamma) * (v_hat - sigma(gamma) * z)",
            "This takes v̂ for a guess of the noise; turn it into one first.",
        ),
        (
            "alpha(gamma) * z - sigma(gamma) * v_hat",
            "alpha(gamma) * z + sigma(gamma) * v_hat",
            "The sign in x̂: v = α ε − σ x has more of the noise, less of the data.",
        ),
        (
            "sigma(gamma) * z + alpha(gamma) * v_hat",
            "sigma(gamma) * z - alpha(gamma) * v_hat",
            "The sign in ε̂: v grows with the noise.",
        ),
        (
            "0.5 * sigma(gamma) ** 2 * alpha(gamma)\n    sigma_slope = 0.5 * alpha(gamma) ** 2 * sigma(gamma)",
            "(sigma(gamma) ** 2) * alpha(gamma) ** 2\n    sigma_slope = alpha(gamma) ** 2 * sigma(gamma) ** 2",
            "These are the derivatives of α² and σ². What stands in z is α and σ.",
        ),
    ],
    laws=[
        (
            "it is ½ α σ v̂: where the latent is, has no say",
            lambda f: (
                jnp.stack([jnp.asarray(f(*case(z, 0.4, -1.5)))[0] for z in (-3.0, 0.0, 5.0)]),
                jnp.full(3, 0.5 * alpha(-1.5) * sigma(-1.5) * 0.4),
            ),
        ),
        (
            "for data N(0, 4) a point grows as the standard deviation does, dz/dγ = z · "
            "(dV/dγ)/(2V) with V = 4α² + σ²",
            lambda f: (
                f(*case(2.0, wide_v(2.0, 0.7), 0.7)),
                2.0 * jax.grad(wide_variance)(0.7) / (2 * wide_variance(0.7)) * jnp.ones(1),
            ),
        ),
    ],
    ships=lambda z, v_hat, gamma: ode.velocity(
        vdmlite.NetDenoiser(lambda z, gamma, key=None: v_hat, vdmlite.from_v), z, gamma
    ),
)

# %% [markdown]
# ## 8.4 · Where Langevin comes to rest
# *difficulty ●●● · 15 minutes*
#
# A Langevin move is $z \leftarrow z + \tfrac12 \delta\, \nabla \log q(z) + \sqrt{\delta}\, \varepsilon$. With a small
# δ many moves come to rest in $q$. With a δ that is not small they come to rest elsewhere, or never. For
# $q = N(0, V)$ you can say exactly where: its score is $-z/V$, so a move is linear in $z$.
#
# Many points have the variance `before`, and mean 0. Return their variance after one move, and the variance at which
# they come to rest after very many moves with the same δ. If there is none, because they fly ever farther apart,
# return infinity, `jnp.inf`. (`jnp.where(condition, a, b)` is `a` where the condition holds and `b` elsewhere.)


# %% tags=["8.4"]
def langevin_variance(before, V, delta):
    """Return (the variance after one move, the variance at rest)."""
    ### BEGIN SOLUTION what a move multiplies z by
    factor = 1 - 0.5 * delta / V
    ### END SOLUTION
    ### BEGIN SOLUTION the variance after one move
    after = factor**2 * before + delta
    ### END SOLUTION
    ### BEGIN SOLUTION the variance at rest, or infinity
    rest = jnp.where(factor**2 < 1, delta / (1 - factor**2), jnp.inf)
    ### END SOLUTION
    return after, rest


# %% tags=["author"]
def a_langevin(key):
    """A variance before, one of q, and a δ: small, or so that a move leaps over the middle, or too large."""
    keys = jax.random.split(key, 4)
    V = jax.random.uniform(keys[1], minval=0.6, maxval=2.0)
    least = jnp.array([0.5, 2.6, 4.6])[jax.random.randint(keys[2], (), 0, 3)]
    return (
        jax.random.uniform(keys[0], minval=0.1, maxval=4.0),
        V,
        V * (least + jax.random.uniform(keys[3])),
    )


exercise(
    "8.4",
    langevin_variance,
    inputs=a_langevin,
    hints=[
        "Put the score into the move and collect what multiplies z.",
        "Independent things add their variances. What does a factor do to a variance?",
        "At rest, one more move changes nothing: the variance after it is the variance before "
        "it. That is an equation. When has it no positive solution?",
    ],
    slips=[
        (
            "1 - 0.5 * delta / V",
            "1 - delta / V",
            "The ½ is missing: the pull is ½ δ times the score.",
        ),
        (
            "1 - 0.5 * delta / V",
            "1 + 0.5 * delta / V",
            "The sign: the score of N(0, V) is −z/V, it pulls to the middle.",
        ),
        (
            "1 - 0.5 * delta / V",
            "1 - 0.5 * delta / V**2",
            "The score of N(0, V) is −z/V: V is a variance already.",
        ),
        (
            "1 - 0.5 * delta / V",
            "1 - 0.5 * delta / jnp.sqrt(V)",
            "The score of a Gaussian is −z over its variance, not over its standard deviation.",
        ),
        (
            "1 - 0.5 * delta / V",
            "-0.5 * delta / V",
            "That is the change of z; z itself stays as well: 1 less this.",
        ),
        (
            "factor**2 * before + delta",
            "factor * before + delta",
            "What multiplies z multiplies its variance by the square.",
        ),
        (
            "factor**2 * before + delta",
            "factor**2 * before + jnp.sqrt(delta)",
            "√δ is the standard deviation of the shaking; its variance is δ.",
        ),
        (
            "factor**2 * before + delta",
            "factor**2 * before",
            "The shaking adds variance, too.",
        ),
        (
            "delta / (1 - factor**2), jnp.inf",
            "V, jnp.inf",
            "V is the limit for small δ. With this δ one more move would change it: ask where "
            "a move changes nothing.",
        ),
        (
            "jnp.where(factor**2 < 1, delta / (1 - factor**2), jnp.inf)",
            "delta / (1 - factor**2)",
            "Where the factor is below −1 this is a negative number, and no variance: the "
            "points are thrown ever farther, from side to side.",
        ),
        (
            "jnp.where(factor**2 < 1, ",
            "jnp.where(factor > 0, ",
            "A negative factor leaps over the middle, but as long as it is above −1 the "
            "points still come nearer.",
        ),
        (
            "delta / (1 - factor**2)",
            "delta / (1 - factor)",
            "What multiplies z multiplies its variance by the square: solve rest = factor² · "
            "rest + δ.",
        ),
    ],
    laws=[
        (
            "with a small δ the points come to rest in q, here of variance 2",
            lambda f: (
                f(*case(1.0, 2.0, 1e-2, arrays=()))[1],
                jnp.asarray(2 / (1 - 1e-2 / 8)),
            ),
        ),
        (
            "at rest a move changes nothing, also with δ = 3V, where every move leaps over "
            "the middle: they rest at 4V",
            lambda f: (
                jnp.stack([jnp.asarray(value) for value in f(*case(4.0, 1.0, 3.0, arrays=()))]),
                jnp.full(2, 4.0),
            ),
        ),
        (
            "with δ = 5V there is no rest",
            lambda f: (f(*case(1.0, 0.5, 2.5, arrays=()))[1], jnp.asarray(jnp.inf)),
        ),
    ],
    ships=by_langevin_moves,
)

# %% [markdown]
# ## 8.5 · The density of a moving point
# *difficulty ●●● · 12 minutes*
#
# A point follows the ODE from the level `gamma` a short way `h` upwards, in one step with the velocity $\dot z$ at its
# start: it goes to $z + h\, \dot z$. Its log density was `log_p`. Where the velocities of neighbours diverge, a small
# volume grows, and the density in it falls:
#
# $$ \frac{d \log p(z)}{d\gamma} = -\mathrm{div}\, \dot z = -\sum_i \frac{\partial \dot z_i}{\partial z_i} . $$
#
# Return the new point and its log density, taking the divergence at the start for the whole step. `eps_of(z)` is the
# guess of the noise at this level. `jax.jacfwd(f)(z)` is the Jacobian of `f` at `z`, the matrix with
# $\partial f_i / \partial z_j$ in row $i$ and column $j$.


# %% tags=["8.5"]
def follow(eps_of, z, log_p, gamma, h):
    """Return (the point, its log density) after a step h along the ODE."""

    def velocity(z):
        return 0.5 * sigma(gamma) * (eps_of(z) - sigma(gamma) * z)

    ### BEGIN SOLUTION the Jacobian of the velocity
    slopes = jax.jacfwd(velocity)(z)
    ### END SOLUTION
    ### BEGIN SOLUTION its divergence
    divergence = jnp.trace(slopes)
    ### END SOLUTION
    ### BEGIN SOLUTION the new log density
    new_log_p = log_p - h * divergence
    ### END SOLUTION
    return z + h * velocity(z), new_log_p


# %% tags=["author"]
exercise(
    "8.5",
    follow,
    inputs=a_flow,
    hints=[
        "jax.jacfwd takes the function velocity and gives another function, which is then "
        "asked at z.",
        "The divergence is the sum of the Jacobian's diagonal, its trace.",
        "Where volume grows, density falls: mind the sign.",
    ],
    slips=[
        (
            "log_p - h * divergence",
            "log_p + h * divergence",
            "The sign: where the flow spreads its points, the density falls.",
        ),
        (
            "log_p - h * divergence",
            "log_p - divergence",
            "That is the change over a whole unit of γ; the step is h long.",
        ),
        (
            "log_p - h * divergence",
            "log_p * jnp.exp(-h * divergence)",
            "The density gets a factor; its logarithm, which you have, gets a summand.",
        ),
        (
            "jnp.trace(slopes)",
            "jnp.abs(jnp.trace(slopes))",
            "Without its sign the divergence can't say whether the points go apart or come together.",
        ),
        (
            "jnp.trace(slopes)",
            "jnp.sum(slopes)",
            "This sums all entries; only the diagonal counts, how much each coordinate drives "
            "itself.",
        ),
        (
            "jnp.trace(slopes)",
            "jnp.mean(jnp.diag(slopes))",
            "The mean in place of the sum: a volume grows with all its directions together.",
        ),
        (
            "jnp.trace(slopes)",
            "jnp.linalg.det(slopes)",
            "The determinant belongs to the whole map, I + h times the Jacobian; for a short "
            "step its logarithm is h times the trace.",
        ),
        (
            "log_p - h * divergence",
            "log_p - jnp.linalg.slogdet(jnp.eye(len(z)) + h * slopes)[1]",
            "This is what the one straight step does to a volume, exactly. Asked for is the first order in h: "
            "h times the divergence.",
        ),
        (
            "jax.jacfwd(velocity)(z)",
            "jax.jacfwd(eps_of)(z)",
            "This is the Jacobian of the guess; it is the velocity that moves the point.",
        ),
        (
            "sigma(gamma) * z)",
            "z)",
            "In the velocity z has a factor σ of its own: σ(ε̂ − σ z)/2.",
        ),
    ],
    laws=[
        (
            "for a Gaussian and a tiny step, it is the log density of the next level at the "
            "new point",
            lambda f: at_the_next_level(f),
        ),
        (
            "where nothing moves, with ε̂ = σ z, the density stays",
            lambda f: (
                f(lambda z: sigma(0.5) * z, jnp.ones(4), jnp.asarray(-1.3), 0.5, 0.7)[1],
                jnp.asarray(-1.3),
            ),
        ),
        (
            "with ε̂ = 0 the points come together, and the density rises by h σ²/2 for each of "
            "its dimensions",
            lambda f: (
                f(lambda z: 0 * z, jnp.ones(3), jnp.asarray(-1.3), 0.5, 0.7)[1],
                -1.3 + 0.7 * 3 * vdmlite.sigma2(0.5) / 2,
            ),
        ),
    ],
    ships=by_velocity,
)


def at_the_next_level(f, gamma=0.5, h=1e-3, s=0.4):
    """Both sides of the law for data N(0, s²) in the plane."""
    v = lambda gamma: vdmlite.alpha2(gamma) * s**2 + vdmlite.sigma2(gamma)  # noqa: E731
    law = lambda gamma: vdmlite.Gaussian(jnp.zeros(2), jnp.sqrt(v(gamma)))  # noqa: E731
    z = jnp.array([0.3, -0.9])
    point, log_p = f(lambda z: sigma(gamma) * z / v(gamma), z, law(gamma).log_prob(z), gamma, h)
    return log_p, law(gamma + h).log_prob(point)


# %% [markdown]
# ## 8.6 · Build: the order of a sampler that nobody explained
# *difficulty ●●● · 25 minutes · build*
#
# You get a sampler as a function, and nothing else. `walk(K)` takes $K$ steps down from noise, always from the same
# fifty starting points, and returns the fifty places where they end (a NumPy array, in double precision). There is no
# chance in it. You are not told the rule, nor the data, nor where the points should end. Measure the order of the
# sampler: return the number $n$ for which its error falls like $K^{-n}$, to within a tenth of itself. The check
# allows a walk a few thousand steps, and wants an answer within seconds.
#
# The lesson measured orders against ends that it knew. What can you compare with here? And which $K$ are large enough
# for the law to hold?
#
# Before you run the check, write down what you expect for these four; it tries them all.
# 1. Euler's rule with straight steps in γ, in place of DDIM's $r = \sigma/\alpha$.
# 2. Heun's rule in γ.
# 3. Heun's rule, but the last step is Euler's, since at no noise at all the second question has no answer (Karras et
#    al. do so).
# 4. A rule by Kutta that asks the denoiser three times a step.


# %% tags=["8.6"]
def order(walk):
    """Return the order of a sampler, measured."""
    ### BEGIN SOLUTION the order: the whole body is yours
    coarse, middle, fine = (walk(K) for K in (100, 200, 400))
    # The error with K steps is about a K^−n, so these differ by a (1 − 2^−n) K^−n for K and 2K.
    first, second = np.abs(coarse - middle).mean(), np.abs(middle - fine).mean()
    return np.log2(first / second)
    ### END SOLUTION


# %% tags=["author"]
def euler_rule(velocity_at, z, gamma, h):
    return z + h * velocity_at(z, gamma)


def ddim_rule(velocity_at, z, gamma, h):
    a, s = 1 / np.sqrt(1 + np.exp(gamma)), 1 / np.sqrt(1 + np.exp(-gamma))
    eps = 2 * velocity_at(z, gamma) / s + s * z
    r = np.exp(gamma / 2)
    return (z / a + (np.exp((gamma + h) / 2) - r) * eps) / np.sqrt(1 + np.exp(gamma + h))


def heun_rule(velocity_at, z, gamma, h):
    here = velocity_at(z, gamma)
    return z + h / 2 * (here + velocity_at(z + h * here, gamma + h))


def kutta_rule(velocity_at, z, gamma, h):
    one = velocity_at(z, gamma)
    two = velocity_at(z + h / 2 * one, gamma + h / 2)
    three = velocity_at(z - h * one + 2 * h * two, gamma + h)
    return z + h / 6 * (one + 4 * two + three)


def walking(rule, means=(-0.8, 0.6), stds=(0.5, 0.4), last=None):
    """The walk of a rule on a line, for a mixture of two Gaussians, by NumPy in double precision."""
    means, stds = np.asarray(means, float), np.asarray(stds, float)

    def velocity_at(z, gamma):
        a2, s2 = 1 / (1 + np.exp(gamma)), 1 / (1 + np.exp(-gamma))
        V = a2 * stds**2 + s2
        off = z[:, None] - np.sqrt(a2) * means
        share = np.exp(-0.5 * off**2 / V) / np.sqrt(V)
        share = share / share.sum(1, keepdims=True)
        eps = np.sqrt(s2) * (share * off / V).sum(1)
        return 0.5 * np.sqrt(s2) * (eps - np.sqrt(s2) * z)

    def walk(K):
        z, gammas = np.linspace(-2, 2, 50), np.linspace(3.0, -3.0, int(K) + 1)
        for gamma, following in itertools.pairwise(gammas):
            step = last if last and following == gammas[-1] else rule
            z = step(velocity_at, z, gamma, following - gamma)
        return z

    return walk


def a_walk(key):
    """A rule on random data."""
    keys = jax.random.split(key, 3)
    rules = (ddim_rule, heun_rule, kutta_rule)
    means = np.array([-1, 1]) * np.asarray(
        jax.random.uniform(keys[1], (2,), minval=0.4, maxval=1.0)
    )
    stds = np.asarray(jax.random.uniform(keys[2], (2,), minval=0.35, maxval=0.6))
    return (walking(rules[int(jax.random.randint(keys[0], (), 0, 3))], means, stds),)


exercise(
    "8.6",
    order,
    inputs=a_walk,
    hints=[
        "If the end with K steps is off by about a K^−n, how far apart are the ends with K "
        "and with 2K steps? No true end is needed for that.",
        "Two such differences, from K to 2K and from 2K to 4K, have a ratio that depends on n "
        "alone.",
        "Fifty points have fifty ratios, some of small numbers: sum up the sizes first. And "
        "double all K to see whether the answer has settled.",
    ],
    slips=[
        (
            "np.log2(first / second)",
            "np.log(first / second)",
            "This is log 2 times the order: with the natural logarithm divide by log 2.",
        ),
        (
            "np.log2(first / second)",
            "np.log2(second / first)",
            "The sign: an error that falls like K^−n has the order n.",
        ),
        (
            "np.log2(first / second)",
            "first / second",
            "That is 2^n, by how much twice the steps help; the order is n.",
        ),
        (
            "np.abs(coarse - middle).mean()",
            "np.abs(coarse - fine).mean()",
            "This takes the walk of 4K steps for the truth, but its own error is not small "
            "beside that of 2K steps. Compare neighbours, or take far more steps for the "
            "truth.",
        ),
        (
            "np.log2(first / second)",
            "np.log2(first / second) / 2",
            "That is half the order: from one difference to the next the number of steps "
            "grows 2-fold, not 4-fold.",
        ),
    ],
    laws=[
        ("Euler's rule in γ is of order 1", lambda f: (f(walking(euler_rule)), 1.0)),
        ("Heun's rule is of order 2", lambda f: (f(walking(heun_rule)), 2.0)),
        (
            "with a last step of Euler's it is still of order 2: one step in K does not make "
            "the order",
            lambda f: (f(walking(heun_rule, last=euler_rule)), 2.0),
        ),
        ("Kutta's rule is of order 3", lambda f: (f(walking(kutta_rule)), 3.0)),
    ],
    # One step more or less does not matter.
    equivalent=[
        "coarse, middle, fine = (walk(K) for K in (101, 200, 400))",
        "coarse, middle, fine = (walk(K) for K in (100, 201, 400))",
        "coarse, middle, fine = (walk(K) for K in (100, 200, 401))",
    ],
    tolerance=0.1,
)

# %% [markdown]
# ## Now import it
#
# What you wrote is `vdmlite.Ancestral` (8.1), `vdmlite.DDIM` with its `eta` (8.2), and in `vdmlite.neighbours`
# `ode.velocity` (8.3), each of which asks the denoiser itself, whatever it guesses, and draws what noise it needs.
# The move whose rest you found (8.4) is `langevin.langevin_move`. `ode.log_prob` does 8.5 in many steps, whose
# lengths it chooses by the error.
