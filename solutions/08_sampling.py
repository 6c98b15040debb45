# %% [markdown]
# # 08 · Sampling: exercises
#
# *Five exercises, about 45 minutes · belongs to lesson 08*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like.
#
# Throughout, γ is the noise level, `alpha(gamma)` and `sigma(gamma)` are the scales of signal and noise, with $z = \alpha x + \sigma \varepsilon$,
# $\alpha^2 = \mathrm{sigmoid}(-\gamma)$ and $\sigma^2 = \mathrm{sigmoid}(\gamma)$. A step goes from the latent `z_t` at `gamma_t` down to the cleaner `gamma_s`.
# `eps_hat` is the denoiser's guess of the noise in the latent, and where chance is needed you are given `noise`, drawn from $N(0, I)$.

# %% tags=["imports"]
import jax
import jax.numpy as jnp

from vdmlite import alpha, sigma
from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import functools

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


def saying(eps):
    """A denoiser that guesses the same noise wherever it is asked."""
    return vdmlite.NetDenoiser(lambda z, gamma, key=None: eps)


def a_step(key):
    """A latent, a guess of its noise, two levels at least 0.7 apart, and noise."""
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


def by_ancestral_step(z_t, eps_hat, gamma_s, gamma_t, noise):
    move = functools.partial(vdmlite.ancestral_step, saying(eps_hat), z_t, gamma_s, gamma_t)
    return with_noise(move, noise)


def by_ddim_step(z_t, eps_hat, gamma_s, gamma_t, eta, noise):
    move = functools.partial(
        vdmlite.ddim_step, saying(eps_hat), z_t, gamma_s, gamma_t, eta=float(eta)
    )
    return with_noise(move, noise)


def by_langevin_move(z, eps_hat, gamma, size, noise):
    move = functools.partial(
        langevin_of_the_package.langevin_move, saying(eps_hat), z, gamma, size=float(size)
    )
    return with_noise(move, noise)


def by_velocity(eps_of, z, log_p, gamma, h):
    """An Euler step along the package's velocity, its divergence by one push a dimension."""
    denoiser = vdmlite.NetDenoiser(lambda z, gamma, key=None: eps_of(z))
    change, push = jax.linearize(lambda z: ode.velocity(denoiser, z, gamma), z)
    return z + h * change, log_p - h * sum(push(e) @ e for e in jnp.eye(len(z)))


def a_flow(key):
    """The exact guess of the noise at one level, a point, its log density, and a short way."""
    keys = jax.random.split(key, 3)
    gamma = jax.random.uniform(keys[0], minval=-1.5, maxval=1.0)
    z = 0.7 * jax.random.normal(keys[1], (2,))
    log_p = SPOTS.diffused(gamma).log_prob(z)
    h = jax.random.uniform(keys[2], minval=0.3, maxval=0.8)
    return lambda z: SPOTS(z, gamma).eps, z, log_p, gamma, h


def spread(f, gamma_s, gamma_t, *rest):
    """The width of the noise in a step f: what one unit of noise adds."""
    zero, one = jnp.zeros(1), jnp.ones(1)
    return f(zero, zero, gamma_s, gamma_t, *rest, one) - f(
        zero, zero, gamma_s, gamma_t, *rest, zero
    )


# %% [markdown]
# ## 8.1 · One ancestral step
# *difficulty ●○○ · 8 minutes*
#
# The ancestral step draws $z_s$ from $q(z_s \mid z_t, x)$ with the guess in place of $x$. Let $c = 1 - e^{\gamma_s - \gamma_t}$. The mean is
# $\frac{\alpha_s}{\alpha_t} (z_t - c\, \sigma_t\, \hat\varepsilon)$, and the *variance* is $\sigma_s^2\, c$. Return the draw that belongs to `noise`.
# (`jnp.expm1(a)` is $e^a - 1$, exact for tiny $a$ too.)


# %% tags=["8.1"]
def ancestral(z_t, eps_hat, gamma_s, gamma_t, noise):
    """Return z_s by one ancestral step."""
    ### BEGIN SOLUTION c
    c = -jnp.expm1(gamma_s - gamma_t)
    ### END SOLUTION
    ### BEGIN SOLUTION the mean of z_s
    mean = alpha(gamma_s) / alpha(gamma_t) * (z_t - c * sigma(gamma_t) * eps_hat)
    ### END SOLUTION
    ### BEGIN SOLUTION the draw of z_s
    return mean + sigma(gamma_s) * jnp.sqrt(c) * noise
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "8.1",
    ancestral,
    inputs=a_step,
    hints=[
        "1 − e^a is −expm1(a), here with a = γ_s − γ_t, which is negative.",
        "The step takes the share c of the guessed noise σ_t ε̂ away, then changes the scale from α_t to α_s.",
        "Noise is multiplied by a standard deviation, the root of the variance.",
    ],
    slips=[
        (
            "sigma(gamma_s) * jnp.sqrt(c) * noise",
            "sigma(gamma_s) ** 2 * c * noise",
            "This multiplies the noise by the variance; it wants the standard deviation, σ_s √c.",
        ),
        (
            "sigma(gamma_s) * jnp.sqrt(c) * noise",
            "sigma(gamma_t) * jnp.sqrt(c) * noise",
            "The fresh noise is that of the level where the step arrives: σ_s, not σ_t.",
        ),
        (
            "c * sigma(gamma_t) * eps_hat",
            "c * sigma(gamma_s) * eps_hat",
            "The guessed noise in z_t has the scale σ_t; that is what is taken away.",
        ),
        (
            "c * sigma(gamma_t) * eps_hat",
            "sigma(gamma_t) * eps_hat",
            "This takes all the guessed noise away, which leaves α_t x̂; the step takes only the share c.",
        ),
        (
            "alpha(gamma_s) / alpha(gamma_t)",
            "alpha(gamma_t) / alpha(gamma_s)",
            "That is the scale of the way up; on the way down the signal grows, by α_s/α_t.",
        ),
        (
            "c = -jnp.expm1(gamma_s - gamma_t)",
            "c = -jnp.expm1(gamma_t - gamma_s)",
            "The two levels are exchanged: c would be negative, and its root no number. c = 1 − e^(γ_s − γ_t).",
        ),
        (
            " + sigma(gamma_s) * jnp.sqrt(c) * noise",
            "",
            "This is the mean of z_s; a draw has noise as well.",
        ),
    ],
    laws=[
        (
            "a step to almost no noise ends at the guess x̂",
            lambda f: (
                f(
                    jnp.ones(1),
                    jnp.full(1, 0.3),
                    jnp.asarray(-40.0),
                    jnp.asarray(0.5),
                    jnp.ones(1),
                ),
                (1 - sigma(0.5) * 0.3) / alpha(0.5) * jnp.ones(1),
            ),
        ),
        (
            "for true noise, what is left of it and the fresh noise have together the variance σ_s²",
            lambda f: (
                spread(f, jnp.asarray(-1.0), jnp.asarray(0.5)) ** 2
                + f(
                    sigma(0.5) * jnp.ones(1),
                    jnp.ones(1),
                    jnp.asarray(-1.0),
                    jnp.asarray(0.5),
                    jnp.zeros(1),
                )
                ** 2,
                sigma(-1.0) ** 2 * jnp.ones(1),
            ),
        ),
    ],
    ships=by_ancestral_step,
)

# %% [markdown]
# ## 8.2 · DDIM, and the knob η
# *difficulty ●●○ · 10 minutes*
#
# Split the latent into the guessed data and noise, then mix them again in the proportions of the next level: $z_s = \alpha_s \hat x + \sigma_s \hat\varepsilon$.
# To let in some chance, replace part of $\hat\varepsilon$ by fresh noise of standard deviation ν, and keep the variance of all noise at $\sigma_s^2$:
#
# $$ z_s = \alpha_s \hat x + \sqrt{\sigma_s^2 - \nu^2}\; \hat\varepsilon + \nu\, \varepsilon , \qquad
# \nu = \eta\, \sigma_s \sqrt{1 - e^{\gamma_s - \gamma_t}} . $$


# %% tags=["8.2"]
def ddim(z_t, eps_hat, gamma_s, gamma_t, eta, noise):
    """Return z_s by one step of DDIM with η."""
    ### BEGIN SOLUTION the guess of the data
    x_hat = (z_t - sigma(gamma_t) * eps_hat) / alpha(gamma_t)
    ### END SOLUTION
    ### BEGIN SOLUTION the standard deviation ν of the fresh noise
    width = eta * sigma(gamma_s) * jnp.sqrt(-jnp.expm1(gamma_s - gamma_t))
    ### END SOLUTION
    ### BEGIN SOLUTION the next latent
    kept = jnp.sqrt(sigma(gamma_s) ** 2 - width**2)
    return alpha(gamma_s) * x_hat + kept * eps_hat + width * noise
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "8.2",
    ddim,
    inputs=lambda key: (
        *a_step(key)[:4],
        jax.random.uniform(jax.random.fold_in(key, 1), minval=0.3, maxval=0.9),
        a_step(key)[4],
    ),
    hints=[
        "z_t = α_t x̂ + σ_t ε̂: solve for x̂.",
        "ν is η times the width of the ancestral step of 8.1.",
        "Independent noises add their variances: what is kept of ε̂ has the variance σ_s² − ν².",
    ],
    slips=[
        (
            "jnp.sqrt(sigma(gamma_s) ** 2 - width**2)",
            "(sigma(gamma_s) - width)",
            "Standard deviations do not add; variances do: the root of σ_s² − ν² is kept.",
        ),
        (
            "kept * eps_hat",
            "sigma(gamma_s) * eps_hat",
            "Here all of ε̂ is kept and fresh noise comes on top: z_s would be too noisy for its level.",
        ),
        (
            "width = eta * sigma(gamma_s)",
            "width = eta * sigma(gamma_t)",
            "ν has the scale of the level where the step arrives, σ_s.",
        ),
        (
            "width = eta *",
            "width = eta**2 *",
            "This is η²; ν is proportional to η, its square to η².",
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
    ],
    laws=[
        (
            "with η = 0 it is α_s x̂ + σ_s ε̂, whatever the noise",
            lambda f: (
                f(
                    alpha(0.5) * 0.7 + sigma(0.5) * jnp.ones(1),
                    jnp.ones(1),
                    jnp.asarray(-1.0),
                    jnp.asarray(0.5),
                    jnp.asarray(0.0),
                    jnp.full(1, 9.0),
                ),
                alpha(-1.0) * 0.7 + sigma(-1.0) * jnp.ones(1),
            ),
        ),
        (
            "with η = 1 it is the ancestral step",
            lambda f: (
                f(
                    jnp.ones(1),
                    jnp.full(1, 0.3),
                    jnp.asarray(-1.0),
                    jnp.asarray(0.5),
                    jnp.asarray(1.0),
                    jnp.full(1, 0.8),
                ),
                ancestral(
                    jnp.ones(1),
                    jnp.full(1, 0.3),
                    jnp.asarray(-1.0),
                    jnp.asarray(0.5),
                    jnp.full(1, 0.8),
                ),
            ),
        ),
    ],
    ships=by_ddim_step,
)

# %% [markdown]
# ## 8.3 · The right-hand side of the ODE
# *difficulty ●●○ · 10 minutes*
#
# Let γ grow and keep $x$ and ε: then $z = \alpha x + \sigma \varepsilon$ moves with the velocity $\frac{d\alpha}{d\gamma} x + \frac{d\sigma}{d\gamma} \varepsilon$. Put the guesses in place of
# $x$ and ε, and you have the right-hand side of the probability-flow ODE. The derivative of $\mathrm{sigmoid}(\gamma)$ is $\mathrm{sigmoid}(\gamma)\, \mathrm{sigmoid}(-\gamma)$. Use it to
# find both derivatives from $\alpha^2 = \mathrm{sigmoid}(-\gamma)$ and $\sigma^2 = \mathrm{sigmoid}(\gamma)$, and return $dz/d\gamma$. (Or simplify first, as the lesson did: the three
# blanks are a suggestion.)


# %% tags=["8.3"]
def velocity(z, eps_hat, gamma):
    """Return dz/dγ."""
    x_hat = (z - sigma(gamma) * eps_hat) / alpha(gamma)
    ### BEGIN SOLUTION the derivative of α by γ
    alpha_slope = -0.5 * sigma(gamma) ** 2 * alpha(gamma)
    ### END SOLUTION
    ### BEGIN SOLUTION the derivative of σ by γ
    sigma_slope = 0.5 * alpha(gamma) ** 2 * sigma(gamma)
    ### END SOLUTION
    ### BEGIN SOLUTION the velocity
    return alpha_slope * x_hat + sigma_slope * eps_hat
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "8.3",
    velocity,
    inputs=lambda key: (*a_step(key)[:2], a_step(key)[2]),
    hints=[
        "The derivative of σ² is 2σ dσ/dγ, and it is also σ² α². Solve for dσ/dγ.",
        "α² falls as fast as σ² grows, for their sum is 1: 2α dα/dγ = −σ² α².",
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
            "alpha_slope * x_hat + sigma_slope * eps_hat",
            "-alpha_slope * x_hat - sigma_slope * eps_hat",
            "This is the velocity downwards, to less noise; asked for is dz/dγ, as γ grows.",
        ),
        (
            "alpha_slope * x_hat + sigma_slope * eps_hat",
            "0.5 * sigma(gamma) * (eps_hat - z)",
            "One σ is missing: it is ½ σ (ε̂ − σ z).",
        ),
        (
            "alpha_slope * x_hat + sigma_slope * eps_hat",
            "sigma(gamma) * (eps_hat - 0.5 * sigma(gamma) * z)",
            "This is the drift of the reverse SDE, where a walk is shaken as well; without chance ε̂ has a factor ½, too.",
        ),
    ],
    laws=[
        (
            "for data N(0, 4) a point grows as the standard deviation does, dz/dγ = z · (dv/dγ)/(2v) with v = 4α² + σ²",
            lambda f: (
                f(
                    jnp.full(1, 2.0),
                    sigma(0.7) * 2.0 / wide_variance(0.7) * jnp.ones(1),
                    jnp.asarray(0.7),
                ),
                2.0 * jax.grad(wide_variance)(0.7) / (2 * wide_variance(0.7)) * jnp.ones(1),
            ),
        ),
        (
            "at any level it is ½ σ (ε̂ − σ z)",
            lambda f: (
                f(jnp.full(1, 2.0), jnp.full(1, 0.4), jnp.asarray(-1.5)),
                0.5 * sigma(-1.5) * (0.4 - sigma(-1.5) * 2.0) * jnp.ones(1),
            ),
        ),
    ],
    ships=lambda z, eps_hat, gamma: ode.velocity(saying(eps_hat), z, gamma),
)

# %% [markdown]
# ## 8.4 · A Langevin move
# *difficulty ●○○ · 6 minutes*
#
# A Langevin move goes uphill on $\log q(z)$ and is shaken: $z + \tfrac12 \delta\, \nabla \log q(z) + \sqrt{\delta}\, \varepsilon$. The score $\nabla \log q(z)$ is guessed by $-\hat\varepsilon/\sigma$, and the
# move is measured by the noise at its level: $\delta = \mathrm{size} \cdot \sigma^2$. Return the latent after the move.


# %% tags=["8.4"]
def langevin(z, eps_hat, gamma, size, noise):
    """Return the latent after one Langevin move at one noise level."""
    ### BEGIN SOLUTION the score
    score = -eps_hat / sigma(gamma)
    ### END SOLUTION
    ### BEGIN SOLUTION δ
    delta = size * sigma(gamma) ** 2
    ### END SOLUTION
    ### BEGIN SOLUTION the latent after the move
    return z + 0.5 * delta * score + jnp.sqrt(delta) * noise
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "8.4",
    langevin,
    inputs=lambda key: (
        *a_step(key)[:3],
        jax.random.uniform(jax.random.fold_in(key, 1), minval=0.2, maxval=0.8),
        a_step(key)[4],
    ),
    hints=[
        "Where there is noise in z, less of it is more likely: the score points against ε̂.",
        "δ is a variance, so the noise is multiplied by its root.",
    ],
    slips=[
        (
            "score = -eps_hat / sigma(gamma)",
            "score = -eps_hat",
            "The score is −ε̂/σ: the fainter the noise, the steeper the hill.",
        ),
        (
            "score = -eps_hat / sigma(gamma)",
            "score = eps_hat / sigma(gamma)",
            "The sign: this walks downhill, into the noise.",
        ),
        (
            "jnp.sqrt(delta) * noise",
            "jnp.sqrt(2 * delta) * noise",
            "√(2δ) belongs to a step of δ times the score; with ½ δ it is √δ. As it is, the walk comes to rest too wide.",
        ),
        (
            "0.5 * delta * score",
            "delta * score",
            "The ½ is missing: with noise √δ the pull is ½ δ. As it is, the walk comes to rest too narrow.",
        ),
        (
            "jnp.sqrt(delta) * noise",
            "delta * noise",
            "δ is the variance of the shaking; noise is multiplied by the standard deviation √δ.",
        ),
        (
            "delta = size * sigma(gamma) ** 2",
            "delta = size * sigma(gamma)",
            "δ is a variance and goes with σ², the variance of the noise.",
        ),
    ],
    laws=[
        (
            "latents of variance 1 with the score −z keep their variance, but for δ²/4",
            lambda f: (
                f(jnp.ones(1), sigma(0.3) * jnp.ones(1), 0.3, 0.2, jnp.zeros(1)) ** 2
                + f(jnp.zeros(1), jnp.zeros(1), 0.3, 0.2, jnp.ones(1)) ** 2,
                1 + (0.2 * sigma(0.3) ** 2) ** 2 / 4 * jnp.ones(1),
            ),
        ),
    ],
    ships=by_langevin_move,
)

# %% [markdown]
# ## 8.5 · The density of a moving point
# *difficulty ●●● · 12 minutes*
#
# A point follows the ODE from the level `gamma` a short way `h` upwards, in one step with the velocity $v$ at its start: it goes to $z + h\, v(z)$. Its log density was `log_p`. Where
# the velocities of neighbours diverge, a small volume grows, and the density in it falls:
#
# $$ \frac{d \log p(z)}{d\gamma} = -\mathrm{div}\, v = -\sum_i \frac{\partial v_i}{\partial z_i} . $$
#
# Return the new point and its log density, taking the divergence at the start for the whole step. `eps_of(z)` is the guess of the noise at this level. `jax.jacfwd(f)(z)` is the Jacobian of
# `f` at `z`, the matrix with $\partial f_i / \partial z_j$ in row $i$ and column $j$.


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
        "jax.jacfwd takes the function velocity and gives another function, which is then asked at z.",
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
            "jnp.sum(slopes)",
            "This sums all entries; only the diagonal counts, how much each coordinate drives itself.",
        ),
        (
            "jnp.trace(slopes)",
            "jnp.mean(jnp.diag(slopes))",
            "The mean in place of the sum: a volume grows with all its directions together.",
        ),
        (
            "jnp.trace(slopes)",
            "jnp.linalg.det(slopes)",
            "The determinant belongs to the whole map, I + h times the Jacobian; for a short step its logarithm is h times the trace.",
        ),
        (
            "jax.jacfwd(velocity)(z)",
            "jax.jacfwd(eps_of)(z)",
            "This is the Jacobian of the guess; it is the velocity that moves the point.",
        ),
    ],
    laws=[
        (
            "for a Gaussian and a tiny step, it is the log density of the next level at the new point",
            lambda f: at_the_next_level(f),
        ),
        (
            "where nothing moves, with ε̂ = σ z, the density stays",
            lambda f: (
                f(lambda z: sigma(0.5) * z, jnp.ones(4), jnp.asarray(-1.3), 0.5, 0.7)[1],
                jnp.asarray(-1.3),
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
# ## Now import it
#
# What you wrote is `vdmlite.ancestral_step` (8.1), `vdmlite.ddim_step` with its `eta` (8.2), and in `vdmlite.neighbours` `ode.velocity` (8.3) and `langevin.langevin_move` (8.4), each of which
# asks the denoiser itself and draws what noise it needs. `ode.log_prob` does 8.5 in many steps, whose lengths it chooses by the error.
