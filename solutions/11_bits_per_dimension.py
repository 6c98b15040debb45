# %% [markdown]
# # 11 · Bits per dimension: exercises
#
# *Six exercises, about 75 minutes · belongs to lesson 11*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like.
#
# The data here are images of $V$ grey levels: every pixel holds an integer $k$, one of $0, 1, \dots, V - 1$. Cut the interval
# $[-1, 1]$ into $V$ equal cells, each $2/V$ wide. From left to right they belong to the levels 0, 1, 2 and so on, and each level
# stands for the number at the centre of its cell, $\mathrm{value}_k = 2(k + \tfrac12)/V - 1$. As always, a latent is
# $z = \alpha x + \sigma \varepsilon$ with standard normal noise ε, and $\alpha^2 = \mathrm{sigmoid}(-\gamma)$, $\sigma^2 = \mathrm{sigmoid}(\gamma)$.

# %% tags=["imports"]
import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import vdmlite
from vdmlite.course import exercise
from vdmlite.decoder import level_values


def some_density(key):
    """The log-density of a Gaussian image, levels, a point in each cell, and V."""
    mean_key, std_key, k_key, u_key, v_key = jax.random.split(key, 5)
    mean = 0.3 * jax.random.normal(mean_key, (2, 3))
    density = vdmlite.Gaussian(mean, 0.4 + jax.random.uniform(std_key))
    V = jax.random.randint(v_key, (), 3, 18)
    k = jax.random.randint(k_key, (2, 3), 0, V)
    return density.log_prob, k, jax.random.uniform(u_key, (2, 3)), V


one_pixel = vdmlite.Gaussian(jnp.array([0.1]), jnp.asarray(0.3))


def mean_over_the_cell(draw):
    """The mean of the draws for level 2 of 4 under that density, over an even grid of u."""
    grid = (jnp.arange(20) + 0.5) / 20
    draws = [draw(one_pixel.log_prob, jnp.array([2]), u[None], 4) for u in grid]
    return jnp.mean(jnp.stack(draws))


def exact_cost():
    """−log2 P(2) for level 2 of 4, the integral of that density over the cell from 0 to ½."""
    ends = jax.scipy.stats.norm.cdf(jnp.array([0.0, 0.5]), 0.1, 0.3)
    return -jnp.log2(ends[1] - ends[0])


def some_pixels(key):
    """Seven pixels of six levels in groups, latents that need not fit them, and a noise level.

    The first pixel is black and its latent white, so far apart that probabilities underflow.
    """
    k_key, z_key, gamma_key, group_key = jax.random.split(key, 4)
    group = 2 + int(jax.random.bernoulli(group_key))
    coarse = jax.random.randint(k_key, (7,), 0, 6 // group).at[0].set(0)
    z_0 = (0.7 * jax.random.normal(z_key, (7,))).at[0].set(1.2)
    return coarse, z_0, jax.random.uniform(gamma_key, minval=-7.5, maxval=-1.5), 6, group


def some_logits(key):
    """What a network says of 2×3 pixels of five levels, their latents, and a noise level."""
    logits_key, z_key, gamma_key = jax.random.split(key, 3)
    logits = 2 * jax.random.normal(logits_key, (2, 3, 5))
    z = 0.8 * jax.random.normal(z_key, (2, 3))
    return logits, z, jax.random.uniform(gamma_key, minval=-2.5, maxval=1.0)


# %% [markdown]
# ## 11.1 · There and back
# *difficulty ●○○ · 8 minutes*
#
# Return the values of the levels `k`, and for each real number in `y` the level whose value is nearest to it. For the way
# back find first where $y$ lies *in levels*, not rounded yet: at 3 if $y = \mathrm{value}_3$, at 3½ if it is half-way from there to
# $\mathrm{value}_4$. `jnp.round` rounds to the nearest integer; `jnp.clip(a, min=…, max=…)` keeps numbers within bounds, which
# you need because `y` may lie outside $[-1, 1]$. `k` and `y` are arrays, and their shapes may differ.


# %% tags=["11.1"]
def there_and_back(k, y, V):
    """Return (the values of levels k, the levels nearest to the numbers y)."""
    ### BEGIN SOLUTION value_k
    value = 2 * (k + 0.5) / V - 1
    ### END SOLUTION
    ### BEGIN SOLUTION where y lies, in levels
    place = V * (y + 1) / 2 - 0.5
    ### END SOLUTION
    ### BEGIN SOLUTION the nearest of the levels there are
    level = jnp.clip(jnp.round(place), min=0, max=V - 1)
    ### END SOLUTION
    return value, level


# %% tags=["author"]
exercise(
    "11.1",
    there_and_back,
    inputs=lambda key: (
        jnp.arange(3),
        jnp.concatenate([jnp.array([-1.7, 1.6]), jax.random.uniform(key, (6,), minval=-1.0)]),
        jax.random.randint(jax.random.fold_in(key, 1), (), 5, 18),
    ),
    hints=[
        "Solve y = 2(place + ½)/V − 1 for the place.",
        "Try it with V = 4: the values are −¾, −¼, ¼, ¾, and the place of ¼ has to be 2. A place below 0 or above V − 1 has a "
        "nearest level, too: which?",
    ],
    slips=[
        (
            "2 * (k + 0.5) / V - 1",
            "2 * k / V - 1",
            "That is the left end of each cell; its value is at the centre, half a cell further on.",
        ),
        (
            "2 * (k + 0.5) / V - 1",
            "2 * k / (V - 1) - 1",
            "This puts the first and the last level at −1 and 1; centres of cells stop half a cell, 1/V, short of the ends.",
        ),
        (
            "V * (y + 1) / 2 - 0.5",
            "V * (y + 1) / 2",
            "The half is missing on the way back: this place is ½, not 0, at the value of level 0.",
        ),
        (
            "jnp.clip(jnp.round(place), min=0, max=V - 1)",
            "jnp.round(place)",
            "Numbers beyond the ends get levels that do not exist: keep them within 0 and V − 1.",
        ),
        (
            "max=V - 1",
            "max=V",
            "The levels begin at 0, so the last one is V − 1: there is no level V.",
        ),
        (
            "jnp.round(place)",
            "jnp.floor(place)",
            "floor always goes down, even from 2.9 to 2; the nearest level is 3.",
        ),
        (
            "(k + 0.5) / V - 1\n    place = V * (y + 1) / 2 - 0.5",
            "k / (V - 1) - 1\n    place = (V - 1) * (y + 1) / 2",
            "That puts the first level at −1 and the last at 1. Each level stands in the middle of its cell, half a cell away from the ends.",
        ),
    ],
    laws=[
        (
            "each of 256 levels is the one nearest to its own value",
            lambda f: (
                f(jnp.arange(256), f(jnp.arange(256), jnp.zeros(1), 256)[0], 256)[1],
                jnp.arange(256),
            ),
        ),
    ],
    ships=lambda k, y, V: (
        vdmlite.LevelDecoder(int(V)).embed(k),
        vdmlite.LevelDecoder(int(V)).mode(vdmlite.alpha(-20.0) * y, -20.0),
    ),
)

# %% [markdown]
# ## 11.2 · The price of a level under a density
# *difficulty ●○○ · 8 minutes*
#
# You have a model of real numbers: `log_density(x)` returns $\log p(x)$ in nats for a whole image $x$. What does it pay for
# the integers `k`? Its probability $P(k)$ is the integral of the density over the cells of all pixels. Instead of integrating we
# draw a point $x$ in each pixel's cell. It is given by `u`, of the shape of `k`, with entries from $U(0, 1)$: 0 is the left end of
# the cell, 1 its right end, ½ its centre. Averaged over `u`, this bounds the price from above:
#
# $$ -\log P(k) \;\le\; \mathbb E_u[-\log p(x)] + D \log \frac V2 , \qquad D \text{ the number of dimensions.} $$
#
# Return one draw of the right-hand side, for the `u` given, converted to bits per dimension. All logarithms here are natural,
# so they count nats; one bit is $\log 2$ nats.


# %% tags=["11.2"]
def price(log_density, k, u, V):
    """Return one draw of the bound on −log P(k), in bits per dimension."""
    ### BEGIN SOLUTION the points in the cells
    x = 2 * (k + u) / V - 1
    ### END SOLUTION
    nats = -log_density(x)
    D = k.size
    ### BEGIN SOLUTION what the width of a cell adds for one dimension, in nats
    width = jnp.log(V / 2)
    ### END SOLUTION
    ### BEGIN SOLUTION the price of one dimension, in bits
    return (nats / D + width) / jnp.log(2)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "11.2",
    price,
    inputs=some_density,
    hints=[
        "The value of a level is the centre of its cell, where u = ½. What changes in value_k for another u?",
        "nats is for all D dimensions together; the width of a cell counts once in every dimension.",
        "A nat is more than a bit, 1/log 2 ≈ 1.44 bits: so there are more bits than nats.",
    ],
    slips=[
        (
            "2 * (k + u) / V - 1",
            "2 * (k + 0.5) / V - 1",
            "Every point is at the centre of its cell, so u has no effect: the inequality is about points drawn from the whole cell.",
        ),
        (
            "2 * (k + u) / V - 1",
            "(k + u) / V",
            "These points lie in [0, 1]; the cells divide [−1, 1].",
        ),
        (
            "nats / D + width",
            "nats / D",
            "A density is not a probability yet: log(V/2), for the width of the cell, is missing.",
        ),
        (
            "nats / D + width",
            "nats / D - width",
            "The sign of the width: P(k) is about p(x) times 2/V, and −log(2/V) = +log(V/2).",
        ),
        (
            "jnp.log(V / 2)",
            "jnp.log(V)",
            "[−1, 1] is 2 long, so a cell is 2/V wide, not 1/V: that costs log(V/2), not log V.",
        ),
        (
            "nats / D + width",
            "nats + D * width",
            "That is the price of the whole image: divide by the number of dimensions D.",
        ),
        (
            "(nats / D + width)",
            "((nats + width) / D)",
            "The width is counted once for the whole image; every dimension has a cell of its own.",
        ),
        (
            " / jnp.log(2)",
            "",
            "These are nats per dimension; divide by log 2 to have bits.",
        ),
        (
            " / jnp.log(2)",
            " * jnp.log(2)",
            "Multiplied by log 2, bits would be fewer than nats; a nat is 1/log 2 ≈ 1.44 bits, so divide.",
        ),
    ],
    laws=[
        (
            "a flat density, ½ in each dimension, pays log2 V: 8 bits per dimension for 256 levels",
            lambda f: (
                f(
                    lambda x: -x.size * jnp.log(2),
                    jnp.array([3, 200]),
                    jnp.array([0.1, 0.6]),
                    256,
                ),
                jnp.asarray(8.0),
            ),
        ),
        (
            "the mean over u lies above the exact price, −log2 of an integral",
            lambda f: (jnp.sign(mean_over_the_cell(f) - exact_cost()), jnp.asarray(1.0)),
        ),
    ],
    ships=lambda log_density, k, u, V: vdmlite.bits_per_dim(
        k.size * jnp.log(V / 2)
        - log_density(vdmlite.LevelDecoder(int(V)).embed(k) + 2 * (u - 0.5) / V),
        k.shape,
    ),
)

# %% [markdown]
# ## 11.3 · Coarse levels
# *difficulty ●●○ · 12 minutes*
#
# The last step of the model turns the cleanest latent $z_0$ back into levels. It treats every pixel by itself:
#
# $$ p(k \mid z_0) \;\propto\; \exp\!\left(-\tfrac12\, e^{-\gamma_0} \left(z_0/\alpha_0 - \mathrm{value}_k\right)^2\right) , $$
#
# where $\gamma_0$ is the noise level of $z_0$ and $\alpha_0$ its α, and "∝" says that the probabilities of the $V$ levels of a pixel are to add
# up to 1. Now somebody does not care for fine shades: `group` neighbouring levels count as one *coarse* level. Levels 0 to `group` − 1
# are coarse level 0, the next `group` are coarse level 1, and so on; $V$ is a multiple of `group`. The model stays as it is. What does it say of
# coarse levels?
#
# An image is a row of $D$ pixels here: `coarse` holds its coarse levels and `z_0` its latents, both of shape `(D,)`. Return the
# logarithm of the probability that the whole image has these coarse levels, in nats. It is to be finite even where probabilities are too small for single
# precision. `jax.nn.log_softmax(a)` is the logarithm of $e^a / \sum e^a$, and `jax.nn.logsumexp(a, axis=-1)` that of $\sum e^a$; both sum
# over the last axis.
#
# *Predict first*: is this the same as a decoder for $V/\mathrm{group}$ levels, each `group` times as wide?


# %% tags=["11.3"]
def log_prob_coarse(coarse, z_0, gamma_0, V, group):
    """Return the log-probability of an image's coarse levels given z_0, in nats."""
    alpha_0 = jnp.sqrt(jax.nn.sigmoid(-gamma_0))
    values = 2 * (jnp.arange(V) + 0.5) / V - 1
    ### BEGIN SOLUTION the log-probability of each fine level in each pixel, of shape (D, V)
    gap = z_0[:, None] / alpha_0 - values[None, :]
    log_p = jax.nn.log_softmax(-0.5 * jnp.exp(-gamma_0) * gap**2)
    ### END SOLUTION
    ### BEGIN SOLUTION the log-probability of each coarse level in each pixel
    grouped = jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)
    ### END SOLUTION
    picked = grouped[
        jnp.arange(len(coarse)), coarse
    ]  # from each pixel's row the entry of its level
    ### BEGIN SOLUTION the log-probability of the image
    return jnp.sum(picked)
    ### END SOLUTION


# %% tags=["author"]
def grouped_by_the_package(coarse, z_0, gamma_0, V, group):
    """Each pixel's levels one by one, from the package's decoder."""
    decoder = vdmlite.LevelDecoder(V)
    fine = group * coarse[:, None] + jnp.arange(group)[None]
    one = jax.vmap(lambda k, z: decoder.log_prob(k[None], z[None], gamma_0), (0, None))
    return jnp.sum(jax.nn.logsumexp(jax.vmap(one)(fine, z_0), axis=-1))


exercise(
    "11.3",
    log_prob_coarse,
    inputs=some_pixels,
    ships=grouped_by_the_package,
    hints=[
        "Begin with the fine levels: z_0[:, None] is a column of shape (D, 1), values[None, :] a row of shape (1, V). What shape has their difference?",
        "A coarse level is this fine level *or* that one. What do probabilities do then, and how does one do it with logarithms?",
        "a.reshape(D, V // group, group) puts neighbours side by side on a last axis of its own. And of independent pixels the probabilities multiply.",
    ],
    slips=[
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "jnp.sum(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "This adds logarithms, and so multiplies probabilities. A coarse level is one fine level or another: their probabilities add up.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "jnp.log(jnp.sum(jnp.exp(log_p.reshape(len(z_0), V // group, group)), axis=-1))",
            "Far from z_0 probabilities are 0 in single precision, and the logarithm of 0 is not finite. logsumexp never forms them.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "jnp.max(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "That is the likeliest of the fine levels alone. The others count as well.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "jnp.mean(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "A mean of logarithms is no probability: those of the fine levels add up.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "jax.nn.logsumexp(log_p.reshape(len(z_0), group, V // group), axis=1)",
            "Levels that are far apart are grouped here. Neighbours belong together.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "log_p[:, ::group]",
            "That is the first fine level of each group alone.",
        ),
        (
            "gap = z_0[:, None] / alpha_0 - values[None, :]",
            "gap = z_0[:, None] - values[None, :]",
            "The latent is α x plus noise: divide it by α_0 before you compare.",
        ),
        (
            "-0.5 * jnp.exp(-gamma_0)",
            "-0.5 / jax.nn.sigmoid(gamma_0)",
            "σ_0² is the variance of the noise in z_0. After the division by α_0 it is e^γ_0.",
        ),
        (
            "-0.5 * jnp.exp(-gamma_0)",
            "-0.5 * jnp.exp(-gamma_0 / 2)",
            "e^(γ_0/2) is the width; the exponent has the variance.",
        ),
        (
            "-0.5 * jnp.exp(-gamma_0)",
            "-jnp.exp(-gamma_0)",
            "The half of a Gaussian's exponent is missing.",
        ),
        (
            "jnp.sum(picked)",
            "jnp.mean(picked)",
            "Asked for is the whole image: independent pixels multiply, and their logarithms add up.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1) - jnp.log(group)",
            "That is the mean of the probabilities in a group. The chance of one or another is their sum.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "jax.nn.log_softmax(log_p.reshape(len(z_0), V // group, group).sum(-1))",
            "This multiplies the probabilities of a group and normalises then. They add up, and need no other norm.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "log_p[:, group - 1 :: group]",
            "That is the last fine level of each group alone.",
        ),
        (
            "jax.nn.logsumexp(log_p.reshape(len(z_0), V // group, group), axis=-1)",
            "jax.nn.log_softmax(-0.5 * jnp.exp(-gamma_0) * gap.reshape(len(z_0), V // group, group).mean(-1) ** 2)",
            "That is a decoder of coarse levels, which puts each at the middle of its group. The fine levels have centres of their own.",
        ),
    ],
    laws=[
        (
            "in groups of one it is the package's decoder",
            lambda f: (
                f(jnp.array([0, 3]), jnp.array([-0.5, 0.4]), jnp.asarray(-2.0), 4, 1),
                vdmlite.LevelDecoder(4).log_prob(
                    jnp.array([0, 3]), jnp.array([-0.5, 0.4]), jnp.asarray(-2.0)
                ),
            ),
        ),
        (
            "the probabilities of all the coarse levels of a pixel add up to 1",
            lambda f: (
                sum(
                    jnp.exp(f(jnp.array([k]), jnp.array([0.3]), jnp.asarray(-1.0), 6, 2))
                    for k in range(3)
                ),
                jnp.asarray(1.0),
            ),
        ),
    ],
)

# %% [markdown]
# ## 11.4 · Once round for each level
# *difficulty ●●○ · 8 minutes*
#
# With 256 levels, neighbouring values are only $1/128$ apart, and a network that is shown nothing but $z$ hardly sees such
# small differences. So VDM shows it sines and cosines of $z$ as well. At the highest frequency the angle is 0 at $z = 0$ and
# goes round exactly once, by $2\pi$, while $z$ moves on by one level, $2/V$. Let $V$ be even, as 256 is. Then at every
# $\mathrm{value}_k$ the angle is half a turn beyond some whole turns, so its sine is 0 and its cosine −1, whatever $k$: of a clean image
# this pair says nothing. What does it show?
#
# Return the sine and the cosine, and what can be read from these two: the `offset` of $z$ from the centre of the cell that it
# lies in, counted in levels, so between −½ and ½. Near the clean end, where α is all but 1, that is the pixel's noise, counted in levels, as
# long as this is less than half a level. `jnp.arctan2(b, a)` returns the angle between $-\pi$ and $\pi$ whose sine and cosine are `b` and `a`,
# up to a positive factor.


# %% tags=["11.4"]
def inside_the_cell(z, V):
    """Return (sine, cosine, offset), each of the shape of z."""
    ### BEGIN SOLUTION the angle, one turn for each level
    angle = jnp.pi * V * z
    ### END SOLUTION
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    ### BEGIN SOLUTION the offset from the centre, from the pair alone
    offset = jnp.arctan2(-sine, -cosine) / (2 * jnp.pi)
    ### END SOLUTION
    return sine, cosine, offset


# %% tags=["author"]
exercise(
    "11.4",
    inside_the_cell,
    inputs=lambda key: (
        jax.random.uniform(key, (2, 3), minval=-1.0),
        2 ** jax.random.randint(jax.random.fold_in(key, 1), (), 2, 5),
    ),
    hints=[
        "A turn is 2π, and there is one for each 2/V that z moves on.",
        "At the centre of a cell you want angle 0, but the pair says half a turn. What does half a turn do to a sine and a cosine?",
        "A whole turn is one level: divide the angle by 2π.",
    ],
    slips=[
        (
            "jnp.pi * V * z",
            "2 * jnp.pi * V * z",
            "This goes round twice in each level: [−1, 1] is 2 long, so a level is 2/V, not 1/V.",
        ),
        (
            "jnp.pi * V * z",
            "jnp.pi * V * z / 2",
            "This goes round once in two levels: it tells even levels from odd ones.",
        ),
        (
            "jnp.arctan2(-sine, -cosine)",
            "jnp.arctan2(sine, cosine)",
            "That offset is counted from the edges between cells; at their centres the pair is (0, −1), half a turn away.",
        ),
        (
            "jnp.arctan2(-sine, -cosine)",
            "jnp.arctan2(-cosine, -sine)",
            "arctan2 wants the sine first, then the cosine.",
        ),
        (
            "jnp.arctan2(-sine, -cosine)",
            "jnp.arcsin(-sine)",
            "A sine alone takes two angles for one: in the outer half of a cell the offset comes out too small. The cosine tells them apart.",
        ),
        (
            " / (2 * jnp.pi)",
            "",
            "The offset is still an angle; a whole turn, 2π, is one level.",
        ),
        (
            " / (2 * jnp.pi)",
            " / (V * jnp.pi)",
            "This offset is in units of z; in levels, each 2/V wide, it is V/2 times that.",
        ),
    ],
    laws=[
        (
            "on clean pixels the pair is (0, −1), whatever the level",
            lambda f: (
                jnp.stack(f(level_values(6), 6)[:2]),
                jnp.stack([jnp.zeros(6), -jnp.ones(6)]),
            ),
        ),
        (
            "one level further on the pair is the same",
            lambda f: (
                jnp.stack(f(jnp.array([0.11, -0.4]) + 2 / 6, 6)[:2]),
                jnp.stack(f(jnp.array([0.11, -0.4]), 6)[:2]),
            ),
        ),
        (
            "half a level further on it is the opposite",
            lambda f: (
                jnp.stack(f(jnp.array([0.11, -0.4]) + 1 / 6, 6)[:2]),
                -jnp.stack(f(jnp.array([0.11, -0.4]), 6)[:2]),
            ),
        ),
    ],
    # The package's features have periods 2⁻ⁿ: that is one level of V = 2ⁿ⁺¹.
    ships=lambda z, V: (
        *jnp.moveaxis(
            vdmlite.nn.fourier_features(z[..., None], (int(V).bit_length() - 2,))[..., 1:],
            -1,
            0,
        ),
        (
            z
            - vdmlite.LevelDecoder(int(V)).embed(
                vdmlite.LevelDecoder(int(V)).mode(vdmlite.alpha(-20.0) * z, -20.0)
            )
        )
        * V
        / 2,
    ),
)

# %% [markdown]
# ## 11.5 · The neighbours' word and the pixel's own
# *difficulty ●●● · 12 minutes*
#
# A network has looked at a noisy image and says of each pixel which levels it expects there, before looking at the pixel's own
# latent. It says so in `logits`, of the shape of the image with one more axis, of length $V$, at the end: a softmax over that axis
# gives $P(k)$, each pixel's *prior* probability of level $k$. The pixel's own latent, an entry of `z`, has a word to add: if the level is
# $k$, it was drawn from $\mathcal N(\alpha\, \mathrm{value}_k,\, \sigma^2)$. Bayes' rule joins the two, $P(k \mid z) \propto P(k)\, q(z \mid k)$, where $q(z \mid k)$ is the density of that Gaussian.
# Return the best guess of each pixel, $\hat x = \sum_k P(k \mid z)\, \mathrm{value}_k$. `jax.nn.softmax(a)` is $e^a / \sum e^a$, the sum taken over the last axis.


# %% tags=["11.5"]
def guess_from_logits(logits, z, gamma):
    """Return x̂, of the shape of z."""
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    V = logits.shape[-1]
    values = 2 * (jnp.arange(V) + 0.5) / V - 1
    ### BEGIN SOLUTION log q(z | k) of all pixels and levels, up to a constant, of the shape of the logits
    log_q = -0.5 * (jnp.subtract.outer(z, alpha * values) / sigma) ** 2
    ### END SOLUTION
    ### BEGIN SOLUTION P(k | z), of the shape of the logits
    posterior = jax.nn.softmax(logits + log_q)
    ### END SOLUTION
    ### BEGIN SOLUTION the mean of the values
    return posterior @ values
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "11.5",
    guess_from_logits,
    inputs=some_logits,
    hints=[
        "jnp.subtract.outer(z, a) has every pixel less every entry of a, along one more axis at the end. The logarithm of a Gaussian density is −½ ((z − mean)/σ)², "
        "up to a constant that is the same for all levels.",
        "Probabilities are multiplied, so their logarithms are added; softmax normalises, whatever constants were left out.",
        "The mean is a sum over the last axis, probability times value: a matrix product.",
    ],
    slips=[
        (
            "logits + log_q",
            "logits",
            "That is the network's word alone; the pixel's own latent, log q(z | k), is to be added.",
        ),
        (
            "logits + log_q",
            "log_q",
            "That is the pixel's own word alone, as if all levels were equally likely beforehand: add the logits.",
        ),
        (
            "jax.nn.softmax(logits + log_q)",
            "0.5 * (jax.nn.softmax(logits) + jax.nn.softmax(log_q))",
            "This averages two opinions; Bayes' rule multiplies prior and likelihood, so add the logarithms and then normalise.",
        ),
        (
            "alpha * values",
            "values",
            "The mean of z is α value_k: the data enters the latent shrunk.",
        ),
        (
            "/ sigma) ** 2",
            ") ** 2",
            "The distance is to be measured in standard deviations: divide by σ before squaring.",
        ),
        (
            "-0.5 * (",
            "-(",
            "The half in the exponent of a Gaussian is missing.",
        ),
        (
            "posterior @ values",
            "values[jnp.argmax(posterior, -1)]",
            "That is the likeliest level; the guess with the least squared error is the mean over all levels.",
        ),
        (
            "jax.nn.softmax(logits + log_q)",
            "jax.nn.softmax(logits + log_q, axis=0)",
            "This lets pixels compete; the probabilities of the levels of one pixel add up to 1, and they are on the last axis.",
        ),
        (
            "jax.nn.softmax(logits + log_q)",
            "jax.nn.softmax(logits) * jnp.exp(log_q)",
            "Prior times likelihood is right, but their products do not add up to 1 yet.",
        ),
    ],
    laws=[
        (
            "in pure noise (γ = 30) it is the mean of the network's own probabilities",
            lambda f: (
                f(jnp.array([[0.0, 1.0, 2.0, 0.0]]), jnp.array([1.3]), jnp.asarray(30.0)),
                jax.nn.softmax(jnp.array([[0.0, 1.0, 2.0, 0.0]])) @ level_values(4),
            ),
        ),
        (
            "at the clean end (γ = −13.3) it is the pixel's true value, even if the network expects another",
            lambda f: (
                f(
                    jnp.array([[3.0, 0.0, 0.0, 1.0], [0.0, 5.0, 0.0, 0.0]]),
                    vdmlite.alpha(-13.3) * level_values(4)[1:3] + 2 * vdmlite.sigma(-13.3),
                    jnp.asarray(-13.3),
                ),
                level_values(4)[1:3],
            ),
        ),
    ],
    ships=lambda logits, z, gamma: vdmlite.from_level_logits(logits, z, gamma).x,
)

# %% [markdown]
# ## 11.6 · Build: the clean end for your data
# *build · difficulty ●●● · 25 minutes*
#
# The lesson measures what the decoder costs at four noise levels. Now you go the other way: your images have $V$ levels, the decoder
# may cost so many `bits` for each pixel, and you want the noise level $\gamma_0$ at which it costs just that. Return $\gamma_0$.
#
# The cost is $-\log_2 p(k \mid z_0)$ on average, with the decoder of 11.3 and no grouping, over the noise of $z_0$ and over all $V$ levels,
# each as likely as the others. No formula gives it, but it can be computed without drawing a single random number, and it grows with
# $\gamma_0$.
#
# The check is a measurement: it runs the package's decoder at the noise level that you return. When it passes, call
# `clean_end(256, 0.01)`, which takes a little longer, and compare it with the −13.3 of VDM.


# %% tags=["11.6"]
def clean_end(V, bits):
    """Return the noise level at which the decoder costs `bits` bits for each pixel."""
    ### BEGIN SOLUTION a program of your own
    eps = jnp.linspace(-6, 6, 241)
    weights = jnp.exp(-0.5 * eps**2)
    weights = weights / jnp.sum(weights)
    values = 2 / V * jnp.arange(V)  # only their distances count

    def cost(gamma_0):
        place = values[:, None] + jnp.exp(gamma_0 / 2) * eps[None]  # z_0/α_0
        squares = (place[..., None] - values[None, None]) ** 2
        log_p = jax.nn.log_softmax(-0.5 * jnp.exp(-gamma_0) * squares)
        own = log_p[jnp.arange(V), :, jnp.arange(V)]  # of shape (V, noises)
        return -jnp.mean(own @ weights) / jnp.log(2)

    low, high = -20.0, 5.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(middle) > bits else (middle, high)
    return low
    ### END SOLUTION


# %% tags=["author"]
def measured_cost(V, gamma_0):
    """What the package's decoder costs there, in bits a pixel, over evenly spread noise."""
    shares = (jnp.arange(4000) + 0.5) / 4000
    k = jnp.repeat(jnp.arange(V), len(shares))
    eps = jnp.tile(jax.scipy.stats.norm.ppf(shares), V)
    decoder = vdmlite.LevelDecoder(V)
    z_0 = vdmlite.marginal(decoder.embed(k), gamma_0).at(eps)
    return -decoder.log_prob(k, z_0, gamma_0) / (len(k) * jnp.log(2))


exercise(
    "11.6",
    clean_end,
    inputs=lambda key: (
        3 + 3 * int(jax.random.bernoulli(key)),  # of few shapes, so that little is compiled
        float(jnp.exp(jax.random.uniform(jax.random.fold_in(key, 1), minval=-4.0, maxval=0.2))),
    ),
    hints=[
        "First the cost at one γ_0: for each level, and each ε of a fine grid, the log-probability of that level as in 11.3. "
        "A mean over ε is a sum in which each ε has a weight: how likely it is.",
        "Test the cost before you go on: for 256 levels at γ_0 = −12 the lesson's table has 0.409.",
        "Then search. Take an interval that is sure to hold the answer, and look at its middle: in which half is the answer?",
    ],
    slips=[
        (
            "jnp.exp(gamma_0 / 2) * eps",
            "jnp.exp(gamma_0) * eps",
            "The noise of z_0/α_0 is too small: e^γ is its variance, so its width is the root, e^(γ/2).",
        ),
        (
            "weights = jnp.exp(-0.5 * eps**2)",
            "weights = jnp.ones_like(eps)",
            "The points of the grid count alike here, but noise of 5 is far rarer than noise of 0: weigh each by e^(−ε²/2).",
        ),
        (
            "-0.5 * jnp.exp(-gamma_0) * squares",
            "-jnp.exp(-gamma_0) * squares",
            "The half in the decoder's exponent is missing.",
        ),
        (
            " / jnp.log(2)",
            "",
            "The cost is in nats here; `bits` are bits.",
        ),
        (
            " / jnp.log(2)",
            " * jnp.log(2)",
            "A nat is more than a bit, 1/log 2 of them: divide by log 2 where you multiply.",
        ),
        (
            "-jnp.mean(own @ weights)",
            "-jnp.sum(own @ weights)",
            "The costs of the V levels are added up; each pixel has one level, so take their mean.",
        ),
        (
            "cost(middle) > bits",
            "cost(middle) < bits",
            "The search went the wrong way and came to an end of its interval: the cost grows with γ_0.",
        ),
        (
            "return low",
            "return -low",
            "That is log SNR; γ is its negative.",
        ),
        (
            "return low",
            "return jnp.exp(low / 2)",
            "That is the width of the noise in z_0/α_0; asked is γ_0, the logarithm of its square.",
        ),
    ],
    laws=[
        (
            "the package's decoder of 6 levels costs a fifth of a bit there, to a tenth of that",
            # Whoever draws the noise by chance has found it so well, or better.
            lambda f: (jnp.abs(measured_cost(6, f(6, 0.2)) / 0.2 - 1) < 0.1, jnp.asarray(True)),
        ),
    ],
    # A method of your own, with chance or without, is right to about this.
    tolerance=1e-2,
    # The grid may be finer or longer, noise is symmetric, and the search may begin further out or go on.
    equivalent=[
        "eps = jnp.linspace(6, -6, 241)",
        "eps = jnp.linspace(-6, 7, 241)",
        "eps = jnp.linspace(-7, 6, 241)",
        "eps = jnp.linspace(-6, 6, 242)",
        "place = values[:, None] - jnp.exp(gamma_0 / 2) * eps[None]",
        "low, high = (-20.0, 6.0)",
        "low, high = (-21.0, 5.0)",
        "for _ in range(31):",
    ],
)

# %% [markdown]
# What was to be predicted in 11.3: no. A decoder of wide levels takes them for values that lie far apart, and so it is too sure next to the edge
# between two of them: there the true values, two fine levels, may be neighbours.
#
# ## Now import it
#
# What you wrote is in `vdmlite.LevelDecoder`, whose `embed` and `mode` go there and back (11.1) and whose `log_prob` is 11.3 in groups of one;
# in `vdmlite.data.dequantise` and `vdmlite.bits_per_dim` (11.2); in `vdmlite.nn.fourier_features`, whose defaults are for 256
# levels (11.4); and in `vdmlite.from_level_logits` (11.5).
