# %% [markdown]
# # 04 · One network, four predictions: exercises
#
# *Five exercises, about 75 minutes, the last one a build of 45 · belongs to lesson 04*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like.

# %% tags=["imports"]
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import vdmlite
from vdmlite import data
from vdmlite.course import check, hint, solution, todo

# For 4.5: minutes of sleep. Seven in ten people sleep 450 ± 20 minutes, the others 560 ± 30.
random = np.random.default_rng(4)
minutes = np.where(
    random.random((5000, 1)) < 0.7,
    random.normal(450, 20, (5000, 1)),
    random.normal(560, 30, (5000, 1)),
).astype(np.float32)
train_minutes, test_minutes = minutes[:4000], minutes[4000:]

# %% tags=["author"]
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


# %% [markdown]
# ## 4.1 · The noise from the data
# *difficulty ●○○ · 5 minutes*
#
# A network guesses the data, `x_hat`, from the latent $z = \alpha x + \sigma \varepsilon$. What does it thereby guess
# for the noise? As in lesson 02, $\alpha^2 = \mathrm{sigmoid}(-\gamma)$ and $\sigma^2 = \mathrm{sigmoid}(\gamma)$.


# %% tags=["4.1"]
def noise_from_data(x_hat, z, gamma):
    """Return ε̂."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    ### BEGIN SOLUTION the guess of the noise
    return (z - alpha * x_hat) / sigma
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "4.1",
    noise_from_data,
    inputs=an_output_and_a_latent,
    hints=[
        "The two guesses have to explain z between them. Which equation says so?",
        "Check the size: for a right x̂ your answer has variance 1 at every γ.",
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
        (
            "(z - alpha * x_hat) / sigma",
            "-(z - alpha * x_hat) / sigma**2",
            "This is the score, −ε̂/σ, and not ε̂.",
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

# %% [markdown]
# ## 4.2 · Both from v
# *difficulty ●●○ · 5 minutes*
#
# Now the network guesses $v = \alpha \varepsilon - \sigma x$. Return what it thereby guesses for $x$ and for ε. (Two
# equations, two unknowns. Or turn the axes back, as in the drawing of the lesson.)


# %% tags=["4.2"]
def both_from_v(v_hat, z, gamma):
    """Return (x̂, ε̂)."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    ### BEGIN SOLUTION the guess of the data
    x_hat = alpha * z - sigma * v_hat
    ### END SOLUTION
    ### BEGIN SOLUTION the guess of the noise
    eps_hat = sigma * z + alpha * v_hat
    ### END SOLUTION
    return x_hat, eps_hat


# %% tags=["author"]
exercise(
    "4.2",
    both_from_v,
    inputs=an_output_and_a_latent,
    hints=[
        "Write z and v in terms of x and ε. Which multiples of the two make ε cancel? Remember α² + σ² = 1.",
        "Try the two ends: without noise (α = 1, σ = 0) z is x and v is ε; without data z is ε and v is −x.",
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
        (
            "eps_hat = sigma * z + alpha * v_hat",
            "eps_hat = (z - x_hat) / sigma",
            "The signal in z is α x̂: take that away, and divide by σ then.",
        ),
        (
            "x_hat = alpha * z - sigma * v_hat",
            "x_hat = (z - sigma * v_hat) / alpha",
            "This takes v̂ for a guess of the noise. v has some of the data in it.",
        ),
        (
            "alpha * z - sigma * v_hat\n    eps_hat = sigma * z + alpha * v_hat",
            "(z - sigma * v_hat) / alpha\n    eps_hat = (z - alpha * x_hat) / sigma",
            "That reads v̂ as if it were ε̂. v is α ε − σ x, which turns z = α x + σ ε by a right angle.",
        ),
        (
            "sigma * z + alpha * v_hat",
            "(z - sigma * x_hat) / alpha",
            "z = α x + σ ε gives ε = (z − α x)/σ: the x̂ is multiplied by α there, not by σ.",
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

# %% [markdown]
# ## 4.3 · Uphill to the best guess
# *difficulty ●●○ · 10 minutes*
#
# You are given a function `log_q(z)`, the log-density of all latents at noise level `gamma`, and one latent `z`.
# Nobody tells you what the data is. Return the mean of all $x$ that may have made `z`, all the same. `jax.grad(f)(z)`
# is the gradient of `f` at `z`.


# %% tags=["4.3"]
def best_guess(log_q, z, gamma):
    """Return E[x | z]."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    ### BEGIN SOLUTION the score
    score = jax.grad(log_q)(z)
    ### END SOLUTION
    ### BEGIN SOLUTION the posterior mean of the data
    return (z + sigma**2 * score) / alpha
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "4.3",
    best_guess,
    inputs=a_density_and_a_latent,
    hints=[
        "Uphill from z lies the best guess as it stands in z. Which way is uphill, and how far does the lesson go?",
        "The arrows of the lesson end at α x̂, not at x̂.",
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
        (
            "(z + sigma**2 * score) / alpha",
            "-sigma * score",
            "−σ times the score is the guess of the noise. What is asked for is the guess of the data.",
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

# %% [markdown]
# ## 4.4 · The weight that each target implies
# *difficulty ●●○ · 10 minutes*
#
# The bound counts $\lVert \varepsilon - \hat\varepsilon \rVert^2$. Whoever trains on another output must multiply its
# squared error by a weight $w(\gamma)$ to count the same. Return the three weights for which
#
# $$ \lVert \varepsilon - \hat\varepsilon \rVert^2 = w_x \lVert x - \hat x \rVert^2 = w_v \lVert v - \hat v \rVert^2
#    = w_s \lVert \text{score} - \widehat{\text{score}} \rVert^2 . $$


# %% tags=["4.4"]
def weights(gamma):
    """Return (w_x, w_v, w_s)."""
    ### BEGIN SOLUTION the weight of an error of x̂
    w_x = jnp.exp(-gamma)
    ### END SOLUTION
    ### BEGIN SOLUTION the weight of an error of v̂
    w_v = jax.nn.sigmoid(-gamma)
    ### END SOLUTION
    ### BEGIN SOLUTION the weight of an error of the score
    w_s = jax.nn.sigmoid(gamma)
    ### END SOLUTION
    return w_x, w_v, w_s


# %% tags=["author"]
exercise(
    "4.4",
    weights,
    # Far from γ = 0, where the three weights look alike, and on both sides of it.
    inputs=lambda key: (
        jax.random.uniform(key, minval=1.5, maxval=3.0)
        * jnp.where(jax.random.bernoulli(jax.random.fold_in(key, 1)), 1.0, -1.0),
    ),
    hints=[
        "Keep z fixed and move x̂ by δ: by how much does ε̂ = (z − α x̂)/σ move?",
        "The factors of v̂ and of the score are read off in the same way. A squared error takes the square of its factor.",
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
        (
            "w_v = jax.nn.sigmoid(-gamma)",
            "w_v = 1 + jnp.exp(-gamma)",
            "That is the weight of v's error if the error of x̂ is counted. The bound counts that of ε̂.",
        ),
    ],
    laws=[
        (
            "the weights of x̂ and the score are SNR and σ², and their product is that of v̂",
            lambda f: (
                f(jnp.asarray(0.8))[0] * f(jnp.asarray(0.8))[2],
                f(jnp.asarray(0.8))[1],
            ),
        ),
        (
            "an error of 0.1 in the package's v̂ at γ = −2 costs w_v · 0.1² in ε̂",
            lambda f: (
                f(jnp.asarray(-2.0))[1] * 0.1**2,
                (
                    vdmlite.from_v(jnp.ones(1), jnp.ones(1), -2.0).eps[0]
                    - vdmlite.from_v(jnp.full(1, 0.9), jnp.ones(1), -2.0).eps[0]
                )
                ** 2,
            ),
        ),
    ],
    ships=lambda gamma: (process.snr(gamma), process.alpha2(gamma), process.sigma2(gamma)),
)

# %% [markdown]
# ## 4.5 · Build: a model of your own
# *difficulty ●●● · 45 minutes · build*
#
# Now you train one alone. 4000 people have told how long they slept, in minutes: `train_minutes`, of shape `(4000,
# 1)`. 1000 others are in `test_minutes`. Train a diffusion model on the first, and return its bound on the second:
# **nats for one person, for minutes as they come.**
#
# Nothing is laid out for you. The pieces are those of the race in lesson 04: a network and a way to read it, a
# schedule, a decoder, an optimiser, batches, a loop. At the end `vdmlite.evaluate(model, …, draws=1000,
# batch_size=20_000, key=…)` has the bound as `.nats.loss.mean`. A network of width 32 and 400 updates are enough;
# that takes a few seconds. Above the function stands `functools.cache`, which keeps what it returns: you train once,
# however often it is asked.
#
# One thing no lesson tells you. Networks and noise levels are made for data of size about 1, so minutes have to be
# rescaled before they are learned. A density that is squeezed grows higher. What does that do to $-\log p$, and how
# do you take it back?
#
# Before you run the check, predict the number. You see in the first cell where the minutes come from, and no model
# can pay less than their entropy on average: `data.entropy` knows it. How much will your model pay more?


# %% tags=["4.5"]
@functools.cache
def my_bound():
    """Return the bound on test_minutes, in nats, of a model trained on train_minutes."""
    ### BEGIN SOLUTION the bound, after all the lines that train a model
    key, mean, std = jax.random.key(0), train_minutes.mean(), train_minutes.std()
    net = vdmlite.nn.MLP((1,), width=32, depth=2, key=key)
    denoiser = vdmlite.NetDenoiser(net, vdmlite.from_v)
    schedule = vdmlite.FixedLinear(-9.0, 6.0)
    vdm = vdmlite.VDM(schedule, denoiser, vdmlite.GaussianDecoder(), (1,))
    optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, 400))
    batches = itertools.islice(data.batches((train_minutes - mean) / std, 256, key=key), 400)
    for state, _ in vdmlite.train(vdmlite.init(vdm, optimiser), optimiser, batches, key=key):
        vdm = state.average
    rescaled = (test_minutes - mean) / std
    found = vdmlite.evaluate(vdm, rescaled, draws=1000, batch_size=20_000, key=key)
    return found.nats.loss.mean + jnp.log(std)
    ### END SOLUTION


# %% tags=["author"]
sleepers = vdmlite.Mixture(
    jnp.array([0.7, 0.3]), jnp.array([[450.0], [560.0]]), jnp.array([20.0, 30.0])
)
# A check runs texts of the solution where the solution lives; a cached function hides where.
my_bound.__globals__ = globals()

exercise(
    "4.5",
    my_bound,
    inputs=lambda key: (),
    hints=[
        "Train on (minutes − mean)/std, with the mean and the std of those to train on, and rescale the others likewise.",
        "Write y = (x − mean)/std. The chance to fall into a small cell is p(x) dx = p(y) dy: how many dy is one dx?",
        "A model is vdmlite.VDM(schedule, vdmlite.NetDenoiser(net, reading), vdmlite.GaussianDecoder(), (1,)). "
        "data.batches(…) never ends: itertools.islice(batches, n) stops after n.",
    ],
    slips=[
        (
            " + jnp.log(std)",
            "",
            "This is the bound of the rescaled minutes. In minutes the density is 1/std as high: −log p grows by log std.",
        ),
        (
            "+ jnp.log(std)",
            "- jnp.log(std)",
            "log std has the wrong sign: numbers that spread wider have a lower density, and cost more nats.",
        ),
        (
            "found.nats.loss",
            "found.nats.diffusion",
            "This is the diffusion loss alone; the bound has the reconstruction and the prior in it as well.",
        ),
        (
            "found.nats.loss",
            "found.bits.loss",
            "These are bits, in part: evaluate's `nats` are nats, and so is log std.",
        ),
        (
            "+ jnp.log(std)",
            "* std",
            "Rescaling adds log σ to each price in nats; it multiplies nothing. (The density is divided by σ, and −log turns a division into a sum.)",
        ),
        (
            "(test_minutes - mean) / std",
            "test_minutes",
            "The model was trained on rescaled minutes: the test minutes have to be rescaled in the same way.",
        ),
    ],
    laws=[
        (
            "your model pays what the true density pays for these 1000, to about 0.06 nats",
            lambda f: (f(), -jax.vmap(sleepers.log_prob)(jnp.asarray(test_minutes)).mean()),
        )
    ],
    # A model a little larger, trained a little longer, over a little more of γ: as good a model.
    equivalent=[
        "schedule = vdmlite.FixedLinear(-9.0, 7.0)",
        "schedule = vdmlite.FixedLinear(-10.0, 6.0)",
        "batches = itertools.islice(data.batches((train_minutes - mean) / std, 256, key=key), 401)",
        "batches = itertools.islice(data.batches((train_minutes - mean) / std, 257, key=key), 400)",
        "key, mean, std = (jax.random.key(1), train_minutes.mean(), train_minutes.std())",
        "net = vdmlite.nn.MLP((1,), width=33, depth=2, key=key)",
        "net = vdmlite.nn.MLP((1,), width=32, depth=3, key=key)",
        "optimiser = optax.adam(optax.cosine_decay_schedule(0.01, 401))",
        "found = vdmlite.evaluate(vdm, rescaled, draws=1001, batch_size=20000, key=key)",
        "found = vdmlite.evaluate(vdm, rescaled, draws=1000, batch_size=20001, key=key)",
    ],
    # Of about 5 nats: room for other networks, and for the noise of an evaluation.
    tolerance=0.012,
)

# %% [markdown]
# Look at your number. It is what nobody can avoid, here the mean of $-\log p$ under the true density, and what your
# model pays too much. With γ from −9 to 6 the two ends cost less than a thousandth of a nat; the rest is the network.
# An evaluation with 1000 draws is itself uncertain by 0.01: `found.nats.loss.error` says how much. Then change one
# thing at a time, and see which part moves: the reading, the width, the number of updates, $\gamma_0$.
#
# ## Now import it
#
# What you wrote is `vdmlite.from_x`, `from_v` and `from_score`: each takes a network's output, $z$ and γ, and returns a
# `Prediction` with the fields `x`, `eps`, `v` and `score`.
