"""Built from solutions/04_predictions.py. Do not edit."""


import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo


import vdmlite
from vdmlite import process
from vdmlite.course import exercise


def an_output_and_a_latent(key):
    """What a network puts out, a latent, and a noise level."""
    output_key, z_key, gamma_key = jax.random.split(key, 3)
    gamma = jax.random.uniform(gamma_key, minval=-3.0, maxval=3.0)
    return jax.random.normal(output_key, (3,)), jax.random.normal(z_key, (3,)), gamma


some_mixture = vdmlite.Mixture(
    jnp.array([0.2, 0.5, 0.3]),
    jnp.array([[1.0, 0.0], [-0.5, 0.8], [0.2, -1.0]]),
    jnp.array([0.3, 0.2, 0.4]),
)
exact = vdmlite.MixtureDenoiser(some_mixture)


def a_density_and_a_latent(key):
    """The log-density of a diffused mixture, a point, and the noise level."""
    z_key, gamma_key = jax.random.split(key)
    gamma = jax.random.uniform(gamma_key, minval=-2.0, maxval=2.0)
    return exact.diffused(gamma).log_prob, jax.random.normal(z_key, (2,)), gamma


def noise_from_data(x_hat, z, gamma):
    """Return ε̂."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    return (z - alpha * x_hat) / sigma


exercise(
    "4.1",
    noise_from_data,
    inputs=an_output_and_a_latent,
    hints=[
        "Solve z = α x̂ + σ ε̂ for ε̂.",
        "Take the signal α x̂ away from z; what is left is σ ε̂.",
    ],
    slips=[
        (
            "z - alpha * x_hat",
            "z - x_hat",
            "The data enters z shrunk: take away α x̂, not x̂.",
        ),
        (
            "(z - alpha * x_hat) / sigma",
            "z - alpha * x_hat",
            "That is σ ε̂, the noise as it stands in z; ε̂ itself has variance 1, so divide by σ.",
        ),
        (
            "/ sigma",
            "/ alpha",
            "Divide by the noise's scale σ; α is the scale of the data.",
        ),
        (
            "(z - alpha * x_hat) / sigma",
            "z - alpha * x_hat / sigma",
            "Brackets are missing: the whole of z − α x̂ is to be divided by σ, not its second part alone.",
        ),
    ],
    laws=[
        (
            "the two guesses add up to z, α x̂ + σ ε̂ = z",
            lambda f: (
                process.alpha(0.7) * jnp.array([0.4, -1.0])
                + process.sigma(0.7) * f(jnp.array([0.4, -1.0]), jnp.array([1.0, 2.0]), 0.7),
                jnp.array([1.0, 2.0]),
            ),
        )
    ],
    ships=lambda x_hat, z, gamma: vdmlite.from_x(x_hat, z, gamma).eps,
)


def both_from_v(v_hat, z, gamma):
    """Return (x̂, ε̂)."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    x_hat = alpha * z - sigma * v_hat
    eps_hat = sigma * z + alpha * v_hat
    return x_hat, eps_hat


exercise(
    "4.2",
    both_from_v,
    inputs=an_output_and_a_latent,
    hints=[
        "Multiply z by α, v by σ, and subtract; use α² + σ² = 1.",
        "For the noise multiply z by σ, v by α, and add.",
    ],
    slips=[
        (
            "alpha * z - sigma * v_hat",
            "alpha * z + sigma * v_hat",
            "The sign in x̂: v counts the data negatively, so take σ v away.",
        ),
        (
            "sigma * z + alpha * v_hat",
            "sigma * z - alpha * v_hat",
            "The sign in ε̂: v counts the noise positively, so α v is added.",
        ),
        (
            "alpha * z - sigma * v_hat",
            "sigma * z - alpha * v_hat",
            "α and σ are swapped in x̂: with no noise (α = 1, σ = 0) it should be z.",
        ),
        (
            "alpha * z - sigma * v_hat\n    eps_hat = sigma * z + alpha * v_hat",
            "sigma * z + alpha * v_hat\n    eps_hat = alpha * z - sigma * v_hat",
            "The two are swapped: x̂ comes first, then ε̂.",
        ),
        (
            "alpha * z - sigma * v_hat\n    eps_hat = sigma * z + alpha * v_hat",
            "alpha * z + sigma * v_hat\n    eps_hat = sigma * z - alpha * v_hat",
            "Both signs: this turns the axes further, not back. In v = α ε − σ x the data has the minus.",
        ),
    ],
    laws=[
        (
            "the latent is the sum of its parts, α x̂ + σ ε̂ = z",
            lambda f: (
                process.alpha(-0.4) * f(jnp.array([0.3]), jnp.array([1.5]), -0.4)[0]
                + process.sigma(-0.4) * f(jnp.array([0.3]), jnp.array([1.5]), -0.4)[1],
                jnp.array([1.5]),
            ),
        )
    ],
    ships=lambda v_hat, z, gamma: (
        vdmlite.from_v(v_hat, z, gamma).x,
        vdmlite.from_v(v_hat, z, gamma).eps,
    ),
)


def best_guess(log_q, z, gamma):
    """Return E[x | z], by Tweedie's formula."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    score = jax.grad(log_q)(z)
    return (z + sigma**2 * score) / alpha


exercise(
    "4.3",
    best_guess,
    inputs=a_density_and_a_latent,
    hints=[
        "The score is the gradient of log_q at z.",
        "Tweedie: z + σ² · score is α times the posterior mean.",
    ],
    slips=[
        (
            "sigma**2 * score",
            "sigma * score",
            "The step uphill has length σ² times the score: the variance, not the scale.",
        ),
        (
            "z + sigma",
            "z - sigma",
            "Downhill: α x̂ lies where latents are more likely, so the score is added.",
        ),
        (
            "(z + sigma**2 * score) / alpha",
            "z + sigma**2 * score",
            "That is α x̂, the guess as it stands in z; divide by α.",
        ),
    ],
    laws=[
        (
            "it is the posterior mean that Bayes' rule gives for a mixture of Gaussians",
            lambda f: (
                f(exact.diffused(0.5).log_prob, jnp.array([0.3, -0.2]), jnp.asarray(0.5)),
                exact(jnp.array([0.3, -0.2]), jnp.asarray(0.5)).x,
            ),
        )
    ],
    ships=lambda log_q, z, gamma: vdmlite.from_score(jax.grad(log_q)(z), z, gamma).x,
)


def weights(gamma):
    """Return (w_x, w_v, w_s)."""
    w_x = jnp.exp(-gamma)
    w_v = jax.nn.sigmoid(-gamma)
    w_s = jax.nn.sigmoid(gamma)
    return w_x, w_v, w_s


exercise(
    "4.4",
    weights,
    # Far from γ = 0, where the three weights look alike.
    inputs=lambda key: (jax.random.uniform(key, minval=1.5, maxval=3.0),),
    hints=[
        "Keep z fixed and move x̂ by δ: by how much does ε̂ = (z − α x̂)/σ move? The weight is the square of the factor.",
        "ε̂ = σ z + α v̂ and ε̂ = −σ · score give the factors α and σ. Square them.",
    ],
    slips=[
        (
            "jnp.exp(-gamma)",
            "jnp.exp(-0.5 * gamma)",
            "e^(−γ/2) = α/σ is the factor of the error; a squared error takes its square, α²/σ².",
        ),
        (
            "jnp.exp(-gamma)",
            "jnp.exp(gamma)",
            "The first is upside down: an error of x̂ counts most where the latent is clean, at negative γ.",
        ),
        (
            "jax.nn.sigmoid(-gamma)\n    w_s = jax.nn.sigmoid(gamma)",
            "jax.nn.sigmoid(gamma)\n    w_s = jax.nn.sigmoid(-gamma)",
            "The last two are swapped: ε̂ holds v̂ times α, and the score times σ.",
        ),
        (
            "jnp.exp(-gamma)\n    w_v = jax.nn.sigmoid(-gamma)\n    w_s = jax.nn.sigmoid(gamma)",
            "jnp.exp(-0.5 * gamma)\n    w_v = jnp.sqrt(jax.nn.sigmoid(-gamma))\n    w_s = jnp.sqrt(jax.nn.sigmoid(gamma))",
            "These are the factors α/σ, α and σ of an error; a weight belongs to a squared error: square all three.",
        ),
    ],
    laws=[
        (
            "the weights of x̂ and the score are SNR and σ², and their product is that of v̂",
            lambda f: (
                f(jnp.asarray(0.8))[0] * f(jnp.asarray(0.8))[2],
                f(jnp.asarray(0.8))[1],
            ),
        )
    ],
    ships=lambda gamma: (process.snr(gamma), process.alpha2(gamma), process.sigma2(gamma)),
)
