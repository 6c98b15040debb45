"""The course's yardsticks and trained models: known costs, whole files, stated numbers."""

import io
import math
import re
import subprocess
import sys
from functools import partial

import equinox as eqx
import imagecodecs
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import perturbed
from parity.trim import KEPT
from PIL import Image

from vdmlite import data, evaluate, recipes
from vdmlite.course import baselines, build, chains, checkout, judge, pretrained
from vdmlite.data import Images
from vdmlite.engine.datasets import reading
from vdmlite.engine.download import matches
from vdmlite.neighbours import super_resolution

pytestmark = pytest.mark.course


def made_up(levels: int, *, train: int, test: int, shape=(2, 3, 1)) -> Images:
    """Random images whose pixels depend on each other, of all levels."""
    rng = np.random.default_rng(levels)
    steps = rng.normal(0, 0.2 * levels, (train + test, int(np.prod(shape))))
    walk = np.clip(levels / 2 + steps.cumsum(1) / 2, 0, levels - 1)
    images = walk.astype(np.uint8).reshape(-1, *shape)
    return Images(images[:train], images[train:], levels)


# Yardsticks


@pytest.mark.parametrize(("levels", "bits"), [(2, 1), (8, 3), (256, 8)])
def test_equal_levels_cost_their_logarithm(levels, bits):
    assert baselines.uniform(made_up(levels, train=2, test=2)) == bits


def test_pixels_by_themselves_cost_what_was_counted():
    """Three levels, two pixels: their counts, and one more each, by hand."""
    train = np.array([[0, 2], [0, 2], [0, 1], [1, 0], [0, 0]]).reshape(5, 1, 2, 1)
    test = np.array([[0, 2], [2, 1]]).reshape(2, 1, 2, 1)
    images = Images(train.astype(np.uint8), test.astype(np.uint8), 3)
    p = np.array([[5 / 8, 3 / 8], [1 / 8, 2 / 8]])
    np.testing.assert_allclose(baselines.pixelwise(images), -np.log2(p).mean(1), rtol=1e-12)


def test_a_gaussian_costs_what_its_density_does_on_dequantised_points():
    """E_u[−log2 p(k + u)], in steps of a level, by draws from each cell."""
    images = made_up(3, train=300, test=100, shape=(1, 3, 1))  # few: a cell's width matters
    found = baselines.gaussian(images).mean()
    train = images.train.reshape(300, 3).astype(float)
    spread = np.cov(train.T) + np.eye(3) / 12
    passes = []
    for key in jax.random.split(jax.random.key(0), 400):
        points = data.dequantise(images.test, 3, key=key).reshape(100, 3)
        levels = (points.astype(float) + 1) * 3 / 2 - 0.5  # the middle of cell k is k
        gaps = levels - train.mean(0)
        squares = np.sum(gaps @ np.linalg.inv(spread) * gaps, 1)
        log_p = -0.5 * (squares + np.linalg.slogdet(2 * np.pi * spread)[1])
        passes.append(-log_p.mean() / (3 * np.log(2)))
    error = np.std(passes, ddof=1) / np.sqrt(len(passes))
    assert abs(found - np.mean(passes)) < 5 * error
    assert error < 0.002
    assert found < baselines.uniform(images)  # neighbours tell of each other


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("cost", "kind"), [(baselines.png, "PNG"), (baselines.webp, "WEBP")])
def test_a_picture_file_holds_all_test_images_and_costs_its_length(
    cost, kind, channels, monkeypatch
):
    images = made_up(256, train=1, test=6, shape=(5, 4, channels))
    files = []
    save = Image.Image.save

    def spy(self, file, *args, **options):
        save(self, file, *args, **options)
        files.append(file.getvalue())

    monkeypatch.setattr(Image.Image, "save", spy)
    found = cost(images)
    (file,) = files
    assert found == 8 * len(file) / images.test.size
    picture = Image.open(io.BytesIO(file))
    assert picture.format == kind
    sheet = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    sheet = sheet.reshape(*sheet.shape[:2], channels)
    assert sheet.size == images.test.size
    rows, columns = sheet.shape[0] // 5, sheet.shape[1] // 4
    back = [
        sheet[5 * i : 5 * i + 5, 4 * j : 4 * j + 4] for i in range(rows) for j in range(columns)
    ]
    assert np.array_equal(back, images.test)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_xl_file_holds_all_test_images_and_costs_its_length(channels, monkeypatch):
    images = made_up(256, train=1, test=6, shape=(5, 4, channels))
    files = []
    encode = imagecodecs.jpegxl_encode
    monkeypatch.setattr(
        imagecodecs, "jpegxl_encode", lambda *a, **k: files.append(encode(*a, **k)) or files[-1]
    )
    found = baselines.jpeg_xl(images)
    (file,) = files
    assert found == 8 * len(file) / images.test.size
    back = imagecodecs.jpegxl_decode(file).reshape(3, 5, 2, 4, channels).swapaxes(1, 2)
    assert np.array_equal(back.reshape(images.test.shape), images.test)


# Trained models


@pytest.mark.parametrize("timesteps", [None, 5])
def test_the_bound_of_one_example_is_that_of_the_evaluation(timesteps):
    vdm, images = pretrained.load("digits"), data.digits().test[:24]
    each = pretrained.measure(
        partial(pretrained.bound, timesteps=timesteps), vdm, images, key=jax.random.key(0)
    )
    theirs = evaluate(
        vdm,
        images,
        draws=16,
        times=4,
        timesteps=timesteps,
        batch_size=24,
        key=jax.random.key(1),
    ).bits.loss
    passes = each.mean(1)
    error = math.hypot(passes.std(ddof=1) / 2, theirs.error)
    assert abs(passes.mean() - theirs.mean) < 4 * error
    assert error < (0.03 if timesteps is None else 0.2)


def test_a_bound_of_dequantised_points_becomes_one_of_levels():
    vdm, x = pretrained.load("digits_dequantised"), data.digits().test[:1]
    keys = jax.random.split(jax.random.key(0), 200)
    price = jax.jit(
        jax.vmap(lambda key: pretrained.dequantised_bound(vdm, x[0], levels=17, key=key))
    )
    points = np.concatenate([data.dequantise(x, 17, key=key) for key in keys])
    own = jax.vmap(lambda y, key: pretrained.bound(vdm, y, key=key))
    by_hand = jax.jit(own)(points, jax.random.split(jax.random.key(1), 200))
    one, other = np.asarray(price(keys)), np.asarray(by_hand) + 64 * math.log(17 / 2)
    error = math.hypot(one.std(), other.std()) / math.sqrt(200)
    assert abs(one.mean() - other.mean()) < 4 * error
    assert error < 0.02 * one.mean()


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(
        ValueError, match=re.escape(f"there are {', '.join(pretrained.MODELS)}")
    ):
        pretrained.load("cifar")


@pytest.mark.parametrize("names", [[], ["digits", "cifar"]])
def test_training_an_unknown_model_is_refused_with_those_there_are(names, capsys):
    assert pretrained.main(names) == 2
    assert ", ".join(pretrained.MODELS) in capsys.readouterr().out


def test_a_saved_model_comes_back_in_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    vdm = perturbed(recipes.digits(key=jax.random.key(1)), key=jax.random.key(2))
    pretrained.save("digits", vdm)
    pretrained.save("digits", vdm)  # over the first
    assert [file.name for file in tmp_path.iterdir()] == ["digits.vdm"]
    back = pretrained.load("digits")
    assert jax.tree.structure(back) == jax.tree.structure(vdm)
    arrays = [jax.tree.leaves(eqx.filter(model, eqx.is_array)) for model in (vdm, back)]
    for old, new in zip(*arrays, strict=True):
        assert new.dtype == old.dtype == jnp.result_type(float)
        assert np.array_equal(new, np.asarray(old, np.float16))
    size = sum(a.size for a in arrays[0])
    assert (tmp_path / "digits.vdm").stat().st_size < 2 * size + 200 * len(arrays[0])


def test_each_model_has_its_weights_and_nothing_else_is_there():
    files = {file.name for file in pretrained.WEIGHTS.iterdir()}
    assert files == {*(f"{name}.vdm" for name in pretrained.MODELS), "README.md"}
    said = (pretrained.WEIGHTS / "README.md").read_text("utf-8")
    assert all(f"`{file}`" in said for file in files - {"README.md"})


def test_what_is_installed_is_not_trained_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    monkeypatch.setattr(pretrained, "fit", lambda *_, **__: pytest.fail("it trains"))
    assert pretrained.main(["digits"]) == 2
    assert "no copy of the repository" in capsys.readouterr().out


def test_the_published_figures_are_the_repositorys(monkeypatch):
    """Of a checkout as they lie there, elsewhere the same file from where the project is."""
    here = checkout.published_figures()
    assert here == KEPT
    assert matches(here, checkout.SIZE, checkout.SHA256)
    asked = []
    monkeypatch.setattr(checkout, "is_checkout", lambda: False)
    monkeypatch.setattr(checkout, "download", lambda *a, **k: asked.append((a, k)))
    checkout.published_figures()
    (((address,), path), known) = asked[0]
    place = here.relative_to(checkout.ROOT).as_posix()
    assert address == f"{build.repository()}/raw/main/{place}"
    assert path.parent == reading.folder()
    assert known == {"size": checkout.SIZE, "sha256": checkout.SHA256}


@pytest.mark.parametrize("name", pretrained.MODELS)
def test_a_model_has_the_bits_that_are_stated(name):
    """Within 0.02, and four standard errors of four passes."""
    plan = pretrained.MODELS[name]
    mean, error = plan.measure(pretrained.load(name), plan.images(), key=jax.random.key(1))
    assert error < 0.04  # or nothing would be said
    assert abs(mean - plan.bits) < 0.02 + 4 * error


def test_a_model_is_fitted_with_the_condition_of_each_image():
    """The small image is the large one: who is told it has nothing left to learn."""
    images = made_up(5, train=64, test=8, shape=(2, 2, 1))
    key = jax.random.key(0)

    def left(conditions) -> float:
        factor = None if conditions is None else 1
        stage = super_resolution.stage((2, 2, 1), 5, factor=factor, width=16, depth=1, key=key)
        how = {"steps": 400, "batch_size": 64, "key": key}
        model, curve = pretrained.fit(stage, images, conditions, **how)
        assert len(curve) == 400
        assert model is not stage
        return float(np.mean(curve[-20:]))

    assert left(images.train) < 0.7 * left(None)


def test_small_mnist_has_the_means_of_squares():
    large, small = data.mnist(), pretrained.small_mnist()
    assert small.train.shape == (4500, 7, 7, 1)
    assert small.test[3, 2, 5, 0] == np.rint(large.test[3, 8:12, 20:24].mean())
    assert small.levels == 256


def test_any_model_descends_and_is_measured_in_bits():
    """A Gaussian of two numbers finds the mean and the spread of its data."""
    x = np.random.default_rng(0).normal([1.0, -2.0], 0.5, (400, 2)).astype(np.float32)

    def loss(model, x, *, key):
        mean, log_std = model
        u = (x - mean) / jnp.exp(log_std) + 0 * jax.random.normal(key)
        return jnp.sum(u**2 / 2 + log_std + math.log(2 * math.pi) / 2)

    start = (jnp.zeros(2), jnp.zeros(2))
    model = pretrained.descend(loss, start, x, steps=3000, batch_size=50, key=jax.random.key(0))
    assert np.allclose(model[0], x.mean(0), atol=0.05)
    assert np.allclose(np.exp(model[1]), x.std(0), atol=0.03)
    bits = pretrained.measure(loss, model, x, passes=2, key=jax.random.key(1))
    assert bits.shape == (2, 400)
    entropy = math.log2(0.5 * math.sqrt(2 * math.pi * math.e))
    assert bits.mean() == pytest.approx(entropy, abs=0.1)


def test_models_load_under_a_users_own_type_checks():
    """A student's tests may check all types of the package as it runs."""
    code = """
from jaxtyping import install_import_hook
install_import_hook("vdmlite", "beartype.beartype")
import jax, vdmlite as v
from vdmlite.course import pretrained
model, images = pretrained.load("digits"), v.data.digits()
print(v.evaluate(model, images.test[:4], draws=2, key=jax.random.key(0)).bits.loss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "±" in done.stdout


# Chains of lesson 01


def a_chain(seed: int, steps: int) -> chains.Chain:
    """Some steps with slopes, offsets and widths of size one."""
    rng = np.random.default_rng(seed)
    slope, offset = rng.normal(0, 0.8, (2, steps))
    return chains.Chain(slope, offset, rng.uniform(0.5, 1.2, steps))


@pytest.mark.parametrize("seed", range(3))
def test_a_chains_evidence_and_elbo_are_those_of_a_grid(seed):
    """Two latents: sums over a fine grid of both."""
    down, up, x = a_chain(seed, 2), a_chain(seed + 10, 2), 0.7
    line = np.linspace(-12, 12, 801)
    one, two = line[:, None], line[None, :]

    def step(chain: chains.Chain, place: int, to, of):
        return chains.log_normal(
            to, chain.slope[place] * of + chain.offset[place], chain.std[place]
        )

    log_p = step(down, 0, x, one) + step(down, 1, one, two) + chains.log_normal(two, 0.0, 1.0)
    log_q = step(up, 0, one, x) + step(up, 1, two, one)
    area = (line[1] - line[0]) ** 2
    evidence = np.log(np.sum(np.exp(log_p)) * area)
    elbo = np.sum(np.exp(log_q) * (log_p - log_q)) * area
    np.testing.assert_allclose(chains.evidence(x, down), evidence, atol=1e-6)
    np.testing.assert_allclose(chains.elbo(x, up, down), elbo, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_loses_its_divergence_and_with_the_exact_encoder_nothing(seed):
    down, up = a_chain(seed, 5), a_chain(seed + 10, 5)
    gap = chains.evidence(-0.4, down) - chains.elbo(-0.4, up, down)
    np.testing.assert_allclose(chains.divergence(-0.4, up, down), gap, rtol=1e-10)
    exact = chains.exact_encoder(down)
    assert abs(chains.divergence(-0.4, exact, down)) < 1e-10
    np.testing.assert_allclose(
        chains.elbo(-0.4, exact, down), chains.evidence(-0.4, down), rtol=1e-10
    )


# The judge


def test_the_frechet_distance_of_gaussians_is_known():
    """Diagonal covariances: Σ (μ − ν)² + (a − b)², with a and b the standard deviations."""
    rng = np.random.default_rng(0)
    one = rng.normal([0.0, 1.0, 2.0], [1.0, 2.0, 0.5], (200_000, 3))
    other = rng.normal([0.5, 1.0, 0.0], [1.5, 1.0, 0.5], (200_000, 3))
    expected = 0.5**2 + 2.0**2 + 0.5**2 + 1.0**2
    assert judge.frechet(one, other) == pytest.approx(expected, rel=0.02)
    assert judge.frechet(one, one) == pytest.approx(0.0, abs=1e-6)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]  # no basis is better than another
    turned = judge.frechet(one @ turn, other @ turn)
    assert turned == pytest.approx(judge.frechet(one, other), rel=1e-6)


def test_the_judge_knows_digits_it_never_saw():
    digits, (labels, test_labels) = data.digits(), data.digit_labels()
    found = judge.train_judge(digits.train, labels, 17, key=jax.random.key(0))
    assert (found.labels(digits.test) == test_labels).mean() > 0.95
    seen, unseen = found.features(digits.train[:360]), found.features(digits.test)
    noise = np.random.default_rng(0).integers(0, 17, digits.test.shape)
    far = judge.frechet(found.features(noise), seen)
    assert judge.frechet(unseen, seen) < 0.05 * far
