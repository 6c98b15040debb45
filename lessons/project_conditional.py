# %% [markdown]
# # Project · A conditional model of data of your own
#
# *After lessons 08, 09 and 16 · about a week · a starter: all cells run, and the rest is yours*
#
# **The question.** Your data come with something that is known: a label, a text, a small image, the first half of a signal. Train one model that is told, and not told, what is known.
# How many bits is the condition worth? And what does guidance do to the draws, beside what it does to your eye?
#
# **You hand in** this notebook, run from top to bottom, a sheet of draws for each condition, and one page of text.

# %%
from functools import partial

import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np
import optax

import vdmlite
from vdmlite import data, nn
from vdmlite.course import pick, progress, show
from vdmlite.neighbours.guidance import ClassifierFree, LabelNet
from vdmlite.viz import images as sheet

net_key, label_key, batch_key, fit_key, test_key, draw_key = jax.random.split(
    jax.random.key(0), 6
)

# %% [markdown]
# ## 1 · Your data
#
# An array of examples, and one condition for each. Here the digits and their labels stand in.

# %%
digits = data.digits()
train_labels, test_labels = data.digit_labels()
some = pick(smoke=8, laptop=360)
test_images, test_labels = digits.test[:some], test_labels[:some]
shape, levels, classes = (8, 8, 1), 17, 10

# %% [markdown]
# ## 2 · One network, told and not told
#
# `LabelNet` shows the label to any network, and forgets it now and then in training, so that one network learns both models (lesson 09). Conditions of
# another kind go the same way: `super_resolution.ImageNet` is shown a small image.

# %%
body = partial(nn.ConvNet, out_shape=(*shape, levels), width=32, depth=3, key=net_key)
net = LabelNet(body, shape, labels=classes, key=label_key)
denoiser = vdmlite.NetDenoiser(net, vdmlite.from_level_logits)
vdm = vdmlite.VDM(
    vdmlite.LearnedLinear(-8.0, 5.0), denoiser, vdmlite.LevelDecoder(levels), shape
)
steps = pick(smoke=3, laptop=1500)
optimiser = optax.adam(
    optax.warmup_cosine_decay_schedule(0, 2e-3, min(100, steps), max(steps, 101))
)
batches = data.batches(digits.train, pick(smoke=8, laptop=128), train_labels, key=batch_key)
state = vdmlite.init(vdm, optimiser)
stream = zip(range(steps), vdmlite.train(state, optimiser, batches, key=fit_key), strict=False)
for _, (state, terms) in progress(stream, steps):
    pass
model = state.average

# %% [markdown]
# ## 3 · What is the condition worth?
#
# The difference of the two bounds estimates the information that the condition has about the data, as far as the model can use it. (As both are
# bounds, it is an estimate and no bound.) The information itself is at most the entropy of the condition: for ten labels $\log_2 10 = 3.3$ bits an image.
# With the digits and 1,500 steps the number below is larger. Which of the two bounds is to blame, and why? That is your first task. (Its error is that of the drawn times and noise, for these images. That of
# the choice of images is yours to find: lesson 22.)

# %%
options = {"draws": pick(smoke=2, laptop=16), "times": 2, "batch_size": some, "key": test_key}
told = vdmlite.evaluate(model, test_images, test_labels, **options)
untold = vdmlite.evaluate(model, test_images, np.full(some, classes), **options)
saved = untold.minus(told).loss  # in nats, pass by pass
print(f"told {told.bits.loss:.4f}, not told {untold.bits.loss:.4f} bits per dimension")
print(
    f"the label is worth {saved.mean / np.log(2):.2f} ± {saved.error / np.log(2):.2f} bits an image"
)

# %% [markdown]
# ## 4 · Draws, with and without guidance

# %%
labels = np.repeat(np.arange(classes), 4)
figure, axes = plt.subplots(1, 2, figsize=(8, 4))
for ax, scale in zip(axes, (1.0, 3.0), strict=True):
    line = ClassifierFree(model.denoiser, model.denoiser, scale)  # told, and not told
    guided = eqx.tree_at(lambda m: m.denoiser, model, line)
    drawn = vdmlite.draw(
        guided, len(labels), labels, steps=pick(smoke=3, laptop=50), batch_size=len(labels), key=draw_key
    )  # fmt: skip
    sheet(ax, np.asarray(drawn), levels=levels, columns=4, title=f"guidance {scale:g}")
show(
    figure,
    "Two sheets of ten rows of four drawn digits, a row for each label: without guidance and with it.",
)

# %% [markdown]
# ## 5 · Yours to do
#
# 1. Another condition than a label, and a network that is shown it.
# 2. Draws that are judged by something that has never seen the model: a classifier of your own, a distance between feature means, or people who do not know which is which.
# 3. Guidance from 0 to 5: what happens to the judge's verdict, and to the *variety* of the draws? Where would you stop, and why?
# 4. Is the model a memory? For some draws, show the nearest training example beside each.
#
# ## How it is marked
#
# | points | for |
# |---|---|
# | 1 | the data are described: how many, where from, under which licence, how they were split |
# | 2 | the bound is measured told and not told, on the same examples and by pairs, with its error over draws and over examples |
# | 2 | what the condition is worth is compared with what it could be worth at most (its entropy, or the bits of a code for it), and the difference is explained |
# | 2 | draws are judged by something independent, quality *and* variety, at three strengths of guidance at least |
# | 2 | nearest training examples are shown, and it is said what they prove and what not |
# | 1 | what did not work is in the report, with its numbers |
