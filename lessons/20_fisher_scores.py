# %% [markdown]
# # 20 · Fisher scores: what an image asks of the weights
#
# *Three minutes on 2 CPU cores · 60 minutes to study · after lessons 04, 15 and 19 · Yan, Ho and Abbeel 2019 · files `neighbours/fisher.py`*
#
# **The idea.** Diffusion has latents: noisy pictures, between which one can walk (lesson 15). An autoregressive model has none.
# But it has weights, and every image pulls at them: $\nabla_\theta \log p_\theta(x)$ says how the weights should change to make this image more
# probable. Two images that pull alike are alike to the model.
#
# **After this lesson you can**
# - tell the two scores apart, $\nabla_x \log p$ and $\nabla_\theta \log p$;
# - say why the mean of the second is 0 and its covariance the Fisher information, and test both;
# - make a short embedding of a very long gradient, and know how exact it is;
# - say when Fisher scores are worth their price, and when they are not.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import pdist
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vdmlite
from vdmlite import data
from vdmlite.course import claim, judge, pick, pretrained, show
from vdmlite.neighbours import axial, fisher, progressive
from vdmlite.viz import images

keys = iter(jax.random.split(jax.random.key(20), 16))

# %% [markdown]
# ## Two scores
#
# Lesson 04 called $\nabla_x \log p(x)$ the score: a direction in the space of images, in which *this image* becomes more
# probable. Statisticians call another gradient the score, the one in the parameters:
#
# $$ \varphi(x) = \nabla_\theta \log p_\theta(x) . $$
#
# It is a direction in the space of models, in which the *model* would find this image more probable. For a Gaussian in one
# dimension both can be written down, with $\theta = (\mu, \sigma)$:
#
# $$ \nabla_x \log p = -\frac{x - \mu}{\sigma^2}, \qquad
#    \varphi(x) = \left( \frac{x - \mu}{\sigma^2}, \; \frac{1}{\sigma} \left[ \frac{(x - \mu)^2}{\sigma^2} - 1 \right] \right) . $$
#
# The first component of $\varphi$ asks for another mean, the second one for another width.

# %%
gaussian = vdmlite.Gaussian(jnp.array([0.5]), jnp.array(0.8))


def log_prob(model, x):
    """Return log p(x) of a Gaussian."""
    return model.log_prob(x)


points = jnp.linspace(-2.0, 3.0, 11)[:, None]
in_x = jax.vmap(jax.grad(gaussian.log_prob))(points)[:, 0]
in_weights = jax.vmap(lambda x: fisher.score(log_prob, gaussian, x))(points)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
grid = np.linspace(-2.2, 3.2, 200)
axes[0].plot(
    grid, np.exp(jax.vmap(gaussian.log_prob)(jnp.asarray(grid)[:, None])), color="black"
)
height = np.exp(jax.vmap(gaussian.log_prob)(points))
axes[0].quiver(points[:, 0], height, 0.3 * in_x, 0 * in_x, angles="xy", scale_units="xy", scale=1,
               color="tab:blue", width=0.006)  # fmt: skip
axes[0].scatter(points[:, 0], height, c=np.arange(11), zorder=3)
axes[0].set(
    xlabel="$x$", ylabel="$p(x)$", title=r"$\nabla_x \log p$: where the point should go"
)
axes[1].plot(*jax.vmap(lambda x: fisher.score(log_prob, gaussian, x))(jnp.asarray(grid)[:, None]).T, color="lightgrey")  # fmt: skip
axes[1].scatter(*in_weights.T, c=np.arange(11), zorder=3)
axes[1].plot(0, 0, "+", color="black", ms=14)
axes[1].set(xlabel=r"wish for another $\mu$", ylabel=r"wish for another $\sigma$",
            title=r"$\nabla_\theta \log p$: where the model should go")  # fmt: skip
show(
    figure,
    "Left: a bell curve and eleven coloured points on it, each with an arrow towards the middle; the farther out, the longer. Right: the same "
    "points lie on a parabola in the plane of the two wishes: outer points want a greater width, those in the middle a smaller one; a cross marks the origin.",
)
drawn = jax.vmap(lambda key: gaussian.sample(key=key))(jax.random.split(next(keys), 20_000))
wishes = np.asarray(jax.vmap(lambda x: fisher.score(log_prob, gaussian, x))(drawn), np.float64)
print("mean score of 20,000 draws:", wishes.mean(0).round(2))
print("their covariance:", np.cov(wishes.T).round(2).tolist())
print(
    "the Fisher information: 1/σ² =", round(1 / 0.8**2, 2), "and 2/σ² =", round(2 / 0.8**2, 2)
)

# %% [markdown]
# For the model's own draws the wishes cancel: their mean is 0. In formulas, as $\sum_x p_\theta(x) = 1$ for all $\theta$,
#
# $$ 0 = \nabla_\theta \sum_x p_\theta(x) = \sum_x p_\theta(x) \nabla_\theta \log p_\theta(x) = \mathbb{E}[\varphi] . $$
#
# Differentiate once more by $\theta$: $\mathbb{E}[\varphi \varphi^\top] = -\mathbb{E}[\nabla^2_\theta \log p_\theta] = F$, the *Fisher information*. Both hold for
# draws of the model, not for the data: training on data is done exactly when the mean over the *data* is 0 as well.
#
# ## Of a network
#
# The axial transformer of lesson 19, trained on digits that may stand at 16 places in a frame of 11×11 pixels. The likelihood is exact, so a
# gradient of it is all that is needed.

# %%
digits = data.digits()
model = pretrained.load("shifted_axial")
log_p = axial.AxialTransformer.log_prob
own = axial.draw(model, pick(smoke=16, laptop=1024), key=next(keys))
half = len(own) // 2
first = fisher.moments(log_p, model, own[:half])
information = first.square
low, high = np.sqrt(np.percentile(information, (5, 95)))
print(f"{len(information)} weights; for 9 of 10 the root of the information is between {low:.2f} and {high:.2f}")  # fmt: skip
size = pick(smoke=64, laptop=4096)
embedding = fisher.Embedding(log_p, model, information, size, key=next(keys))
others = np.float64(fisher.embed(embedding, own[half:]))
z = others.mean(0) / (others.std(0, ddof=1) / half**0.5)
print(f"mean of the other {half} draws, in its standard errors: root of the mean square {np.sqrt(np.mean(z**2)):.2f}")  # fmt: skip
claim("20", f"the mean score of the model's draws: largest |z| of {size} numbers", np.abs(z).max(), at_most=4.0, trained=True)  # fmt: skip

# %% [markdown]
# Is the covariance $-\mathbb{E}[\nabla^2 \log p]$? All weights are too many for a Hessian; the 17 biases of the last layer will do. For each
# draw there is a matrix $\varphi \varphi^\top + \nabla^2 \log p$. One of them is not 0, but their mean should be.


# %%
def of_biases(x):
    """Return φ φᵀ + the Hessian, and the Hessian, for the biases of the last layer."""

    def inner(bias):
        return log_p(eqx.tree_at(lambda m: m.last.bias, model, bias), x)

    slope = jax.grad(inner)(model.last.bias)
    hessian = jax.hessian(inner)(model.last.bias)
    return jnp.stack([jnp.outer(slope, slope) + hessian, hessian])


sums, hessians = np.float64(fisher.embed(of_biases, own)).swapaxes(0, 1)
pairs = np.triu_indices(17)
z = sums.mean(0)[pairs] / (sums.std(0, ddof=1)[pairs] / len(own) ** 0.5)
off = np.linalg.norm(sums.mean(0)) / np.linalg.norm(hessians.mean(0))
print(f"{len(own)} draws: |covariance − information| / |information| = {off:.2f}")
claim("20", "covariance of scores against the Hessian: largest |z| of 153 pairs", np.abs(z).max(), at_most=4.0, trained=True)  # fmt: skip

# %% [markdown]
# ## Shorter
#
# The score has 35,505 numbers. Two steps make it short.
#
# - **Whiten**: divide each number by the root of its information, so that all weights count alike. (The whole matrix $F$ is out of
#   reach; its diagonal must be enough.)
# - **Project**: multiply by a random matrix $R$, in which almost all is 0 and the rest is $\pm c$. Distances survive: the standard deviation of
#   $\lVert R h \rVert / \lVert h \rVert$ is about $1 / \sqrt{2 D}$ for $D$ numbers that are left, however many there were before, if no few of them dominate (exercise 20.4).

# %%
some = own[: pick(smoke=8, laptop=192)]
scores = fisher.embed(lambda x: embedding.scale * fisher.score(log_p, model, x), some)
apart = pdist(scores)
sizes = pick(smoke=(64,), laptop=(256, 1024, 4096))
spreads = {}
for number in sizes:
    project = fisher.Projection(len(information), number, key=next(keys))
    kept = pdist(fisher.embed(project, scores)) / apart
    spreads[number] = kept.std() * (2 * number) ** 0.5
    print(f"{number:5d} numbers: distances kept {kept.mean():.3f} ± {kept.std():.3f}, in theory 1 ± {(2 * number) ** -0.5:.3f}")  # fmt: skip
claim("20", "spread of distances against theory (largest deviation, a share)",
      max(abs(s - 1) for s in spreads.values()), at_most=0.3, trained=True)  # fmt: skip

# %% [markdown]
# ## What is it good for? A probe
#
# A *linear probe* tells how easily an image's label can be read from an embedding: a linear classifier, here by ridge regression. We compare four
# embeddings:
#
# - the pixels;
# - the *activations* that the network's last layer is given, all $11 \times 11 \times 32$ of them;
# - the same, *pooled*: their mean over the places;
# - the Fisher scores, projected to 4096 numbers.
#
# First each digit stands at a place drawn by chance, in training and in the test. Then all stand at one place.
# *Predict*: which embedding loses most when the digits are moved?

# %%
bare = eqx.tree_at(lambda m: m.last, model, lambda h: h)
first_channel = jnp.asarray(0)


def activations(x):
    """Return what the last layer is given, at each pixel."""
    return bare.logits(x, first_channel)


EMBEDDINGS = {
    "pixels": lambda x: jnp.asarray(x).ravel() / 8.0 - 1.0,
    "pooled activations": lambda x: activations(x).mean((0, 1)),
    "all activations": lambda x: activations(x).ravel(),
    "Fisher scores": embedding,
}
labels, test_labels = data.digit_labels()
few = pick(smoke=20, laptop=None)
train, test = (pretrained.shifts(x[:few]) for x in (digits.train, digits.test))
labels, test_labels = labels[: len(train)], test_labels[: len(test)]
random = np.random.default_rng(20)
place = random.integers(16, size=len(train))
places = random.integers(16, size=(len(test), pick(smoke=1, laptop=3)))
moved = train[np.arange(len(train)), place]
moved_test = test[np.arange(len(test))[:, None], places]


def hits(known, asked):
    """Return, for each test image, the share of its places at which a probe is right."""
    probe = make_pipeline(StandardScaler(), RidgeClassifierCV([10.0, 100.0, 1000.0, 10000.0]))
    found = probe.fit(known, labels).predict(asked)
    return (found.reshape(len(test), -1) == test_labels[:, None]).mean(1)


cases = (moved, moved_test.reshape(-1, 11, 11, 1), train[:, 5], test[:, 5])
right = {}
for name, of in EMBEDDINGS.items():
    found = [fisher.embed(of, x) for x in cases]
    right[name] = hits(*found[:2]), hits(*found[2:])
roots = [fisher.power(h) for h in found]
right["Fisher, signed roots"] = hits(*roots[:2]), hits(*roots[2:])
print("share of test digits that a linear probe names rightly")
print("                       at any place        at one place")
for name, both in right.items():
    shares = (f"{h.mean():.3f} ± {h.std() / len(h) ** 0.5:.3f}" for h in both)
    print(f"{name:20s}{'     '.join(['', *shares])}")
for name in ("all activations", "pooled activations"):
    more = right["Fisher scores"][0] - right[name][0]
    error = more.std(ddof=1) / len(more) ** 0.5
    print(f"Fisher scores − {name}: {more.mean():+.3f} ± {error:.3f}")
    claim("20", f"moved digits: probe on Fisher scores − on {name}", more.mean(), at_least=0.02, trained=True)  # fmt: skip

# %% [markdown]
# With pixels, moved digits are nearly hopeless: a linear classifier has one set of weights for each place, and they all want to be in
# the same pixels. All activations suffer, too: what the network has found lies at another place in each image. Fisher scores and
# pooled activations lose least. The network has one set of weights for *all* places (but for its embeddings of rows and columns), so its slope is a sum over the
# places: it says *what* is there, and little of *where* (exercise 20.3). Pooled activations are such a sum as well, but of 32 numbers. A slope is a sum of products, an
# activation times an error that flows back, and there are 35,505 of them.
#
# When all digits stand at one place, Fisher scores are no longer the best: all activations have 0.992, as a place then means something. And they have a price, a
# backward pass for each image. Signed roots, $\mathrm{sign}(h) \sqrt{|h|}$, are usual with Fisher vectors of photographs, where
# a few large numbers would decide alone (Perronnin et al. 2010). Here they do not help.
#
# ## Between two images
#
# Now a *decoder*: a small network that is trained to give the image back from its embedding, by squared error. It is not linear. (With a
# linear one, the way between two embeddings would be a mixture of two reconstructions.) To go from one digit to another, mix their
# embeddings, give the mixture the length of an embedding, and decode. We judge the image half way, by the Fréchet distance of lesson 16: are
# such images like digits, to a classifier that has seen digits at all places?


# %%
def unit(h):
    """Return rows of length √(their size): a mixture gets the length of what it is mixed of."""
    h = np.asarray(h)
    return h / np.linalg.norm(h, axis=1, keepdims=True) * h.shape[1] ** 0.5


def decoder(of, examples, key):
    """Return a function from embeddings to images, trained on examples."""
    rows = unit(fisher.embed(of, examples))
    d = rows.shape[1]
    net = eqx.nn.MLP(d, 121, 256, 2, activation=jax.nn.silu, key=key)
    targets = examples.reshape(len(examples), -1) / 8.0 - 1.0

    def loss(net, row, *, key):
        return jnp.square(net(row[:d]) - row[d:]).mean()

    both = np.concatenate([rows, targets], 1, dtype=np.float32)
    steps = pick(smoke=3, laptop=1500)
    net = pretrained.descend(loss, net, both, steps=steps, batch_size=8 if few else 64, peak=1e-3, key=key)  # fmt: skip
    decode = eqx.filter_jit(jax.vmap(net))
    return lambda h: levels(np.asarray(decode(jnp.asarray(unit(h), jnp.float32))).reshape(-1, 11, 11, 1))  # fmt: skip


def levels(x):
    """Return the nearest whole levels of numbers between −1 and 1."""
    return np.clip(np.rint(8 * (x + 1)), 0, 16).astype(np.uint8)


every = train.reshape(-1, 11, 11, 1)
examples = np.concatenate([own, every[random.permutation(len(every))[: pick(smoke=20, laptop=8000)]]])  # fmt: skip
one = moved_test[:, 0]
other = one[random.permutation(len(one))]
ways = {
    "pixels": lambda share: levels((1 - share) * (one / 8.0 - 1) + share * (other / 8.0 - 1))
}
for name in ("pooled activations", "all activations", "Fisher scores"):
    of = EMBEDDINGS[name]
    decode = decoder(of, examples, next(keys))
    a, b = (unit(fisher.embed(of, x)) for x in (one, other))
    ways[name] = lambda share, decode=decode, a=a, b=b: decode((1 - share) * a + share * b)
    print(f"{name:20s} mean square error of a test digit: {np.mean((ways[name](0.0) - 1.0 * one) ** 2):5.2f} levels²")  # fmt: skip

painter = pretrained.load("shifted_vdm")
walk_keys = jax.random.split(next(keys), len(one))


@jax.jit
def diffused(share):
    """Mix two digits, add noise up to γ = 0 (as much noise as signal), and walk back."""

    def walk(a, b, key):
        return progressive.interpolate(painter, a, b, share, 0.0, steps=pick(smoke=3, laptop=40), key=key)  # fmt: skip

    return jax.vmap(walk)(jnp.asarray(one), jnp.asarray(other), walk_keys)


ways["diffusion latents"] = lambda share: np.asarray(diffused(share))
print(f"diffusion latents    mean square error of a test digit: {np.mean((ways['diffusion latents'](0.0) - 1.0 * one) ** 2):5.2f} levels²")  # fmt: skip

# %%
jury = judge.train_judge(every[::4], np.repeat(labels, 16)[::4], 17, key=next(keys))
real = jury.features(moved_test[:, -1])
middle = {name: judge.frechet(jury.features(way(0.5)), real) for name, way in ways.items()}
middle["other real digits"] = judge.frechet(jury.features(moved[: len(one)]), real)
print("Fréchet distance of the images half way to real digits")
for name, distance in middle.items():
    print(f"{name:20s}{distance:7.1f}")
claim("20", "half way between digits: Fréchet distance by Fisher scores / by pixels",
      middle["Fisher scores"] / middle["pixels"], at_most=1.0, trained=True)  # fmt: skip
shares = np.linspace(0, 1, 6)
figure, axes = plt.subplots(len(ways), 3, figsize=(10, 2.8), gridspec_kw={"hspace": 0.15})
for row, (name, way) in zip(axes, ways.items(), strict=True):
    road = [way(share) for share in shares]
    for k, ax in enumerate(row):
        images(ax, np.stack([r[k] for r in road]), levels=17, columns=6)
    row[0].text(-0.03, 0.5, name, transform=row[0].transAxes, ha="right", va="center")
show(
    figure,
    "Five rows, each with three walks of six pictures from one digit to another. Pixels and all activations: two shapes laid over each other in the middle. Pooled activations: grey "
    "fog. Fisher scores: noisy shapes, some of which bend into the other, some of which blur. Diffusion: sharp digits throughout, often other ones than the two at the ends.",
)

# %% [markdown]
# Pixels and all activations give a cross-fade: two digits, one over the other. All activations tell where every pixel is (their decoder
# is right to a third of a level²), so their mixture is a mixture of pictures. Pooled activations have lost too much: their decoder shows fog. Fisher scores
# stand between: half way there is sometimes one shape, sometimes a grey blur, and the distance is smaller than that of pixels. But the decoder pays for it: it is off by five levels² on a digit it
# has not seen, and some pictures are grey.
#
# Diffusion's latents have the smallest distance, without any decoder trained for the purpose: the walk back always ends at something like a digit. But they are the least faithful:
# their ends are often other digits than the two. At $\gamma = 0$ much of an image is forgotten (lesson 15). The authors of Fisher scores compared with activations of a PixelCNN, on faces, by eye, one
# year before diffusion models came into use.
#
# ## Ask yourself
#
# 1. A trained model has $\mathbb{E}[\varphi] = 0$ under its own draws, and so has an untrained one. What does training change?
# 2. Why must the information be measured with draws of the model, and not with data?
# 3. A digit has an unusual place that the model has hardly seen. Is its score long or short?
# 4. Why would a linear decoder make a walk in Fisher scores useless?
# 5. Could one take Fisher scores of a diffusion model?
#
# <details><summary>Answers</summary>
#
# 1. The mean over the *data*. It is the slope of the likelihood that training follows, and at the end it is 0, too.
# 2. $\mathbb{E}[\varphi \varphi^\top] = -\mathbb{E}[\nabla^2 \log p]$ was derived with $\sum_x p_\theta(x) = 1$, with the model's own law. With data one
#    gets the *empirical* Fisher matrix, which is another one unless the model is perfect.
# 3. Long: the model was surprised, and a large error flows back. This is one reason why embeddings were brought to one length before they were mixed.
# 4. Linear functions of a mixture are the mixture of the functions: between two images it would give their cross-fade.
# 5. Of its bound: $\nabla_\theta$ of the loss at fixed times and noises, the same for all images. It is an estimate, with noise. As
#    diffusion has latents already, one seldom does.
# </details>
#
# ## Take along
#
# > **$\nabla_x \log p$ says how the image should change, $\nabla_\theta \log p$ how the model should. The second is 0 on the mean, its covariance is the
# > Fisher information, and it makes an embedding of any model that has a likelihood.**
#
# Exercises: `exercises/20_fisher_scores.ipynb`. In the package: `neighbours.fisher`.
