"""Built from solutions/09_guidance.py. Do not edit."""


import jax
import jax.numpy as jnp
import numpy as np

from vdmlite.course import check, hint, solution, todo


import vdmlite
from vdmlite.course import exercise
from vdmlite.neighbours.guidance import ClassifierFree, ClassifierGuided, LabelNet

MEANS = jnp.array([[-0.8, 0.2], [0.6, 0.5], [0.4, -0.9]])
SPOTS = vdmlite.Mixture(jnp.array([0.4, 0.35, 0.25]), MEANS, jnp.array([0.3, 0.4, 0.5]))
ALL = vdmlite.MixtureDenoiser(SPOTS)


def saying(eps):
    """A denoiser that guesses the same noise wherever it is asked."""
    return vdmlite.NetDenoiser(lambda z, gamma, key=None: eps)


def several_labels(z, gamma, unconditional, conditional, scales):
    """ε̃ and x̃ from the package's classifier-free guidance, one label after the other."""
    none = saying(unconditional)
    guided = [
        ClassifierFree(saying(y), none, w)(z, gamma).eps
        for y, w in zip(conditional, scales, strict=True)
    ]
    guess = vdmlite.from_eps(sum(guided) - (len(guided) - 1) * unconditional, z, gamma)
    return guess.eps, guess.x


def guided_through_the_guess(z, gamma, guess, log_p, w):
    """ε̃ from the package's classifier guidance, with a classifier that asks the denoiser."""
    denoiser = vdmlite.NetDenoiser(lambda z, gamma, key=None: guess(z, gamma), vdmlite.from_x)
    return ClassifierGuided(denoiser, lambda z, gamma: log_p(guess(z, gamma)), w)(z, gamma).eps


def a_clean_classifier(key):
    """The log-probability that a classifier, linear in x, gives to one of three labels."""
    weights = 1.5 * jax.random.normal(key, (3, 2))
    return lambda x: jax.nn.log_softmax(weights @ x)[0]


def uniform(key, low, high, *also):
    """One number, or an array of the shape that follows."""
    return jax.random.uniform(key, also, minval=low, maxval=high)


def two_gaussians(key, s=(0.3, 0.7), B=(1.2, 2.0)):
    """A label N(m, s²) and all examples N(M, B²), and a noise level."""
    keys = jax.random.split(key, 5)
    return (
        uniform(keys[0], -1.0, 1.0),
        uniform(keys[1], *s),
        uniform(keys[2], -1.0, 1.0),
        uniform(keys[3], *B),
        uniform(keys[4], -3.0, 1.0),
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


def scale_by_the_package(m, s, M, B, gamma, share):
    """The scale and the mean, from the slopes of the package's guided score, linear in w."""
    slope = [line_of(m, s, M, B, gamma, w)[1] for w in (0.0, 1.0)]
    w = (slope[1] / share - slope[0]) / (slope[1] - slope[0])
    return w, mean_and_variance(m, s, M, B, gamma, w)[0]


def scale_without_slope(s, B, gamma):
    """The scale at which the package's guided score is level: its slope is linear in w."""
    slope = [line_of(0.0, s, 0.0, B, gamma, w)[1] for w in (0.0, 1.0)]
    return jnp.where(s > B, slope[0] / (slope[0] - slope[1]), jnp.inf)


def guided_guess(z, gamma, unconditional, conditional, scales):
    """Return the guided guesses (ε̃, x̃)."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    pushes = conditional - unconditional[None]
    eps = unconditional + scales @ pushes
    x = (z - sigma * eps) / alpha
    return eps, x


def with_both(z, gamma, *means):
    """The exact guess for numbers of width 0.5 with these means."""
    data = vdmlite.Gaussian(jnp.array(means), jnp.asarray(0.5))
    return vdmlite.GaussianDenoiser(data)(z, gamma).eps


exercise(
    "9.1",
    guided_guess,
    inputs=lambda key: (
        jax.random.normal(key, (3,)),
        uniform(jax.random.fold_in(key, 1), -3.0, 2.0),
        jax.random.normal(jax.random.fold_in(key, 2), (3,)),
        jax.random.normal(jax.random.fold_in(key, 3), (2, 3)),
        jnp.array([1.5, -1.0]) + uniform(jax.random.fold_in(key, 4), 0.0, 3.0, 2),
    ),
    hints=[
        "The logarithm of a product is a sum. So how many pushes are there, and from which guess does each of them set out?",
        "With all scales 0 you stay at the unconditional guess. `scales @ rows` is the sum of the rows, each times its scale.",
        "Signal and noise of the guided guesses make up z, like those of any guess.",
    ],
    slips=[
        (
            "unconditional + scales @ pushes",
            "scales @ conditional",
            "The unconditional guess is missing: Bayes' rule begins with the score of all examples, and each label adds a push to it.",
        ),
        (
            "unconditional + scales @ pushes",
            "unconditional + scales @ conditional",
            "A push is not a guess: it leads from the unconditional guess to that with the label.",
        ),
        (
            "unconditional + scales @ pushes",
            "scales @ pushes",
            "That is the push alone. It sets out from the unconditional guess.",
        ),
        (
            "unconditional + scales @ pushes",
            "unconditional + scales @ pushes / len(scales)",
            "Bayes' rule adds the pushes of the labels; this takes their mean.",
        ),
        (
            "unconditional + scales @ pushes",
            "unconditional + scales @ jnp.diff(conditional, axis=0, prepend=unconditional[None])",
            "Each push sets out from the unconditional guess, not from the guess with the label before.",
        ),
        (
            "conditional - unconditional[None]",
            "unconditional[None] - conditional",
            "The push leads the other way, away from the labels.",
        ),
        (
            "(z - sigma * eps) / alpha",
            "(z - sigma * unconditional) / alpha",
            "That is the guess of the data without guidance: it fits the unconditional guess of the noise.",
        ),
        (
            "(z - sigma * eps) / alpha",
            "(z - alpha * eps) / sigma",
            "α and σ are exchanged: z = α x + σ ε.",
        ),
        (
            "(z - sigma * eps) / alpha",
            "z - sigma * eps",
            "That is α x̃, the signal in z. Divide by α.",
        ),
        (
            "scales @ pushes",
            "(scales / jnp.sum(scales)) @ pushes",
            "The scales need not add up to 1: each label is pushed for as loudly as it is asked for.",
        ),
        (
            "scales @ pushes",
            "jnp.maximum(scales, 0) @ pushes",
            "A negative scale pushes away from its label; it is not the same as none.",
        ),
        (
            "scales @ pushes",
            "jnp.abs(scales) @ pushes",
            "A negative scale pushes away from its label.",
        ),
    ],
    laws=[
        (
            "a single label at scale 1 is its own guess",
            lambda f: (
                f(MEANS[0], jnp.asarray(0.5), MEANS[1], MEANS[2:], jnp.ones(1))[0],
                MEANS[2],
            ),
        ),
        (
            "where one label speaks of the first number and another of the second, both at scale 1 are exact",
            lambda f: (
                f(
                    MEANS[0],
                    jnp.asarray(0.5),
                    with_both(MEANS[0], 0.5, 0.1, -0.2),
                    jnp.stack(
                        [
                            with_both(MEANS[0], 0.5, 0.9, -0.2),
                            with_both(MEANS[0], 0.5, 0.1, 0.7),
                        ]
                    ),
                    jnp.ones(2),
                )[0],
                with_both(MEANS[0], 0.5, 0.9, 0.7),
            ),
        ),
    ],
    ships=several_labels,
)


def pushed_guess(z, gamma, guess, log_p, w):
    """Return the guess of the noise, guided by a classifier of clean data."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    eps = (z - alpha * guess(z, gamma)) / sigma
    push = jax.grad(lambda z: log_p(guess(z, gamma)))(z)
    return eps - w * sigma * push


WIDE = vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.zeros(2), jnp.asarray(0.7)))
MOVED = vdmlite.GaussianDenoiser(vdmlite.Gaussian(0.49 * MEANS[1], jnp.asarray(0.7)))

exercise(
    "9.2",
    pushed_guess,
    inputs=lambda key: (
        jax.random.normal(key, (2,)),
        uniform(jax.random.fold_in(key, 1), -3.0, 2.0),
        lambda z, gamma: ALL(z, gamma).x,
        a_clean_classifier(jax.random.fold_in(key, 3)),
        uniform(jax.random.fold_in(key, 4), 1.5, 6.0),
    ),
    hints=[
        "α x̂ + σ ε̂ = z gives the guess of the noise before guidance. And a score times −σ is a guess of the noise.",
        "The push is the slope of the log-probability as z moves. If z moves, the guess moves too, but not as far.",
        "Make a function of z alone that asks the denoiser first and the classifier then. jax.grad knows the chain rule.",
    ],
    slips=[
        (
            "jax.grad(lambda z: log_p(guess(z, gamma)))(z)",
            "jax.grad(log_p)(guess(z, gamma))",
            "That is how log p changes as x̂ moves. Asked for is how it changes as z moves: the chain rule goes on through the guess.",
        ),
        (
            "jax.grad(lambda z: log_p(guess(z, gamma)))(z)",
            "jax.grad(log_p)(guess(z, gamma)) / alpha",
            "That holds if x̂ = z/α. A guess moves less than that, since part of z is noise: let jax.grad go through it.",
        ),
        (
            "jax.grad(lambda z: log_p(guess(z, gamma)))(z)",
            "jax.grad(log_p)(z)",
            "The classifier is asked about the noisy z, which it has never seen. Ask it about the guess.",
        ),
        (
            "jax.grad(lambda z: log_p(guess(z, gamma)))(z)",
            "jax.grad(lambda z: log_p(z / alpha))(z)",
            "z/α still has all its noise. Ask the classifier about the guess.",
        ),
        (
            "eps - w * sigma * push",
            "eps + w * sigma * push",
            "The push goes downhill on the label's probability: ε̂ = −σ times the score.",
        ),
        (
            "eps - w * sigma * push",
            "eps - w * push",
            "A gradient is a score. To become a guess of the noise it is multiplied by −σ.",
        ),
        (
            "eps - w * sigma * push",
            "eps - w * sigma**2 * push",
            "A score is multiplied by −σ, not by −σ².",
        ),
        (
            "eps - w * sigma * push",
            "eps - sigma * push",
            "The scale is missing.",
        ),
        (
            "(z - alpha * guess(z, gamma)) / sigma",
            "guess(z, gamma)",
            "`guess` returns x̂, the guess of the data. The guess of the noise follows from it and z.",
        ),
        (
            "jax.grad(lambda z: log_p(guess(z, gamma)))(z)",
            "jax.grad(lambda z: jnp.exp(log_p(guess(z, gamma))))(z)",
            "That is the slope of the probability. A score has the slope of its logarithm.",
        ),
        (
            "(z - alpha * guess(z, gamma)) / sigma",
            "(z - guess(z, gamma)) / sigma",
            "The signal in z is α x̂: take that away, not x̂.",
        ),
        (
            "eps - w * sigma * push",
            "(z - alpha * (guess(z, gamma) + w * push)) / sigma",
            "The push is added to the score, not to the guess of the data.",
        ),
    ],
    laws=[
        (
            "for Gaussian data and a log-probability that is linear in x it is exact: those examples are the Gaussian, moved",
            lambda f: (
                f(
                    MEANS[0],
                    jnp.asarray(0.5),
                    lambda z, gamma: WIDE(z, gamma).x,
                    lambda x: x @ MEANS[1],
                    1.0,
                ),
                MOVED(MEANS[0], 0.5).eps,
            ),
        ),
    ],
    ships=guided_through_the_guess,
)


def label_seen(chance, label, labels, ratio):
    """Return (the probability of hiding, the number that the network is shown in training)."""
    dropout = ratio / (labels + ratio)
    none = labels
    shown = jnp.where(chance < dropout, none, label)
    return dropout, shown


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


def scale_for(m, s, M, B, gamma, share):
    """Return the scale that makes the guided variance so small, and the mean that goes with it."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma), jax.nn.sigmoid(gamma)
    m_with, m_without = jnp.sqrt(alpha2) * m, jnp.sqrt(alpha2) * M  # the means of the latents
    v_with, v_without = alpha2 * s**2 + sigma2, alpha2 * B**2 + sigma2
    w = (1 / (share * v_with) - 1 / v_without) / (1 / v_with - 1 / v_without)
    mean = share * v_with * (w * m_with / v_with + (1 - w) * m_without / v_without)
    return w, mean


exercise(
    "9.4",
    scale_for,
    inputs=lambda key: (
        *two_gaussians(key),
        uniform(jax.random.fold_in(key, 6), 0.2, 0.9),
    ),
    hints=[
        "The score of N(mean, v) is (mean − z)/v. With which slope does it fall, and with which does the guided score?",
        "One over the guided variance is linear in w: it is 1/v_without at w = 0 and 1/v_with at w = 1. Where has it the value you want?",
        "Set the guided score to 0 and solve for z. Its slope you know already.",
    ],
    slips=[
        (
            "(1 / (share * v_with) - 1 / v_without) / (1 / v_with - 1 / v_without)",
            "(share * v_with - v_without) / (v_with - v_without)",
            "The variances are mixed here. Scores are mixed, and their slopes are one over the variances.",
        ),
        (
            "(1 / (share * v_with) - 1 / v_without) / (1 / v_with - 1 / v_without)",
            "1 / share",
            "That holds only before a background without limits: the score of all examples takes off something as well.",
        ),
        (
            "1 / (share * v_with) - 1 / v_without",
            "1 / (share * v_with)",
            "At w = 0 the precision is 1/v_without already, not 0.",
        ),
        (
            "1 / (share * v_with) - 1 / v_without",
            "share / v_with - 1 / v_without",
            "A smaller variance is a larger precision: divide by the share.",
        ),
        (
            "1 / (share * v_with) - 1 / v_without",
            "1 / (share * v_without) - 1 / v_without",
            "A share of the label's own variance is asked for, not of that of all examples.",
        ),
        (
            "1 / (share * v_with) - 1 / v_without",
            "1 / (share**2 * v_with) - 1 / v_without",
            "The share is one of variances, not of widths.",
        ),
        (
            "share * v_with * (w * m_with / v_with + (1 - w) * m_without / v_without)",
            "w * m_with + (1 - w) * m_without",
            "The two means don't pull alike: each counts with its precision.",
        ),
        (
            "share * v_with * (w * m_with / v_with + (1 - w) * m_without / v_without)",
            "w * m_with / v_with + (1 - w) * m_without / v_without",
            "That is the score at z = 0: divide by its slope, one over the guided variance.",
        ),
        (
            "share * v_with * (w * m_with / v_with + (1 - w) * m_without / v_without)",
            "v_with * (w * m_with / v_with + (1 - w) * m_without / v_without)",
            "The slope of the guided score is one over the *guided* variance.",
        ),
        (
            "w * m_with / v_with + (1 - w) * m_without / v_without",
            "w * m / v_with + (1 - w) * M / v_without",
            "These are the means of the data; the latents have them times α.",
        ),
        (
            "alpha2 * s**2 + sigma2, alpha2 * B**2 + sigma2",
            "s**2, B**2",
            "These are the variances of the data. At this noise level the latents have others.",
        ),
    ],
    laws=[
        (
            "the label's own variance takes scale 1, and leaves the label's mean",
            lambda f: (
                jnp.stack(f(0.5, 0.4, -0.3, 1.5, jnp.asarray(-1.0), 1.0)),
                jnp.stack([jnp.asarray(1.0), jnp.sqrt(jax.nn.sigmoid(1.0)) * 0.5]),
            ),
        ),
        (
            "at that scale the package's guided score has that mean and that variance",
            lambda f: (
                mean_and_variance(
                    0.5,
                    0.4,
                    -0.3,
                    1.5,
                    jnp.asarray(-1.0),
                    f(0.5, 0.4, -0.3, 1.5, jnp.asarray(-1.0), 0.3)[0],
                ),
                (
                    f(0.5, 0.4, -0.3, 1.5, jnp.asarray(-1.0), 0.3)[1],
                    0.3 * (jax.nn.sigmoid(1.0) * 0.16 + jax.nn.sigmoid(-1.0)),
                ),
            ),
        ),
        (
            "before a very wide background a quarter of the clean variance takes scale 4: guidance is a temperature, 1/w",
            lambda f: (
                f(0.0, 0.6, 0.0, 1e3, jnp.asarray(-30.0), 0.25)[0],
                jnp.asarray(4.0),
            ),
        ),
    ],
    ships=scale_by_the_package,
)


def largest_scale(s, B, gamma):
    """Return the scale at which the guided score stops calling z back."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma), jax.nn.sigmoid(gamma)
    v_with, v_without = alpha2 * s**2 + sigma2, alpha2 * B**2 + sigma2
    w = v_with / (v_with - v_without)
    return jnp.where(v_with > v_without, w, jnp.inf)


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
        "One over the guided variance is a function of w, as in 9.4. Where is it zero?",
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
        (
            "v_with / (v_with - v_without)",
            "jnp.sqrt(v_with) / (jnp.sqrt(v_with) - jnp.sqrt(v_without))",
            "Scores of Gaussians are −z over the variance, not over the width.",
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


def walk_width(s, B, w):
    """Return the standard deviation of guided ancestral walks at their end."""
    gammas = np.linspace(12.0, -8.0, 4001)
    alpha2, sigma2 = 1 / (1 + np.exp(gammas)), 1 / (1 + np.exp(-gammas))
    kappa = -np.expm1(np.diff(gammas))
    # A Gaussian's guess of the noise is σ z over its variance, so the guided one is σ z · precision.
    precision = w / (alpha2 * s**2 + sigma2) + (1 - w) / (alpha2 * B**2 + sigma2)
    factor = np.sqrt(alpha2[1:] / alpha2[:-1]) * (1 - kappa * (sigma2 * precision)[:-1])
    fresh = sigma2[1:] * kappa
    variance = 1.0
    for a, b in np.transpose([factor, fresh]):
        variance = a**2 * variance + b
    return np.sqrt(variance)


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

    def step(variance, levels):
        low, high = levels
        move = vdmlite.posterior(one, guided(one, high).x, low, high)
        return move.mean[0] ** 2 * variance + move.std**2, None

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
            "return np.sqrt(variance)",
            "return variance",
            "That is the variance; the width is its root.",
        ),
        (
            "return np.sqrt(variance)",
            "return s**w * B ** (1 - w)",
            "That is the width of the flow. The ancestral walk is shaken at every step, and "
            "the shaking widens it.",
        ),
        (
            "return np.sqrt(variance)",
            "return (w / s**2 + (1 - w) / B**2) ** -0.5",
            "That is the width of the tilted density, which no walk has to follow.",
        ),
        (
            "return np.sqrt(variance)",
            "return s / np.sqrt(w)",
            "That is the temperature 1/w before a very wide background, at one noise level; a "
            "walk goes through all of them.",
        ),
        (
            "variance = a**2 * variance + b",
            "variance = a**2 * variance",
            "The fresh noise of each step is missing.",
        ),
        (
            "variance = a**2 * variance + b",
            "variance = a * variance + b",
            "What multiplies z multiplies its variance by the square.",
        ),
        (
            "variance = a**2 * variance + b",
            "variance = a**2 * variance + b**0.5",
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
        "variance = 2.0",
        "gammas = np.linspace(13.0, -8.0, 4001)",
        "gammas = np.linspace(12.0, -8.0, 4002)",
        "gammas = np.linspace(12.0, -9.0, 4001)",
        "kappa = -np.diff(gammas)",
        "alpha2, sigma2 = (1 / (1 + np.exp(gammas)), 2 / (1 + np.exp(-gammas)))",
    ],
    tolerance=0.02,
)
