# %% [markdown]
# # 09 · Guidance: exercises
#
# *Five exercises, about 45 minutes · belongs to lesson 09*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like.

# %% tags=["imports"]
import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import vdmlite
from vdmlite.course import exercise
from vdmlite.neighbours.guidance import ClassifierFree, ClassifierGuided, LabelNet

MEANS = jnp.array([[-0.8, 0.2], [0.6, 0.5], [0.4, -0.9]])
SPOTS = vdmlite.Mixture(jnp.array([0.4, 0.35, 0.25]), MEANS, jnp.array([0.3, 0.4, 0.5]))
ALL = vdmlite.MixtureDenoiser(SPOTS)
SECOND = vdmlite.GaussianDenoiser(vdmlite.Gaussian(MEANS[1], jnp.asarray(0.4)))


def saying(eps):
    """A denoiser that guesses the same noise wherever it is asked."""
    return vdmlite.NetDenoiser(lambda z, gamma, key=None: eps)


def free_guess(z, gamma, told, untold, w):
    """ε̃ and x̃ from the package's classifier-free guidance."""
    guess = ClassifierFree(saying(told), saying(untold), w)(z, gamma)
    return guess.eps, guess.x


def log_second(z, gamma):
    """Log p(second spot | z), by Bayes' rule."""
    return jax.nn.log_softmax(ALL.diffused(gamma).component_log_prob(z))[1]


def a_classifier(key):
    """The log-probability that a classifier, linear in z, gives to one of three labels."""
    weights = 1.5 * jax.random.normal(key, (3, 2))
    return lambda z, gamma: jax.nn.log_softmax(weights @ z / (1 + jnp.exp(gamma / 2)))[0]


def label_from_net(key, label, labels, dropout):
    """The label that the package's network sees: read off the row that it was shown."""
    net = LabelNet(
        lambda shape: lambda h, gamma, key=None: h[1:],
        (1,),
        labels=int(labels),
        dropout=float(dropout),
        key=jax.random.key(0),
    )
    row = net(jnp.zeros(1), 0.0, label, key=key)
    return jnp.argmin(jnp.sum((net.table - row) ** 2, axis=1))


def shares(f):
    """How often f shows label 2 of 5 as itself, and as none, with dropout ¼; and as another."""
    keys = jax.random.split(jax.random.key(1), 4000)
    seen = jax.vmap(lambda k: f(k, jnp.asarray(2), 5, 0.25))(keys)
    kept, none = jnp.mean(seen == 2), jnp.mean(seen == 5)
    return jnp.stack([kept, none, 1 - kept - none])


def shares_by_net():
    """The same of the package's network."""
    keys = jax.random.split(jax.random.key(1), 4000)
    seen = jax.vmap(lambda k: label_from_net(k, jnp.asarray(2), 5, 0.25))(keys)
    kept, none = jnp.mean(seen == 2), jnp.mean(seen == 5)
    return jnp.stack([kept, none, 1 - kept - none])


def uniform(key, low, high, *also):
    """One number, or an array of the shape that follows."""
    return jax.random.uniform(key, also, minval=low, maxval=high)


def two_gaussians(key, s=(0.3, 0.7), B=(1.2, 2.0)):
    """A label N(m, s²) and all examples N(M, B²), a noise level and a scale."""
    keys = jax.random.split(key, 6)
    return (
        uniform(keys[0], -1.0, 1.0),
        uniform(keys[1], *s),
        uniform(keys[2], -1.0, 1.0),
        uniform(keys[3], *B),
        uniform(keys[4], -3.0, 1.0),
        uniform(keys[5], 1.5, 5.0),
    )


def noise_guess(m, s):
    """The package's ε̂ for data N(m, s²)."""
    return vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.reshape(m, 1), jnp.asarray(s)))


def line_of(m, s, M, B, gamma, w):
    """The package's guided score on the line, as (value at 0, slope)."""
    guided = ClassifierFree(noise_guess(m, s), noise_guess(M, B), w)
    at = [guided(jnp.array([z]), gamma).score[0] for z in (0.0, 1.0)]
    return at[0], at[1] - at[0]


def mean_and_variance(m, s, M, B, gamma, w):
    """Read off the package's guided score, which is (mean − z) / variance."""
    value, slope = line_of(m, s, M, B, gamma, w)
    return -value / slope, -1 / slope


def scale_without_slope(s, B, gamma):
    """The scale at which the package's guided score is level: its slope is linear in w."""
    slope = [line_of(0.0, s, 0.0, B, gamma, w)[1] for w in (0.0, 1.0)]
    return jnp.where(s > B, slope[0] / (slope[0] - slope[1]), jnp.inf)


# %% [markdown]
# ## 9.1 · Two guesses and a scale
# *difficulty ●○○ · 8 minutes*
#
# A network was asked twice about the latent `z` at the noise level `gamma`. Told the label, it guessed the noise `told`; told nothing,
# `untold`. Classifier-free guidance goes from the untold guess in the direction of the told one, `w` times as far:
# $w = 0$ leaves it where it is, $w = 1$ arrives at the told guess, and larger scales go beyond. Return the guided guess of the noise, $\tilde\varepsilon$,
# and the guess of the data that belongs to it, $\tilde x$, for which $\alpha \tilde x + \sigma \tilde\varepsilon = z$.
#
# (Some papers and programs count from the other end: Ho and Salimans write $(1 + w)\, \hat\varepsilon(z \mid c) - w\, \hat\varepsilon(z)$, and their $w$ is ours less one.)


# %% tags=["9.1"]
def guided_guess(z, gamma, told, untold, w):
    """Return the guided guesses (ε̃, x̃)."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    ### BEGIN SOLUTION what the label adds to the guess of the noise
    push = told - untold
    ### END SOLUTION
    ### BEGIN SOLUTION the guided guess of the noise
    eps = untold + w * push
    ### END SOLUTION
    ### BEGIN SOLUTION the guess of the data that belongs to it
    x = (z - sigma * eps) / alpha
    ### END SOLUTION
    return eps, x


# %% tags=["author"]
exercise(
    "9.1",
    guided_guess,
    inputs=lambda key: (
        jax.random.normal(key, (3,)),
        uniform(jax.random.fold_in(key, 1), -3.0, 2.0),
        jax.random.normal(jax.random.fold_in(key, 2), (3,)),
        jax.random.normal(jax.random.fold_in(key, 3), (3,)),
        uniform(jax.random.fold_in(key, 4), 1.5, 6.0),
    ),
    hints=[
        "The way from the untold guess to the told one is told − untold: go it w times.",
        "z = α x + σ ε: solve it for x, with the guided ε.",
    ],
    slips=[
        (
            "eps = untold + w * push",
            "eps = told + w * push",
            "This starts from the told guess, the other way to count: here scale 1 must be the told guess itself.",
        ),
        (
            "push = told - untold",
            "push = untold - told",
            "This goes away from the label: the push is told − untold.",
        ),
        (
            "push = told - untold",
            "push = told",
            "This adds the told guess to the untold one, so that at scale 1 the noise would be counted twice: the "
            "label adds only the difference.",
        ),
        (
            "eps = untold + w * push",
            "eps = w * push",
            "The untold guess, where the walk starts, is missing.",
        ),
        (
            "x = (z - sigma * eps) / alpha",
            "x = (z - sigma * told) / alpha",
            "This x belongs to the told guess; take the guided one.",
        ),
        (
            "x = (z - sigma * eps) / alpha",
            "x = z - sigma * eps",
            "That is α x: divide by α.",
        ),
    ],
    laws=[
        (
            "scale 0 is the untold guess, and scale 1 the told one",
            lambda f: (
                jnp.stack(
                    [
                        f(MEANS[0], jnp.asarray(0.5), MEANS[1], MEANS[2], w)[0]
                        for w in (0.0, 1.0)
                    ]
                ),
                jnp.stack([MEANS[2], MEANS[1]]),
            ),
        ),
    ],
    ships=free_guess,
)

# %% [markdown]
# ## 9.2 · A classifier's push
# *difficulty ●●○ · 8 minutes*
#
# Now there is one denoiser, which guessed the noise `eps` at `z`, and a classifier. `log_p(z, gamma)` is the logarithm of the
# probability that it gives to the label we ask for; it knows noisy data. By Bayes' rule the score becomes
#
# $$ \nabla \log q(z) + w\, \nabla \log p(c \mid z) , $$
#
# and the score and the noise are the same knowledge, $\hat\varepsilon = -\sigma\, \nabla \log q(z)$. Return the guided guess of the noise. (`jax.grad(f)` is the function
# that returns the gradient of `f` by its first argument.)


# %% tags=["9.2"]
def pushed_guess(z, gamma, eps, log_p, w):
    """Return the guess of the noise, guided by a classifier."""
    sigma = jnp.sqrt(jax.nn.sigmoid(gamma))
    ### BEGIN SOLUTION the gradient of the classifier's log-probability at z
    uphill = jax.grad(log_p)(z, gamma)
    ### END SOLUTION
    ### BEGIN SOLUTION the guided guess of the noise
    return eps - w * sigma * uphill
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "9.2",
    pushed_guess,
    inputs=lambda key: (
        jax.random.normal(key, (2,)),
        uniform(jax.random.fold_in(key, 1), -3.0, 2.0),
        jax.random.normal(jax.random.fold_in(key, 2), (2,)),
        a_classifier(jax.random.fold_in(key, 3)),
        uniform(jax.random.fold_in(key, 4), 1.5, 6.0),
    ),
    hints=[
        "jax.grad(log_p) is a function of the same arguments: call it with z and gamma.",
        "Multiply the whole rule for scores by −σ: what becomes of the second term?",
    ],
    slips=[
        (
            "eps - w",
            "eps + w",
            "The sign: the noise points away from the data, ε = −σ times the score, so uphill for the score is minus for ε.",
        ),
        (
            "w * sigma * uphill",
            "w * uphill",
            "The factor σ is missing: it turns a score into a noise.",
        ),
        (
            "w * sigma * uphill",
            "w * sigma**2 * uphill",
            "One σ is too many: ε = −σ times the score. (σ² is right in Tweedie's formula for α x.)",
        ),
        (
            "w * sigma * uphill",
            "w * uphill / sigma",
            "Dividing by σ turns a noise into a score; here a score is turned into a noise, so multiply.",
        ),
        (
            "jax.grad(log_p)(z, gamma)",
            "jax.grad(lambda z: jnp.exp(log_p(z, gamma)))(z)",
            "This is the gradient of the probability; Bayes' rule for scores has that of its logarithm.",
        ),
        (
            "jax.grad(log_p)(z, gamma)",
            "jax.grad(log_p)(z, -jnp.inf)",
            "This classifier believes that z is clean: tell it the noise level of z.",
        ),
    ],
    laws=[
        (
            "at scale 1, with Bayes' own classifier, it is the exact guess for the examples with the label",
            lambda f: (
                f(MEANS[0], jnp.asarray(0.5), ALL(MEANS[0], 0.5).eps, log_second, 1.0),
                SECOND(MEANS[0], 0.5).eps,
            ),
        ),
    ],
    ships=lambda z, gamma, eps, log_p, w: ClassifierGuided(saying(eps), log_p, w)(z, gamma).eps,
)

# %% [markdown]
# ## 9.3 · Dropping labels
# *difficulty ●○○ · 6 minutes*
#
# One network is to learn both guesses. So in training each example's label is hidden now and then: with probability
# `dropout`, when the random number `u` is below it, the network sees "none" in its place. Labels are 0 … `labels` − 1, and "none" needs a number of its own, the next one. Return the
# number that the network is shown. The line above the blanks draws a random number from 0 to 1; the function has to work under
# `jit`, so use `jnp.where(condition, a, b)`, which is `a` where the condition holds and `b` elsewhere.


# %% tags=["9.3"]
def label_seen(key, label, labels, dropout):
    """Return the label that the network sees in training."""
    drop_key, _ = jax.random.split(key)  # the other key is for the network itself
    u = jax.random.uniform(drop_key)
    ### BEGIN SOLUTION the number that stands for none
    none = labels
    ### END SOLUTION
    ### BEGIN SOLUTION the label or none
    return jnp.where(u < dropout, none, label)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "9.3",
    label_seen,
    inputs=lambda key: (
        jax.random.fold_in(key, 1),
        jax.random.randint(jax.random.fold_in(key, 2), (), 0, 4),
        jax.random.randint(jax.random.fold_in(key, 3), (), 5, 9),
        uniform(jax.random.fold_in(key, 4), 0.2, 0.8),
    ),
    hints=[
        "If labels are 0 … labels − 1, the first number that is not one of them is labels.",
        "A uniform number lies below `dropout` with just that probability.",
    ],
    slips=[
        (
            "u < dropout",
            "u > dropout",
            "This hides the labels that should be kept, and keeps those to hide: u lies below `dropout` with probability `dropout`.",
        ),
        (
            "none = labels",
            "none = labels - 1",
            "That number is a label already, the last one: the network would take the untold examples for examples of it.",
        ),
        (
            "none = labels",
            "none = 0",
            "0 is a label already: the network would take the untold examples for examples of it.",
        ),
        (
            "jnp.where(u < dropout, none, label)",
            "jnp.where(u < 1 / labels, none, label)",
            "The share of hidden labels is `dropout`, however many labels there are.",
        ),
    ],
    laws=[
        (
            "with dropout ¼ the package's network sees label 2 of 5 just as often, and none as often",
            lambda f: (shares(f), shares_by_net()),
        ),
        (
            "without dropout the label stays",
            lambda f: (
                jnp.stack([f(jax.random.key(i), jnp.asarray(3), 5, 0.0) for i in range(8)]),
                jnp.full(8, 3),
            ),
        ),
    ],
    ships=label_from_net,
)

# %% [markdown]
# ## 9.4 · Guidance as a temperature
# *difficulty ●●○ · 10 minutes*
#
# On a line, let the examples with the label be $\mathcal N(m, s^2)$ and let all examples look like $\mathcal N(M, B^2)$. At the noise level `gamma` the
# two are Gaussians with means $\alpha m$ and $\alpha M$ and variances $\alpha^2 s^2 + \sigma^2$ and $\alpha^2 B^2 + \sigma^2$. The score of a Gaussian is (mean − z)/variance, a
# straight line. The guided score, $(1 - w)$ times that of all examples plus $w$ times that of the label, is therefore a straight line too; as long as it falls, it is the score of a
# Gaussian. Return its mean and its variance.
#
# With $\alpha B$ far larger than both $\alpha s$ and σ the variance is about that of the label over $w$: as if cooled to the temperature $1/w$.


# %% tags=["9.4"]
def guided_gaussian(m, s, M, B, gamma, w):
    """Return the mean and the variance of the Gaussian whose score is the guided one."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma), jax.nn.sigmoid(gamma)
    told, untold = jnp.sqrt(alpha2) * m, jnp.sqrt(alpha2) * M  # the two means
    v_told, v_untold = alpha2 * s**2 + sigma2, alpha2 * B**2 + sigma2
    ### BEGIN SOLUTION one over the guided variance
    precision = w / v_told + (1 - w) / v_untold
    ### END SOLUTION
    ### BEGIN SOLUTION the guided mean
    mean = (w * told / v_told + (1 - w) * untold / v_untold) / precision
    ### END SOLUTION
    return mean, 1 / precision


# %% tags=["author"]
exercise(
    "9.4",
    guided_gaussian,
    inputs=two_gaussians,
    hints=[
        "Write the guided score as a − b z. For a Gaussian b is one over the variance, and a is the mean over the variance.",
        "b: each score contributes its own 1/variance, times its share, w or 1 − w.",
        "The mean is where the score is zero, a/b.",
    ],
    slips=[
        (
            "precision = w / v_told + (1 - w) / v_untold",
            "precision = 1 / (w * v_told + (1 - w) * v_untold)",
            "This mixes the variances; scores add, and a score has one over the variance.",
        ),
        (
            "precision = w / v_told + (1 - w) / v_untold",
            "precision = w / v_told",
            "That is the temperature alone, before a background of infinite width: all examples have a part, 1 − w, in the score.",
        ),
        (
            "precision = w / v_told + (1 - w) / v_untold",
            "precision = w / v_told + 1 / v_untold",
            "The score of all examples counts 1 − w times, for the push takes w times of it away.",
        ),
        (
            "precision = w / v_told + (1 - w) / v_untold",
            "precision = (1 - w) / v_told + w / v_untold",
            "The shares are exchanged: w belongs to the label.",
        ),
        (
            "mean = (w * told / v_told + (1 - w) * untold / v_untold) / precision",
            "mean = w * told + (1 - w) * untold",
            "The means count with their variances: the mean is where the guided score is zero. (With equal variances "
            "this would be right.)",
        ),
        (
            "mean = (w * told / v_told + (1 - w) * untold / v_untold) / precision",
            "mean = w * told / v_told + (1 - w) * untold / v_untold",
            "That is the guided score at z = 0, the mean over the variance: divide it by the precision.",
        ),
        (
            "mean = (w * told / v_told + (1 - w) * untold / v_untold) / precision",
            "mean = told",
            "The mean does not stay with the label: it moves away from that of all examples, by more the larger w.",
        ),
    ],
    laws=[
        (
            "scale 1 gives the label's own Gaussian",
            lambda f: (
                jnp.stack(f(0.5, 0.4, -0.3, 1.5, jnp.asarray(-1.0), 1.0)),
                jnp.stack(
                    [
                        jnp.sqrt(jax.nn.sigmoid(1.0)) * 0.5,
                        jax.nn.sigmoid(1.0) * 0.16 + jax.nn.sigmoid(-1.0),
                    ]
                ),
            ),
        ),
        (
            "where both have the same width the variance stays, and the mean overshoots: it goes w times as far",
            lambda f: (
                jnp.stack(f(1.0, 0.5, 0.0, 0.5, jnp.asarray(-30.0), 3.0)),
                jnp.array([3.0, 0.25]),
            ),
        ),
        (
            "before a very wide background the clean variance is s²/w",
            lambda f: (
                f(0.0, 0.6, 0.0, 1e3, jnp.asarray(-30.0), 4.0)[1],
                jnp.asarray(0.09),
            ),
        ),
    ],
    ships=mean_and_variance,
)

# %% [markdown]
# ## 9.5 · Where it breaks
# *difficulty ●●○ · 12 minutes*
#
# The guided score of 9.4 falls with $z$ as long as the `precision` is positive; then it calls $z$ back to some mean. At precision 0 it is level, and
# beyond it rises: it drives $z$ away, to infinity. Find the scale at which that happens, the largest $w$ for which all smaller ones from 1 on are
# fine, at the noise level `gamma`; $s$ is the width of the label and $B$ that of all examples. (A true label is never the wider one, but a network's guesses need not fit together, and a second label may stand in place of "none".)
#
# If the label is not the wider of the two, $s \le B$, it never happens: return infinity, `jnp.inf`. The lines above the blanks
# give the two variances at this noise level. (`jnp.where(condition, a, b)` is `a` where the condition holds and `b` elsewhere.)


# %% tags=["9.5"]
def largest_scale(s, B, gamma):
    """Return the scale at which the guided score stops calling z back."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma), jax.nn.sigmoid(gamma)
    v_told, v_untold = alpha2 * s**2 + sigma2, alpha2 * B**2 + sigma2
    ### BEGIN SOLUTION the scale at which w/v_told + (1 − w)/v_untold is zero
    w = v_told / (v_told - v_untold)
    ### END SOLUTION
    ### BEGIN SOLUTION that, or infinity if the label is the narrower one
    return jnp.where(v_told > v_untold, w, jnp.inf)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "9.5",
    largest_scale,
    inputs=lambda key: (
        jnp.where(
            jax.random.bernoulli(jax.random.fold_in(key, 3)), 0.3, uniform(key, 0.9, 1.6)
        ),
        uniform(jax.random.fold_in(key, 1), 0.4, 0.8),
        uniform(jax.random.fold_in(key, 2), -3.0, 1.0),
    ),
    hints=[
        "Multiply w/v_told + (1 − w)/v_untold = 0 by both variances and solve for w.",
        "w v_untold + (1 − w) v_told = 0.",
        "For s < B the formula gives a negative number, the answer to another question: use jnp.where.",
    ],
    slips=[
        (
            "w = v_told / (v_told - v_untold)",
            "w = v_untold / (v_told - v_untold)",
            "This is one too small: it is the zero of (1 + w)/v_told − w/v_untold, counted as Ho and Salimans do.",
        ),
        (
            "w = v_told / (v_told - v_untold)",
            "w = v_told / (v_untold - v_told)",
            "The sign: with a label wider than all, the scale where it breaks is positive.",
        ),
        (
            "w = v_told / (v_told - v_untold)",
            "w = s**2 / (s**2 - B**2)",
            "That is the limit for clean data; noise makes the two variances more alike, and the limit larger.",
        ),
        (
            "jnp.where(v_told > v_untold, w, jnp.inf)",
            "w",
            "For a label narrower than its background this gives a scale below 0, but from 1 on nothing ever breaks there: "
            "return infinity.",
        ),
        (
            "jnp.where(v_told > v_untold, w, jnp.inf)",
            "jnp.where(v_told > v_untold, jnp.inf, w)",
            "The two cases are exchanged: it is the wide label that breaks.",
        ),
    ],
    laws=[
        (
            "a label narrower than its background never breaks",
            lambda f: (
                jnp.isinf(f(jnp.asarray(0.5), jnp.asarray(1.5), jnp.asarray(-1.0))),
                jnp.asarray(True),
            ),
        ),
        (
            "for clean data with s = 1 and B = 0.8 the limit is 1/0.36, between the scales 2 and 3 of the lesson's table",
            lambda f: (
                f(jnp.asarray(1.0), jnp.asarray(0.8), jnp.asarray(-30.0)),
                jnp.asarray(1 / 0.36),
            ),
        ),
    ],
    ships=scale_without_slope,
)

# %% [markdown]
# ## Now import it
#
# What you wrote is in `vdmlite.neighbours.guidance`: `ClassifierFree` (9.1), `ClassifierGuided` (9.2), and in training `LabelNet` drops
# labels as you did (9.3). Exercises 9.4 and 9.5 are `ClassifierFree` with two `GaussianDenoiser`s, read off its score.
