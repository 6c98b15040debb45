# %% [markdown]
# # 09 · Guidance: exercises
#
# *Six exercises, about 80 minutes · belongs to lesson 09*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment
# the hint. Every check stands alone: go on to the next one whenever you like. The last exercise is a **build**:
# harder, and your own.

# %% tags=["imports"]
import jax
import jax.numpy as jnp
import numpy as np

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


def free_guess(z, gamma, conditional, unconditional, w):
    """ε̃ and x̃ from the package's classifier-free guidance."""
    guess = ClassifierFree(saying(conditional), saying(unconditional), w)(z, gamma)
    return guess.eps, guess.x


def log_second(z, gamma):
    """Log p(second spot | z), by Bayes' rule."""
    return jax.nn.log_softmax(ALL.diffused(gamma).component_log_prob(z))[1]


def a_classifier(key):
    """The log-probability that a classifier, linear in z, gives to one of three labels."""
    weights = 1.5 * jax.random.normal(key, (3, 2))
    return lambda z, gamma: jax.nn.log_softmax(weights @ z / (1 + jnp.exp(gamma / 2)))[0]


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
# A network was asked twice about the latent `z` at the noise level `gamma`. With the label it guessed the noise
# `conditional`, without it `unconditional`. Classifier-free guidance goes from the unconditional guess in the
# direction of the conditional one, `w` times as far: $w = 0$ leaves it where it is, $w = 1$ arrives at the
# conditional guess, and larger scales go beyond. Return the guided guess of the noise, $\tilde\varepsilon$, and the
# guess of the data that belongs to it, $\tilde x$, for which $\alpha \tilde x + \sigma \tilde\varepsilon = z$.
#
# (Some papers and programs count from the other end: Ho and Salimans write
# $(1 + w)\, \hat\varepsilon(z \mid c) - w\, \hat\varepsilon(z)$, and their $w$ is ours less one.)


# %% tags=["9.1"]
def guided_guess(z, gamma, conditional, unconditional, w):
    """Return the guided guesses (ε̃, x̃)."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    ### BEGIN SOLUTION what the label adds to the guess of the noise
    push = conditional - unconditional
    ### END SOLUTION
    ### BEGIN SOLUTION the guided guess of the noise
    eps = unconditional + w * push
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
        "Which vector leads from the unconditional guess to the conditional one? Where are "
        "you at w = 0, and where at w = 1?",
        "z = α x + σ ε holds for the two guided guesses as well.",
    ],
    slips=[
        (
            "eps = unconditional + w * push",
            "eps = conditional + w * push",
            "This starts from the conditional guess, the other way to count: here scale 1 "
            "must be the conditional guess itself.",
        ),
        (
            "push = conditional - unconditional",
            "push = unconditional - conditional",
            "This goes away from the label: the push is conditional − unconditional.",
        ),
        (
            "push = conditional - unconditional",
            "push = conditional",
            "This adds the conditional guess to the unconditional one, so that at scale 1 the "
            "noise would be counted twice: the "
            "label adds only the difference.",
        ),
        (
            "eps = unconditional + w * push",
            "eps = w * push",
            "The unconditional guess, where the walk starts, is missing.",
        ),
        (
            "x = (z - sigma * eps) / alpha",
            "x = (z - sigma * conditional) / alpha",
            "This x belongs to the conditional guess; take the guided one.",
        ),
        (
            "x = (z - sigma * eps) / alpha",
            "x = (z - sigma * unconditional) / alpha",
            "This x belongs to the unconditional guess; take the guided one.",
        ),
        (
            "x = (z - sigma * eps) / alpha",
            "x = z - sigma * eps",
            "That is α x: divide by α.",
        ),
        (
            "x = (z - sigma * eps) / alpha",
            "x = (z - alpha * eps) / sigma",
            "The scales are exchanged: α belongs to the data, σ to the noise.",
        ),
    ],
    laws=[
        (
            "scale 0 is the unconditional guess, and scale 1 the conditional one",
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
# Now there is one denoiser, which guessed the noise `eps` at `z`, and a classifier. `log_p(z, gamma)` is the
# logarithm of the probability that it gives to the label we ask for; it knows noisy data. By Bayes' rule the score
# becomes
#
# $$ \nabla \log q(z) + w\, \nabla \log p(c \mid z) , $$
#
# and the score and the noise are the same knowledge, $\hat\varepsilon = -\sigma\, \nabla \log q(z)$. Return the
# guided guess of the noise. (`jax.grad(f)` is the function that returns the gradient of `f` by its first argument.)


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
            "The sign: the noise points away from the data, ε = −σ times the score, so uphill "
            "for the score is minus for ε.",
        ),
        (
            "w * sigma * uphill",
            "w * uphill",
            "The factor σ is missing: it turns a score into a noise.",
        ),
        (
            "w * sigma * uphill",
            "w * sigma**2 * uphill",
            "One σ is too many: ε = −σ times the score. (σ² is right in Tweedie's formula for "
            "α x.)",
        ),
        (
            "w * sigma * uphill",
            "w * uphill / sigma",
            "Dividing by σ turns a noise into a score; here a score is turned into a noise, "
            "so multiply.",
        ),
        (
            "jax.grad(log_p)(z, gamma)",
            "jax.grad(lambda z: jnp.exp(log_p(z, gamma)))(z)",
            "This is the gradient of the probability; Bayes' rule for scores has that of its "
            "logarithm.",
        ),
        (
            "jax.grad(log_p)(z, gamma)",
            "jax.grad(log_p)(z, -jnp.inf)",
            "This classifier believes that z is clean: tell it the noise level of z.",
        ),
    ],
    laws=[
        (
            "at scale 1, with Bayes' own classifier, it is the exact guess for the examples "
            "with the label",
            lambda f: (
                f(MEANS[0], jnp.asarray(0.5), ALL(MEANS[0], 0.5).eps, log_second, 1.0),
                SECOND(MEANS[0], 0.5).eps,
            ),
        ),
    ],
    ships=lambda z, gamma, eps, log_p, w: ClassifierGuided(saying(eps), log_p, w)(z, gamma).eps,
)

# %% [markdown]
# ## 9.3 · How often to drop a label
# *difficulty ●●○ · 12 minutes*
#
# One network is to learn both guesses. So in training each example's label is hidden now and then, and the network
# sees "none" in its place. Labels are 0 … `labels` − 1, all equally frequent, and "none" needs a whole number of its
# own, the next one.
#
# How often? You want the network to see "none" `ratio` times as often as *each* single label that it still sees: at
# `ratio` 1, with nine labels, every tenth example is shown without. Find the probability of hiding first. Return it,
# and the number that the network is shown for an example with the label `label`. The random number `chance` is even
# between 0 and 1; hide the label if it is below the probability, so that your choice is the check's. It has to run
# under `jit` and `vmap`, where no `if` can ask a number: `jnp.where(condition, a, b)` is `a` where the condition
# holds and `b` elsewhere.


# %% tags=["9.3"]
def label_seen(chance, label, labels, ratio):
    """Return (the probability of hiding, the number that the network is shown in training)."""
    ### BEGIN SOLUTION the probability of hiding a label
    dropout = ratio / (labels + ratio)
    ### END SOLUTION
    ### BEGIN SOLUTION the number that stands for none
    none = labels
    ### END SOLUTION
    ### BEGIN SOLUTION the label or none
    shown = jnp.where(chance < dropout, none, label)
    ### END SOLUTION
    return dropout, shown


# %% tags=["author"]
def near_the_edge(key):
    """A random number just below or just above the probability, a label, and what it depends on."""
    keys = jax.random.split(key, 4)
    labels = int(jax.random.randint(keys[0], (), 3, 9))
    ratio = uniform(keys[1], 0.5, 3.0)
    edge = ratio / (labels + ratio)
    chance = edge * jnp.where(jax.random.bernoulli(keys[2]), 0.97, 1.03)
    return chance, jax.random.randint(keys[3], (), 0, labels - 1), labels, ratio


exercise(
    "9.3",
    label_seen,
    inputs=near_the_edge,
    hints=[
        "Call the probability d. A single label is seen as itself in how many of all "
        "examples? And none?",
        "The labels that stay are a share 1 − d of all examples, in `labels` equal parts. "
        "None is `ratio` times one of them: one equation for d.",
        "If labels are 0 … labels − 1, which is the first number that is not one of them?",
    ],
    slips=[
        (
            "chance < dropout",
            "chance > dropout",
            "This hides the labels that should be kept, and keeps those to hide: `chance` "
            "lies below d with probability d.",
        ),
        (
            "ratio / (labels + ratio)",
            "ratio / labels",
            "The labels that stay are seen less often, too, once some are hidden: each in (1 "
            "− d)/labels of all examples.",
        ),
        (
            "ratio / (labels + ratio)",
            "ratio / (labels + 1)",
            "This is right for ratio 1 only. Write down both shares and solve for d.",
        ),
        (
            "ratio / (labels + ratio)",
            "1 / (labels + ratio)",
            "That is the share of each label that is still seen; none is seen `ratio` times "
            "as often.",
        ),
        (
            "ratio / (labels + ratio)",
            "ratio / (1 + ratio)",
            "With this none is seen `ratio` times as often as all labels together.",
        ),
        (
            "none = labels",
            "none = labels - 1",
            "That number is a label already, the last one: the network would take the "
            "unlabelled examples for examples of it.",
        ),
        (
            "none = labels",
            "none = 0",
            "0 is a label already: the network would take the unlabelled examples for "
            "examples of it.",
        ),
        (
            "none = labels",
            "none = -1",
            "−1 is no whole number from 0 on, and in a table of rows it is the last row by "
            "accident only: none is the number after the last label.",
        ),
    ],
    laws=[
        (
            "with 5 labels and ratio 2 the network sees each label in a seventh of many "
            "examples, and none in two",
            lambda f: (shares(f), jnp.array([1, 1, 1, 1, 1, 2]) / 7),
        ),
        (
            "what is shown is a whole number, so that it can look up a row of a table",
            lambda f: (
                jnp.arange(10)[
                    shown_by(f)(jnp.asarray(0.9), jnp.asarray(3), 5, jnp.asarray(1.0))
                ],
                jnp.asarray(3),
            ),
        ),
        (
            "the package's network, told that probability, is shown the same",
            lambda f: shown_alike(f),
        ),
    ],
)


def shown_by(f):
    """The number that f shows, under jit; an error there becomes a sentence."""

    def run(*args):
        try:
            return jax.jit(f)(*args)[1]
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerIntegerConversionError):
            raise ValueError("under jit no if, float() or int() can ask a number") from None

    return run


def shares(f):
    """How often each of five labels and none is seen, at ratio 2, over an even comb."""
    chance, label = jnp.meshgrid((jnp.arange(700) + 0.5) / 700, jnp.arange(5))
    show = lambda chance, label: shown_by(f)(chance, label, 5, jnp.asarray(2.0))  # noqa: E731
    seen = jax.vmap(show)(chance.ravel(), label.ravel())
    return jnp.stack([jnp.mean(seen == i) for i in range(6)])


def shown_alike(f, draws=200):
    """f and the package's `LabelNet` on the same random numbers, at ratio 2 of 5 labels."""
    net = LabelNet(
        lambda shape: lambda h, gamma, key=None: h[1:],
        (1,),
        labels=5,
        dropout=2 / 7,
        key=jax.random.key(0),
    )
    keys = jax.random.split(jax.random.key(1), draws)
    chance = jax.vmap(lambda key: jax.random.uniform(jax.random.split(key)[0]))(keys)
    rows = jax.vmap(lambda key: net(jnp.zeros(1), 0.0, jnp.asarray(2), key=key))(keys)
    theirs = jnp.argmin(jnp.sum((net.table[None] - rows[:, None]) ** 2, axis=2), axis=1)
    show = lambda chance: shown_by(f)(chance, jnp.asarray(2), 5, jnp.asarray(2.0))  # noqa: E731
    return jax.vmap(show)(chance), theirs


# %% [markdown]
# ## 9.4 · Guidance as a temperature
# *difficulty ●●○ · 10 minutes*
#
# On a line, let the examples with the label be $\mathcal N(m, s^2)$ and let all examples look like
# $\mathcal N(M, B^2)$. At the noise level `gamma` the two are Gaussians with means $\alpha m$ and $\alpha M$ and
# variances $\alpha^2 s^2 + \sigma^2$ and $\alpha^2 B^2 + \sigma^2$. The score of a Gaussian is (mean − z)/variance, a
# straight line. The guided score, $(1 - w)$ times that of all examples plus $w$ times that of the label, is therefore
# a straight line too; as long as it falls, it is the score of a Gaussian. Return its mean and its variance.
#
# With $\alpha B$ far larger than both $\alpha s$ and σ the variance is about that of the label over $w$: as if cooled
# to the temperature $1/w$.


# %% tags=["9.4"]
def guided_gaussian(m, s, M, B, gamma, w):
    """Return the mean and the variance of the Gaussian whose score is the guided one."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma), jax.nn.sigmoid(gamma)
    m_with, m_without = jnp.sqrt(alpha2) * m, jnp.sqrt(alpha2) * M  # the two means
    v_with, v_without = alpha2 * s**2 + sigma2, alpha2 * B**2 + sigma2
    ### BEGIN SOLUTION one over the guided variance
    precision = w / v_with + (1 - w) / v_without
    ### END SOLUTION
    ### BEGIN SOLUTION the guided mean
    mean = (w * m_with / v_with + (1 - w) * m_without / v_without) / precision
    ### END SOLUTION
    return mean, 1 / precision


# %% tags=["author"]
exercise(
    "9.4",
    guided_gaussian,
    inputs=two_gaussians,
    hints=[
        "Write the guided score as a − b z. What are a and b for one Gaussian?",
        "What does each of the two scores, with its share w or 1 − w, contribute to b?",
        "The mean is where the score is zero.",
    ],
    slips=[
        (
            "precision = w / v_with + (1 - w) / v_without",
            "precision = 1 / (w * v_with + (1 - w) * v_without)",
            "This mixes the variances; scores add, and a score has one over the variance.",
        ),
        (
            "precision = w / v_with + (1 - w) / v_without",
            "precision = w / v_with",
            "That is the temperature alone, before a background of infinite width: all "
            "examples have a part, 1 − w, in the score.",
        ),
        (
            "precision = w / v_with + (1 - w) / v_without",
            "precision = w / v_with + 1 / v_without",
            "The score of all examples counts 1 − w times, for the push takes w times of it "
            "away.",
        ),
        (
            "precision = w / v_with + (1 - w) / v_without",
            "precision = (1 - w) / v_with + w / v_without",
            "The shares are exchanged: w belongs to the label.",
        ),
        (
            "mean = (w * m_with / v_with + (1 - w) * m_without / v_without) / precision",
            "mean = w * m_with + (1 - w) * m_without",
            "The means count with their variances: the mean is where the guided score is "
            "zero. (With equal variances "
            "this would be right.)",
        ),
        (
            "mean = (w * m_with / v_with + (1 - w) * m_without / v_without) / precision",
            "mean = w * m_with / v_with + (1 - w) * m_without / v_without",
            "That is the guided score at z = 0, the mean over the variance: divide it by the "
            "precision.",
        ),
        (
            "mean = (w * m_with / v_with + (1 - w) * m_without / v_without) / precision",
            "mean = m_with",
            "The mean does not stay with the label: it moves away from that of all examples, "
            "by more the larger w.",
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
            "where both have the same width the variance stays, and the mean overshoots: it "
            "goes w times as far",
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
# The guided score of 9.4 falls with $z$ as long as the `precision` is positive; then it calls $z$ back to some mean.
# At precision 0 it is level, and beyond it rises: it drives $z$ away, to infinity. Find the scale at which that
# happens, the largest $w$ for which all smaller ones from 1 on are fine, at the noise level `gamma`; $s$ is the width
# of the label and $B$ that of all examples. (A true label is never the wider one, but a network's guesses need not
# fit together, and a second label may stand in place of "none".)
#
# If the label is not the wider of the two, $s \le B$, it never happens: return infinity, `jnp.inf`. The lines above
# the blanks give the two variances at this noise level. (`jnp.where(condition, a, b)` is `a` where the condition
# holds and `b` elsewhere.)


# %% tags=["9.5"]
def largest_scale(s, B, gamma):
    """Return the scale at which the guided score stops calling z back."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma), jax.nn.sigmoid(gamma)
    v_with, v_without = alpha2 * s**2 + sigma2, alpha2 * B**2 + sigma2
    ### BEGIN SOLUTION the scale at which w/v_with + (1 − w)/v_without is zero
    w = v_with / (v_with - v_without)
    ### END SOLUTION
    ### BEGIN SOLUTION that, or infinity if the label is the narrower one
    return jnp.where(v_with > v_without, w, jnp.inf)
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
        "9.4 has the guided precision as a function of w. Where is it zero?",
        "Multiply it by both variances: what is left is linear in w.",
        "For s < B the formula gives a negative number, the answer to another question: use "
        "jnp.where.",
    ],
    slips=[
        (
            "w = v_with / (v_with - v_without)",
            "w = v_without / (v_with - v_without)",
            "This is one too small: it is the zero of (1 + w)/v_with − w/v_without, counted "
            "as Ho and Salimans do.",
        ),
        (
            "w = v_with / (v_with - v_without)",
            "w = v_with / (v_without - v_with)",
            "The sign: with a label wider than all, the scale where it breaks is positive.",
        ),
        (
            "w = v_with / (v_with - v_without)",
            "w = s**2 / (s**2 - B**2)",
            "That is the limit for clean data; noise makes the two variances more alike, and "
            "the limit larger.",
        ),
        (
            "jnp.where(v_with > v_without, w, jnp.inf)",
            "w",
            "For a label narrower than its background this gives a scale below 0, but from 1 "
            "on nothing ever breaks there: "
            "return infinity.",
        ),
        (
            "jnp.where(v_with > v_without, w, jnp.inf)",
            "jnp.where(v_with > v_without, jnp.inf, w)",
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
            "for clean data with s = 1 and B = 0.8 the limit is 1/0.36, between the scales 2 "
            "and 3 of the lesson's table",
            lambda f: (
                f(jnp.asarray(1.0), jnp.asarray(0.8), jnp.asarray(-30.0)),
                jnp.asarray(1 / 0.36),
            ),
        ),
    ],
    ships=scale_without_slope,
)

# %% [markdown]
# ## 9.6 · Build: predict the width of guided walks
# *difficulty ●●● · 30 minutes · build*
#
# The lesson's table of temperatures has a formula for the flow. For the ancestral walk it has measured widths only.
# Predict them.
#
# The label's examples are $\mathcal N(0, s^2)$, all examples look like $\mathcal N(0, B^2)$, and the guided guess of
# the noise is $\tilde\varepsilon = (1 - w)\, \hat\varepsilon(z) + w\, \hat\varepsilon(z \mid c)$, with both guesses
# exact. Many walks begin in pure noise at γ = 12, with variance 1, and go down to γ = −8 in very many ancestral steps
# of lesson 08. Each goes from $z_t$ to the mean
# $\frac{\alpha_s}{\alpha_t}(z_t - \kappa\, \sigma_t\, \tilde\varepsilon)$, where
# $\kappa = 1 - e^{\gamma_s - \gamma_t}$ (there called $c$), and adds fresh noise of variance $\sigma_s^2\, \kappa$.
# Return the width of the walks at the end, their standard deviation, to within two per cent.
#
# You need not draw anything: every step is linear in $z$. What does one step do to a variance? Then let the program
# take the steps; it may be plain NumPy, and a `for` loop.
#
# Before you run the check, predict by thought: will the walks be narrower or wider than the flow, $s^w B^{1-w}$, and
# than the tilted density? And compare your function with the lesson's measurements: for $s = 0.5$, $B = 1.5$ at the
# scales 2, 3 and 4. (The lesson's 400 steps are not quite fine enough, and make walks a little narrow.)


# %% tags=["9.6"]
def walk_width(s, B, w):
    """Return the standard deviation of guided ancestral walks at their end."""
    ### BEGIN SOLUTION the width: the whole body is yours
    gammas = np.linspace(12.0, -8.0, 4001)
    alpha2, sigma2 = 1 / (1 + np.exp(gammas)), 1 / (1 + np.exp(-gammas))
    kappa = -np.expm1(np.diff(gammas))
    # A Gaussian's guess of the noise is σ z over its variance, so the guided one is σ z · precision.
    precision = w / (alpha2 * s**2 + sigma2) + (1 - w) / (alpha2 * B**2 + sigma2)
    factor = np.sqrt(alpha2[1:] / alpha2[:-1]) * (1 - kappa * (sigma2 * precision)[:-1])
    fresh = sigma2[1:] * kappa
    V = 1.0
    for a, b in np.transpose([factor, fresh]):
        V = a**2 * V + b
    return np.sqrt(V)
    ### END SOLUTION


# %% tags=["author"]
def walked_width(s, B, w, steps=1000, count=20_000):
    """The width of guided walks that are drawn, one step after the other."""
    random = np.random.default_rng(9)
    gammas = np.linspace(12.0, -8.0, steps + 1)
    z = random.standard_normal(count)
    for t, below in zip(gammas, gammas[1:], strict=False):
        sigma2, c = 1 / (1 + np.exp(-t)), -np.expm1(below - t)
        alpha2 = 1 - sigma2
        wide, narrow = (sigma2 * z / (alpha2 * v**2 + sigma2) for v in (B, s))  # σ ε̂ of each
        z = np.sqrt((1 + np.exp(t)) / (1 + np.exp(below))) * (
            z - c * (wide + w * (narrow - wide))
        )
        z = z + np.sqrt(c / (1 + np.exp(-below))) * random.standard_normal(count)
    return z.std()


def width_by_the_package(s, B, w, steps=4000):
    """The same recursion over the package's posterior: at z = 1 a step's mean is its factor."""
    one, guided = jnp.ones(1), ClassifierFree(noise_guess(0.0, s), noise_guess(0.0, B), w)
    gammas = jnp.linspace(12.0, -8.0, steps + 1)

    def step(V, levels):
        low, high = levels
        move = vdmlite.posterior(one, guided(one, high).x, low, high)
        return move.mean[0] ** 2 * V + move.std**2, None

    return jnp.sqrt(jax.lax.scan(step, jnp.ones(()), (gammas[1:], gammas[:-1]))[0])


exercise(
    "9.6",
    walk_width,
    inputs=lambda key: tuple(
        float(uniform(jax.random.fold_in(key, i), *ends))
        for i, ends in enumerate(((0.4, 1.0), (0.6, 2.0), (1.5, 4.0)))
    ),
    hints=[
        "For data N(0, s²) the latent has the variance α² s² + σ². What is the exact guess of "
        "the noise in z then? It is a multiple of z.",
        "A step multiplies z by a factor, and adds noise that is independent of z. What "
        "happens to the variance?",
        "The factor takes γ_t, where the guess is made, but for the change of scale; the "
        "fresh noise belongs to γ_s. Check with w = 1: the width must come out as s.",
    ],
    slips=[
        (
            "return np.sqrt(V)",
            "return V",
            "That is the variance; the width is its root.",
        ),
        (
            "return np.sqrt(V)",
            "return s**w * B ** (1 - w)",
            "That is the width of the flow. The ancestral walk is shaken at every step, and "
            "the shaking widens it.",
        ),
        (
            "return np.sqrt(V)",
            "return (w / s**2 + (1 - w) / B**2) ** -0.5",
            "That is the width of the tilted density, which no walk has to follow.",
        ),
        (
            "return np.sqrt(V)",
            "return s / np.sqrt(w)",
            "That is the temperature 1/w before a very wide background, at one noise level; a "
            "walk goes through all of them.",
        ),
        (
            "V = a**2 * V + b",
            "V = a**2 * V",
            "The fresh noise of each step is missing.",
        ),
        (
            "V = a**2 * V + b",
            "V = a * V + b",
            "What multiplies z multiplies its variance by the square.",
        ),
        (
            "V = a**2 * V + b",
            "V = a**2 * V + b**0.5",
            "Variances of independent things add; the root of the fresh noise's variance is "
            "its standard deviation.",
        ),
        (
            "w / (alpha2 * s**2 + sigma2) + (1 - w) / (alpha2 * B**2 + sigma2)",
            "1 / (w * (alpha2 * s**2 + sigma2) + (1 - w) * (alpha2 * B**2 + sigma2))",
            "This mixes the variances of the two; guesses of noise are mixed, and each has "
            "one over its variance.",
        ),
        (
            "w / (alpha2 * s**2 + sigma2) + (1 - w) / (alpha2 * B**2 + sigma2)",
            "w / (alpha2 * s**2 + sigma2)",
            "The guess without the label has a part, 1 − w, too.",
        ),
        (
            "w / (alpha2 * s**2 + sigma2) + (1 - w) / (alpha2 * B**2 + sigma2)",
            "w / (alpha2 * s + sigma2) + (1 - w) / (alpha2 * B + sigma2)",
            "s and B are standard deviations: the variance of the latent is α² s² + σ².",
        ),
        (
            "np.sqrt(alpha2[1:] / alpha2[:-1])",
            "1",
            "The change of scale, α_s/α_t, is missing: on the way down the signal grows.",
        ),
    ],
    laws=[
        ("at scale 1 the walks have the label's width", lambda f: (f(0.6, 1.7, 1.0), 0.6)),
        ("at scale 0 they have the width of all examples", lambda f: (f(0.6, 1.7, 0.0), 1.7)),
        (
            "it is the width of twenty thousand walks that were drawn, s = 0.5, B = 1.5, "
            "scale 3; the flow's would be 0.056, the "
            "tilted density's 0.3",
            lambda f: (f(0.5, 1.5, 3.0), walked_width(0.5, 1.5, 3.0)),
        ),
        (
            "a label wider than its background gets wider still, without end: s = 1, B = 0.8, "
            "scale 4",
            lambda f: (f(1.0, 0.8, 4.0), walked_width(1.0, 0.8, 4.0)),
        ),
    ],
    ships=width_by_the_package,
    # In pure noise a walk forgets its start; a little above or below the ends nothing happens.
    # For short steps 1 − e^−h is h. And twice the noise at all levels is a shift of γ.
    equivalent=[
        "V = 2.0",
        "gammas = np.linspace(13.0, -8.0, 4001)",
        "gammas = np.linspace(12.0, -8.0, 4002)",
        "gammas = np.linspace(12.0, -9.0, 4001)",
        "kappa = -np.diff(gammas)",
        "alpha2, sigma2 = (1 / (1 + np.exp(gammas)), 2 / (1 + np.exp(-gammas)))",
    ],
    tolerance=0.02,
)

# %% [markdown]
# ## Now import it
#
# What you wrote is in `vdmlite.neighbours.guidance`: `ClassifierFree` (9.1) and `ClassifierGuided` (9.2); in training
# `LabelNet` drops labels as you did, with the probability that you tell it (9.3). Exercises 9.4 to 9.6 are
# `ClassifierFree` with two `GaussianDenoiser`s: its score, and what a walk makes of it.
