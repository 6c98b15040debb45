"""The published system: our network is the program's, weight for weight and figure for figure.

The figures are those of `parity/published_c64.npz`; `parity/trim.py` says how they came about.
They were computed in float32, and so was all below: what they are off by is their own
rounding as much as ours, and float64 doesn't bring us nearer.
"""

import dataclasses
import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import DENOISERS, close
from parity.trim import IMAGE, KEPT, ROWS, projections

import vdmlite as vdm
from vdmlite import LearnedLinear
from vdmlite.engine import published
from vdmlite.engine.published import PublishedNet, from_published, to_published
from vdmlite.nn import fourier_features

pytestmark = pytest.mark.once

KEY = jax.random.key(0)
with np.load(KEPT, allow_pickle=False) as _file:
    STORED = {name: _file[name] for name in _file.files}


def under(prefix: str) -> dict[str, np.ndarray]:
    """What is stored under a name that begins so, by the rest of the name."""
    return {n.removeprefix(prefix): a for n, a in STORED.items() if n.startswith(prefix)}


WEIGHTS = under("rand/params/")
LATENTS, GAMMAS = STORED["rand/T0/z_t"], STORED["rand/T0/gamma_t"]
FLAGS = STORED["in/conditioning"].astype(np.float32)
DIMENSIONS = 32 * 32 * 3


@pytest.fixture(scope="module")
def model():
    return from_published(WEIGHTS)


def net_of(model) -> Any:
    return model.denoiser.net


# The network


@pytest.fixture(scope="module")
def seen(model):
    """Our activations under the program's names, and ε̂, on the latents that are stored.

    Latents are given in float32 in any precision: the entry magnifies the rounding of z by
    804, and the figures have that rounding in them.
    """

    @eqx.filter_jit
    def look(model, z, gammas, flags):
        net = net_of(model)
        guess = jax.vmap(lambda z, g, flag: model.given(flag).denoiser(z, g).eps)
        found = {"eps_hat": guess(z, gammas, flags)}
        level = net.embedding(gammas[IMAGE], flags[IMAGE])
        features = fourier_features(z[IMAGE], net.exponents)
        found["Base2FourierFeatures_0"] = features[..., 3:]
        h = found["conv_in"] = net.conv_in(features)
        skips = [h]
        found["down.block_0/GroupNorm_0"] = net.down[0].block.norm_1(h)
        for i, stage in enumerate(net.down):
            h = found[f"down.block_{i}"] = stage(h, level)
            skips.append(h)
        h = found["mid.block_1"] = net.middle[0].block(h, level)
        h = found["mid.attn_1"] = net.middle[0].attention(h)
        h = found["mid.block_2"] = net.middle[1](h, level)
        for i, stage in enumerate(net.up):
            h = found[f"up.block_{i}"] = stage(jnp.concatenate([h, skips.pop()], -1), level)
        h = found["GroupNorm_0"] = net.norm(h)
        return {**found, "conv_out": net.conv_out(jax.nn.silu(h))}

    return look(model, LATENTS, GAMMAS, FLAGS)


def test_eps_hat_is_the_published_one(seen):
    """|ε̂| reaches 5, and the program compiled is off by 2.4e-6 from itself step by step.

    Ours is off by 7e-6; an ε of 1e-5 in the norms, for 1e-6, would make it 5e-5.
    """
    off = np.asarray(seen["eps_hat"]) - STORED["rand/T0/eps_hat"]
    assert np.abs(off).max() < 2e-5
    assert np.sqrt(np.mean(off**2)) < 4e-6


def test_all_on_the_way_is_the_published(seen):
    """To a few roundings of numbers up to 5: measured 6e-6 at most."""
    expected = under("rand/inter/score_model/")
    names = [name for name, a in expected.items() if a.ndim == 3]
    assert len(names) == 12
    for name in names:
        got = np.asarray(seen[name])[list(ROWS)]
        np.testing.assert_allclose(got, expected[name], rtol=0, atol=2e-5, err_msg=name)
    # The features are the same to the last digit or two, but for a sine's own rounding.
    got = np.asarray(seen["Base2FourierFeatures_0"])[list(ROWS)]
    np.testing.assert_allclose(got, expected["Base2FourierFeatures_0"], rtol=0, atol=5e-7)


def test_what_the_network_is_told_is_the_published(model):
    """The angles reach 1000, whose rounding in float32 is 6e-5."""
    net, expected = net_of(model), under("rand/inter/")
    told = [  # before the two layers, after one, after both
        jax.vmap(eqx.tree_at(lambda n: n.embed, net, net.embed[:i]).embedding)(GAMMAS, FLAGS)
        for i in range(3)
    ]
    embedding = expected["timestep_embedding"]
    np.testing.assert_allclose(told[0], np.c_[embedding, FLAGS], rtol=0, atol=2e-4)
    for i in (0, 1):
        after = jax.nn.silu(expected[f"score_model/dense{i}"])
        np.testing.assert_allclose(told[i + 1], after, rtol=0, atol=2e-4)


# The bound


def with_noise(noise, loss, *args):
    """Return a loss whose one draw of noise is the one given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.random, "normal", lambda key, shape, dtype: noise.astype(dtype))
        return loss(*args, key=KEY)


def terms(model, steps) -> vdm.VLB:
    """The terms of the bound for each image by our functions, with the stored noises."""

    def one(image, flag, t, eps, eps_0) -> vdm.VLB:
        told, x = model.given(flag), model.decoder.embed(image)
        prior = vdm.prior_loss(told, x)
        reconstruction = with_noise(eps_0, vdm.reconstruction_loss, told, image)
        if steps is None:
            diffusion = with_noise(eps, vdm.continuous_diffusion_loss, told, x, t)
        else:
            discrete = functools.partial(vdm.discrete_diffusion_loss, timesteps=steps)
            diffusion = with_noise(eps, discrete, told, x, t)
        return vdm.VLB(prior, reconstruction, diffusion)

    given = {n: jnp.asarray(STORED[f"in/{n}"]) for n in ("images", "t", "eps", "eps0")}
    return jax.vmap(one)(given["images"], FLAGS, given["t"], given["eps"], given["eps0"])


@pytest.fixture(scope="module")
def bound(model):
    """The terms in continuous time, and the gradient of the bound in bits per dimension."""

    def mean(model):
        found = terms(model, None)
        return vdm.bits_per_dim(jnp.mean(found.loss), model.shape), found

    (_, found), gradient = eqx.filter_jit(eqx.filter_value_and_grad(mean, has_aux=True))(model)
    return found, gradient


def bits(found: vdm.VLB) -> float:
    return float(found.mean().loss) / (DIMENSIONS * np.log(2))


def test_data_are_embedded_as_published(model):
    close(jax.vmap(model.decoder.embed)(STORED["in/images"]), STORED["rand/T0/f"], ulps=4)


def test_gamma_is_the_published(model):
    gammas = jax.vmap(model.schedule)(jnp.array([0.0, 1.0, *STORED["in/t"].tolist()]))
    expected = [STORED[f"rand/T0/gamma_{n}"] for n in "01t"]
    np.testing.assert_allclose(gammas, np.concatenate(expected), rtol=0, atol=2e-6)


def test_prior_and_reconstruction_are_the_published(bound):
    """What they are off by is the rounding of the stored ones.

    A prior of 5 … 27 nats is a sum of 3072 numbers that come from the differences of numbers
    near 1. A reconstruction of 0.001 … 0.07 nats is due to the few pixels whose noise is about
    half a level, 4 standard deviations. There z_0, rounded at 1, is off by 6e-8 or 6e-5
    standard deviations; a level is 8 of them, so that odds are off by 5e-4.
    """
    found, _ = bound
    expected = under("rand/T0/loss_")
    np.testing.assert_allclose(found.prior, expected["klz"], rtol=5e-5)
    np.testing.assert_allclose(found.reconstruction, expected["recon"], rtol=2e-3)


def test_the_continuous_bound_is_the_published(bound):
    found, expected = bound[0], under("rand/T0/")
    np.testing.assert_allclose(found.diffusion, expected["loss_diff"], rtol=1e-5)
    np.testing.assert_allclose(bits(found), expected["bpd"], rtol=1e-6)


def test_the_bound_of_a_thousand_steps_is_the_published(bound, model):
    """Its weight expm1(γ_t − γ_s) has what is left of numbers near 14 at a difference of 0.018.

    In float32 that is right to 5e-5. What it is a weight of, ‖ε − ε̂‖², is right to 1e-5.
    """
    found, expected = eqx.filter_jit(terms)(model, 1000), under("rand/T1000/")
    np.testing.assert_allclose(found.diffusion, expected["loss_diff"], rtol=1.5e-4)
    np.testing.assert_allclose(bits(found), expected["bpd"], rtol=1e-4)
    squares, weight = 2 * bound[0].diffusion, STORED["rand/T0/weight"]
    same = 2 * expected["loss_diff"] / expected["weight"]
    np.testing.assert_allclose(squares / weight, same, rtol=1e-5)


def test_the_gradient_is_the_published(bound):
    """Weight by weight: its norm, and by eight random projections the norm of what is off.

    γ is worse off than the rest. What comes back to it through the entry's features, which
    magnify z by 804, is a sum of large numbers of both signs: the float64 gradient differs
    from the stored one by 5e-4, the float32 gradient by 2e-3. And no query can tell a key's
    bias, which it meets everywhere: that gradient is 0 but for rounding.
    """
    ours, stored = to_published(bound[1]), under("rand/grads/")
    assert sorted(ours) == sorted(stored)
    for number, name in enumerate(sorted(stored)):
        (norm, *expected), (size, *got) = stored[name], projections(ours[name], number)
        off = np.sqrt(np.mean(np.square(np.subtract(got, expected))))
        if name == "score_model/mid.attn_1/k/bias":
            assert max(size, norm) < 1e-7
            continue
        limit = 5e-3 if name.startswith("gamma/") else 1e-4
        assert abs(size / norm - 1) < limit, name
        assert off < 1.5 * limit * norm, name  # eight numbers find a norm to a quarter


# Sampling


def test_an_ancestral_step_is_the_published(model):
    i, steps = int(STORED["rand/sample/i"]), int(STORED["rand/sample/T"])
    s, t = (steps - i - 1) / steps, (steps - i) / steps

    @eqx.filter_jit
    def step(model, z, noise, flags):
        def one(z, noise, flag):
            return model.given(flag).reverse(z, s, t).at(noise)

        return jax.vmap(one)(z, noise, flags)

    z, noise, expected = (STORED[f"rand/sample/{name}"] for name in ("z_in", "noise", "z_out"))
    got = step(model, z, noise, FLAGS[:2])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    unflagged = step(model, z, noise, np.zeros_like(FLAGS[:2]))
    assert np.abs(unflagged[1] - expected[1]).max() > 1e-4  # a step sees who is flagged


def test_levels_are_decoded_as_published(model):
    z, gamma = STORED["rand/decode/z_0"], model.schedule(0.0)
    modes = jax.jit(jax.vmap(lambda z: model.decoder.mode(z, gamma)))(z)
    assert np.array_equal(modes, STORED["rand/decode/samples_argmax"])
    some = jnp.asarray(z[0, 0, :8].reshape(-1))

    @jax.jit
    def log_probs(z):
        """Of all levels, pixel by pixel."""
        one = jax.vmap(lambda z, k: model.decoder.log_prob(k, z, gamma), (None, 0))
        return jax.vmap(one, (0, None))(z, jnp.arange(256))

    # Those of a neighbour, 0.008 away, have the rounding of z_0 twice: 1.5e-5 of themselves.
    expected = STORED["rand/decode/logprobs_img0_row0"].reshape(-1, 256)
    np.testing.assert_allclose(log_probs(some), expected, rtol=5e-5, atol=1e-3)


# Weights in and out


def everywhere() -> dict[str, np.ndarray]:
    """Made-up parameters: attention after every block, depth 1, the learned schedule."""
    lost = ("gamma/", "score_model/down.block_1/", "score_model/up.block_2/")
    params = {name: a for name, a in WEIGHTS.items() if not name.startswith(lost)}
    params |= {f"gamma/{name}": a for name, a in under("nnet_rand/params/").items()}
    for number, place in enumerate(("down.attn_0", "up.attn_0", "up.attn_1")):
        for name, a in under("rand/params/score_model/mid.attn_1/").items():
            params[f"score_model/{place}/{name}"] = a + np.float32(number)
    return params


@pytest.mark.parametrize("params", [WEIGHTS, everywhere()], ids=["linear", "everywhere"])
def test_weights_go_in_and_out_unchanged(params):
    model = from_published(params)
    back = to_published(model)
    assert set(back) == set(params)
    for name, a in params.items():
        assert np.array_equal(back[name], a), name
    again = from_published(back)
    assert eqx.tree_equal(again, model)
    for a in jax.tree.leaves(eqx.filter(model, eqx.is_array)):
        assert a.dtype == jnp.result_type(float)


def test_kind_and_size_are_read_from_the_names_and_shapes(model):
    net, other = net_of(model), from_published(everywhere(), size=8)
    assert isinstance(model.schedule, LearnedLinear)
    assert isinstance(other.schedule, PublishedNet)
    assert (model.shape, other.shape) == ((32, 32, 3), (8, 8, 3))
    assert (len(net.down), len(net_of(other).down)) == (2, 1)
    assert net.down[0].attention is None
    # Each attention has its own weights: the query biases that `everywhere` gave them.
    other = net_of(other)
    given = WEIGHTS["score_model/mid.attn_1/q/bias"]
    stages = (other.down[0], other.up[0], other.up[1])
    for number, stage in enumerate(stages):
        assert np.array_equal(stage.attention.query.bias, given + np.float32(number))
    plain = {k: a for k, a in WEIGHTS.items() if k != "score_model/conv_in/kernel"}
    plain["score_model/conv_in/kernel"] = WEIGHTS["score_model/conv_in/kernel"][:, :, :3]
    assert net_of(from_published(plain)).exponents == ()


def test_knobs_change_no_weight():
    knobs = {"dropout": 0.1, "bfloat16": True, "remat": True, "scan": True}
    turned = from_published(WEIGHTS, **knobs)
    net = net_of(turned)
    assert net.remat
    assert net.scan
    assert net.down[0].block.conv_1.bfloat16
    assert net.down[0].block.dropout.p == 0.1
    for name, a in to_published(turned).items():
        assert np.array_equal(a, WEIGHTS[name]), name


def without(*names: str) -> dict[str, np.ndarray]:
    return {name: a for name, a in WEIGHTS.items() if name not in names}


CONV, BIAS, HEAD = "score_model/conv_in/kernel", "gamma/b", "score_model/conv_out/bias"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "no published parameters.*score_model/conv_in/bias, .* missing"),
        (without(CONV, HEAD), f"no published parameters: {CONV}, {HEAD} missing"),
        (without(BIAS), f"missing: {BIAS}; unknown ones: none"),
        ({**WEIGHTS, "ema/x": np.zeros(1)}, "missing: none; unknown ones: ema/x"),
        (without("gamma/w"), "missing: gamma/l1/bias, .*; unknown ones: gamma/b"),
        ({**WEIGHTS, BIAS: np.zeros(2)}, r"gamma/b has shape \(2,\), expected \(1,\)"),
        (
            {**WEIGHTS, CONV: WEIGHTS[CONV].transpose(1, 3, 2, 0)},
            r"has shape \(3, 64, 15, 3\), expected \(3, 3, 15, 64\)",
        ),
        (
            {**WEIGHTS, "score_model/dense0/kernel": np.zeros((256, 65))},
            r"dense0/kernel has shape \(256, 65\), expected \(65, 256\)",
        ),
        (
            {**WEIGHTS, HEAD: np.zeros((1, 3))},
            rf"{HEAD} have shapes .*, \(1, 3\), expected .*, \(channels,\)",
        ),
    ],
)
def test_parameters_of_something_else_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        from_published(params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"denoiser": DENOISERS["GaussianDenoiser"]}, "got NoneType under LearnedLinear"),
        ({"denoiser": DENOISERS["NetDenoiser"]}, "got MLP under LearnedLinear"),
        ({"schedule": vdm.Cosine}, "got UNet under Cosine"),
    ],
    ids=["no network", "another network", "another schedule"],
)
def test_another_model_has_no_published_parameters(model, change, message):
    made = {name: make() for name, make in change.items()}
    with pytest.raises(ValueError, match=message):
        to_published(dataclasses.replace(model, **made))


def like(channels=3, height=32, schedule=None, decoder=None, **knobs) -> vdm.VDM:
    """A small network that would have published parameters, but for what is given."""
    given = {"width": 64, "depth": 1, "groups": 32, **knobs}
    net = vdm.nn.UNet(channels, **given, key=KEY)
    shape, denoiser = (height, 32, channels), vdm.NetDenoiser(net)
    return vdm.VDM(
        schedule or LearnedLinear(), denoiser, decoder or vdm.LevelDecoder(256), shape
    )


def read_as_x(model):
    read = dataclasses.replace(model.denoiser, reading=vdm.from_x)
    return dataclasses.replace(model, denoiser=read)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: like(groups=None), r"groups .* program: \{32\}; in this model: \{16\}"),
        (lambda: like(exponents=(5,)), r"exponents .*: \(6, 7\) or \(\); .* \(5,\)"),
        (
            lambda: like(gamma_range=(-10.0, 5.0)),
            r"range of γ .*\(-13.3, 5.0\); .*\(-10.0, 5.0\)",
        ),
        (lambda: like(attention=False), r"attention in the middle .*: \[False, False\]"),
        (lambda: like(decoder=vdm.LevelDecoder(17)), "levels .*: 256; in this model: 17"),
        (
            lambda: like(decoder=vdm.GaussianDecoder()),
            "decoder .*LevelDecoder.*GaussianDecoder",
        ),
        (lambda: like(height=16), r"height and channels .*: \(32, 3\); .*: \(16, 3\)"),
        (lambda: read_as_x(like()), "reading of the network .*from_eps.*from_x"),
        (lambda: like().given(jnp.ones(())), "condition .*: None"),
    ],
)
def test_what_would_come_back_as_another_network_does_not_go_out(make, message):
    with pytest.raises(ValueError, match=message):
        to_published(eqx.filter_eval_shape(make))


@pytest.mark.parametrize(
    "make",
    [
        like,
        lambda: like(exponents=()),
        lambda: like(channels=1),
        lambda: like(attend_everywhere=True),
        lambda: like(schedule=PublishedNet(width=8, key=KEY)),
    ],
)
def test_what_goes_out_comes_back_as_the_same_network(make):
    """Its arrays and all that is no array, whatever is drawn and computed from it."""
    model = make()
    assert eqx.tree_equal(from_published(to_published(model)), model)


@pytest.mark.parametrize(
    ("make", "weights", "arrays"),
    [
        (published.cifar10, 30_578_181, 691),
        (published.cifar10_aug, 122_140_677, 694),
        (published.cifar10_aug_paper, 139_279_877, 1344),
        (published.imagenet32, 122_137_605, 691),
        (published.imagenet64, 237_603_845, 1331),
    ],
)
def test_a_recipe_has_the_published_number_of_weights(make, weights, arrays):
    leaves = jax.tree.leaves(eqx.filter_eval_shape(make, key=KEY))
    shapes = [a for a in leaves if isinstance(a, jax.ShapeDtypeStruct)]
    assert (sum(math.prod(a.shape) for a in shapes), len(shapes)) == (weights, arrays)
    assert f"{weights:,} weights" in make.__doc__


def test_a_recipe_takes_the_networks_knobs():
    knobs = {"width": 64, "depth": 1, "bfloat16": True, "dropout": 0.3}
    for make in (published.cifar10, published.cifar10_aug_paper, published.imagenet64):
        net = net_of(eqx.filter_eval_shape(make, **knobs, key=KEY))
        assert len(net.down) == 1
        assert net.norm.scale.shape == (64,)
        assert net.down[0].block.conv_1.bfloat16
        assert net.down[0].block.dropout.p == 0.3


# The learned schedule


def test_the_learned_schedule_is_the_published():
    """In float32, γ to a rounding or two of numbers near 34."""
    schedule = from_published(everywhere()).schedule
    gammas, slopes = jax.vmap(schedule.slope)(STORED["nnet_rand/t"])
    np.testing.assert_allclose(gammas, STORED["nnet_rand/gamma"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(slopes, STORED["nnet_rand/dgamma_dt"], rtol=2e-6)


def test_the_learned_schedule_starts_as_nearly_a_line():
    schedule, t = PublishedNet(-13.3, 5.0, key=KEY), np.linspace(0, 1, 11)
    gammas = jax.vmap(schedule)(jnp.asarray(t, jnp.result_type(float)))
    bend = np.asarray(gammas) - (-13.3 + 18.3 * t)
    assert np.abs(bend).max() < 1e-3
    assert np.abs(bend).max() > 1e-5  # but not a line
    assert schedule.w_2.size == 1024


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_learned_schedule_can_only_rise(sign):
    rng = np.random.default_rng(0)
    schedule = jax.tree.map(
        lambda a: jnp.asarray(sign * rng.uniform(0.1, 9.0, a.shape), a.dtype),
        PublishedNet(width=8, key=KEY),
    )
    t = jnp.linspace(0, 1, 101)
    gammas, slopes = jax.vmap(schedule.slope)(t)
    assert np.all(np.diff(gammas) > 0)
    assert np.all(slopes > 0)
    close(slopes, jax.vmap(jax.grad(schedule))(t), ulps=64)


@pytest.mark.parametrize("ends", [(5.0, -13.3), (1.0, 1.0), (-13.3, math.inf), (math.nan, 5.0)])
def test_a_learned_schedule_that_does_not_rise_is_refused(ends):
    with pytest.raises(ValueError, match=f"gamma_min = {ends[0]} and gamma_max = {ends[1]}"):
        PublishedNet(*ends, key=KEY)
