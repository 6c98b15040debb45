# %% [markdown]
# # Project · A codec for small images of your own
#
# *After lessons 11 and 14 · about a week · a starter: all cells run, and the rest is yours*
#
# **The question.** A model is a code. Take a thousand or more small images that you care about (icons, map tiles, characters of a script, sprites of a game, cells under a microscope),
# train a VDM on them, and write them into a file that is shorter than PNG's, WebP's and JPEG-XL's. From how many images on does the model pay for itself?
#
# **You hand in** this notebook, run from top to bottom, the archive it writes, and one page of text.

# %%
from functools import partial
from pathlib import Path

import jax
import numpy as np

import vdmlite
from vdmlite import codec, data, recipes
from vdmlite.course import baselines, pick, pretrained

make_key, fit_key, test_key = jax.random.split(jax.random.key(0), 3)

# %% [markdown]
# ## 1 · Your images
#
# An array of shape (n, height, width, channels) with whole numbers 0 … V − 1. Here digits stand in. From a folder of files of one size it is
#
# ```python
# from PIL import Image
# all_images = np.stack([np.asarray(Image.open(f).convert("RGB")) for f in sorted(Path("folder").glob("*.png"))])
# ```
#
# Mix them before you split them; and nothing of the test images may be looked at before the end.

# %%
digits = data.digits()
all_images, levels = np.concatenate([digits.train, digits.test]), digits.levels
order = np.random.default_rng(0).permutation(len(all_images))
held_out = pick(smoke=8, laptop=360)
train_images, test_images = all_images[order[held_out:]], all_images[order[:held_out]]
mine = data.Images(train_images, test_images, levels)
print(train_images.shape, test_images.shape, "levels", levels)

# %% [markdown]
# ## 2 · A model
#
# `recipes.digits` is for 8×8 pixels of 17 levels. For 256 levels and 32×32 pixels begin with `recipes.patches`, and with batches of 16: its training took half an hour of one core.

# %%
model, curve = pretrained.fit(
    recipes.digits(key=make_key), mine, steps=pick(smoke=3, laptop=1500),
    batch_size=pick(smoke=8, laptop=128), key=fit_key,
)  # fmt: skip
bound = vdmlite.evaluate(
    model, test_images, draws=4, times=2, batch_size=held_out, key=test_key
)
print(f"test images: at most {bound.bits.loss:.3f} bits per dimension")

# %% [markdown]
# ## 3 · A file, and back

# %%
steps = pick(smoke=4, laptop=50)
folder = Path("build/project_codec")
folder.mkdir(parents=True, exist_ok=True)
path = folder / "mine.bits"
vdmlite.save(folder / "mine.vdm", model)
codec.compress(model, test_images, steps=steps).save(path)
size = path.stat().st_size
back = codec.decompress(model, codec.read_archive(path))
assert np.array_equal(back, test_images), "not lossless"
print(f"{size} bytes: {8 * size / test_images.size:.3f} bits per dimension, all included")
for name, cost in (
    ("PNG", baselines.png),
    ("WebP", baselines.webp),
    ("JPEG-XL", partial(baselines.jpeg_xl, effort=10)),
):
    print(f"{name:8s}{cost(mine):6.3f}, all images on one sheet")

# %% [markdown]
# ## 4 · Yours to do
#
# 1. Better noise levels for the same number of steps (lesson 10), chosen on *training* images.
# 2. The price of the model: round its weights to half precision (`storage.cast` of `vdmlite.storage`, there and back), code with *that* model, and count the bytes of its file. From how many images on is the whole shorter than the best file?
# 3. Read `mine.vdm` and `mine.bits` in another process (`vdmlite.load("mine.vdm", like=recipes.digits(key=make_key))`), and get the images back there.
# 4. Images of another kind, through the same codec: what do they cost, and do they come back?
# 5. Where is the time? Encode with other numbers of lanes and of steps, and draw bits against seconds.
#
# ## How it is marked
#
# | points | for |
# |---|---|
# | 1 | the data are described: how many, where from, under which licence, how they were split, and that no near copies lie in both parts |
# | 2 | every test image comes back bit for bit, in another process than the one that wrote the file |
# | 2 | the file is compared with PNG, WebP and JPEG-XL in the same unit, headers and borrowed bits included |
# | 2 | the number of images from which the model pays for itself is computed, with the model's bytes |
# | 2 | the rate is set against the bound of as many steps, and the difference is explained |
# | 1 | what did not work is in the report, with its numbers |
