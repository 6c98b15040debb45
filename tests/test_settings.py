"""Settings: bad values refused by name, the published facts, AdamW against its formula."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import X64

from vdmlite.engine import RECIPES, Settings
from vdmlite.engine.settings import DATA, MODELS

pytestmark = pytest.mark.once

SMALL = {"width": 8, "depth": 1}
PUBLISHED = ("cifar10", "cifar10_aug", "cifar10_aug_paper", "imagenet32", "imagenet64")


def of(recipe: str = "digits", **changes) -> Settings:
    return Settings(recipe, **{"data": "digits", "steps": 10, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "digit"}, "recipe must be one of digits, patches, .*, got 'digit'"),
        ({"data": "mnist"}, "data must be one of digits, .*, got 'mnist'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"batch_size": 10, "accumulate": 4}, "a batch of 10 doesn't fall into 4 equal parts"),
        ({"warmup": -1}, "warmup must be at least 0, got -1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be .*, got nan"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0 and finite, got -0.1"),
        ({"weight_decay": float("inf")}, "weight_decay must be .*, got inf"),
        ({"ema": 1.0}, "ema must be at least 0 and below 1, got 1.0"),
        ({"ema": -0.5}, "ema must be .*, got -0.5"),
        ({"seed": -1}, "seed must be at least 0 and below 2\\*\\*32, got -1"),
        ({"seed": 2**32}, "seed must be .*, got 4294967296"),
    ],
)
def test_a_bad_value_is_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        of(**changes)


@pytest.mark.parametrize("knobs", [{"breadth": 8}, {"key": 1}])
def test_a_knob_that_a_recipe_does_not_have_is_refused_with_the_recipes_name(knobs, key):
    with pytest.raises(ValueError, match=f"digits does not take .*{next(iter(knobs))}"):
        of(knobs=knobs).model(key=key)


def test_the_limits_themselves_are_allowed(key):
    of(steps=1, batch_size=1, accumulate=1, warmup=0, weight_decay=0.0, ema=0.0, seed=0)
    of(seed=2**32 - 1)
    assert of(knobs=SMALL).model(key=key).shape == (8, 8, 1)


def test_every_model_has_a_recipe_of_its_name_with_images_of_its_shape():
    assert len(RECIPES) == 7
    assert set(RECIPES) == set(MODELS)
    sizes = {"digits": (8, 8, 1), "imagenet64": (64, 64, 3)}
    assert set(sizes) < set(DATA)
    for name, settings in RECIPES.items():
        assert settings.recipe == name
        model = eqx.filter_eval_shape(lambda s=settings: s.model(key=jax.random.key(0)))
        assert model.shape == sizes.get(settings.data, (32, 32, 3))


def test_the_published_facts():
    common = {"ema": 0.9999, "warmup": 100, "cooldown": False, "weight_decay": 0.01}
    expected = {  # data, updates, batch, learning rate, augmented
        "cifar10": ("cifar10", 10_000_000, 128, 2e-4, False),
        "cifar10_aug": ("cifar10", 100_000_000, 768, 1e-4, True),
        "cifar10_aug_paper": ("cifar10", 100_000_000, 1024, 2e-4, True),
        "imagenet32": ("imagenet32", 10_000_000, 128, 2e-4, False),
        "imagenet64": ("imagenet64", 10_000_000, 128, 2e-4, False),
    }
    assert set(expected) == set(PUBLISHED)
    for name, (data, steps, batch, rate, augment) in expected.items():
        s = RECIPES[name]
        assert {k: getattr(s, k) for k in common} == common
        assert (s.data, s.steps, s.batch_size, s.learning_rate, s.augment) == (
            *(data, steps, batch, rate, augment),
        )
        assert s.accumulate == 1
        assert s.knobs == {}


@pytest.mark.parametrize("name", RECIPES)
def test_settings_survive_json(name):
    changed = dataclasses.replace(RECIPES[name], knobs={"width": 8, "bfloat16": True}, seed=7)
    for settings in (RECIPES[name], changed):
        there = json.loads(json.dumps(dataclasses.asdict(settings)))
        assert Settings(**there) == settings


def tiny(settings: Settings, key):
    """Return parameters of the settings' model, all of them one half."""
    model = eqx.filter_eval_shape(settings.model, key=key)
    shapes = eqx.filter(model, lambda a: isinstance(a, jax.ShapeDtypeStruct))
    return jax.tree.map(lambda s: jnp.asarray(np.full(s.shape, 0.5, s.dtype)), shapes)


def entry(params):
    """Return a weight of the digits' network that is decayed, and one that is not."""
    return params.denoiser.net.linear_in.weight, params.denoiser.net.linear_in.bias


def rates(settings: Settings, steps: int, key) -> np.ndarray:
    """Return each update's learning rate, from what it takes off a weight of no gradient."""
    params, optimiser = tiny(settings, key), settings.optimiser()
    zero = jax.tree.map(jnp.zeros_like, params)

    def update(state, _):
        updates, state = optimiser.update(zero, state, params)
        return state, entry(updates)[0].ravel()[0]

    taken = jax.jit(lambda s: jax.lax.scan(update, s, None, steps)[1])(optimiser.init(params))
    return -np.asarray(taken, np.float64) / (0.5 * settings.weight_decay)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_rate_rises_for_100_updates_and_stays(name, key):
    recipe = RECIPES[name]
    small = dataclasses.replace(recipe, recipe="digits", knobs=SMALL, augment=False)
    expected = np.minimum(np.arange(150) / 100, 1) * recipe.learning_rate
    np.testing.assert_allclose(rates(small, 150, key), expected, rtol=1e-5, atol=1e-12)


def test_without_warm_up_the_first_rate_is_the_whole_one(key):
    np.testing.assert_allclose(rates(of(warmup=0, knobs=SMALL), 3, key), 2e-4, rtol=1e-5)


@pytest.mark.parametrize("warmup", [0, 10])
def test_a_cooldown_falls_to_nothing_as_a_cosine(warmup, key):
    settings = of(steps=60, warmup=warmup, cooldown=True, learning_rate=1e-3, knobs=SMALL)
    found, n = rates(settings, 60, key), np.arange(60)
    np.testing.assert_allclose(found[:warmup], n[:warmup] / 10 * 1e-3, rtol=1e-5, atol=1e-12)
    fallen = 0.5 * (1 + np.cos(np.pi * (n - warmup) / (60 - warmup)))[warmup:]
    np.testing.assert_allclose(found[warmup:], 1e-3 * fallen, rtol=1e-3)
    assert found[-1] < 0.002 * 1e-3


@pytest.mark.parametrize("steps", [1, 5])
def test_a_cooldown_shorter_than_its_warm_up_still_ends_low(steps, key):
    found = rates(of(steps=steps, cooldown=True, warmup=100, knobs=SMALL), steps + 1, key)
    np.testing.assert_allclose(found[-2:], [2e-4, 0], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", ["cifar10", "cifar10_aug_paper"])
def test_kernels_and_scales_are_decayed_biases_and_the_schedule_are_not(name, key):
    knobs = {**SMALL, "groups": 4}
    settings = dataclasses.replace(RECIPES[name], warmup=0, knobs=knobs)
    params, optimiser = tiny(settings, key), settings.optimiser()

    @jax.jit
    def update(params):
        zero = jax.tree.map(jnp.zeros_like, params)
        updates, _ = optimiser.update(zero, optimiser.init(params), params)
        return updates

    shrink, seen = settings.learning_rate * 0.01 * 0.5, set()
    for path, change in jax.tree.leaves_with_path(update(params)):
        name, of_net = path[-1].name, path[0].name == "denoiser"
        assert of_net or path[0].name == "schedule"
        if of_net and name in ("kernel", "weight", "scale"):
            np.testing.assert_allclose(change, -shrink, rtol=1e-5)
        else:
            assert not of_net or name == "bias"
            np.testing.assert_array_equal(change, 0)
        seen.add(name if of_net else "schedule")
    assert seen == {"kernel", "weight", "scale", "bias", "schedule"}


def test_an_update_is_that_of_adamw_by_its_formula(key):
    """β = (0.9, 0.99), ε = 1e-8; the gradients are small enough for ε to be seen."""
    settings = of(learning_rate=1e-3, warmup=2, knobs=SMALL)
    params, optimiser = tiny(settings, key), settings.optimiser()
    state, step = optimiser.init(params), jax.jit(optimiser.update)
    m, v, p = (np.zeros(2), np.zeros(2), np.full(2, 0.5))
    for n, g in enumerate(np.array([3e-8, -1e-8, 2e-8, 5e-8])):
        grads = jax.tree.map(lambda a, g=g: jnp.full_like(a, g), params)
        updates, state = step(grads, state, params)
        params = optax.apply_updates(params, updates)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        fit, spread = m / (1 - 0.9 ** (n + 1)), v / (1 - 0.99 ** (n + 1))
        change = fit / (np.sqrt(spread) + 1e-8) + np.array([0.01, 0.0]) * p
        p = p - 1e-3 * min(n / 2, 1) * change
        found = [float(a.ravel()[0]) for a in entry(params)]
        # An update is about 1e-3: what float32 resolves of a half is 1e-4 of it.
        np.testing.assert_allclose(found, p, rtol=1e-9 if X64 else 3e-7)
