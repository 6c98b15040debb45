"""Sampling: steps with known moments, walks over any grid, draws by the batch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, agrees, close, gaussian, mixture, off_by, oracle_model, over

import vdmlite as vdm
from vdmlite import (
    DDIM,
    VDM,
    Ancestral,
    FixedLinear,
    GaussianDecoder,
    LevelDecoder,
    MixtureDenoiser,
    PiecewiseLinear,
    draw,
    sample,
    walk,
)
from vdmlite.neighbours.guidance import ClassifierFree
from vdmlite.neighbours.langevin import Corrected
from vdmlite.neighbours.ode import Heun

STEPS = {
    "ancestral": Ancestral(),
    "DDIM": DDIM(),
    "DDIM half way": DDIM(0.5),
    "Heun": Heun(),
    "corrected": Corrected(Ancestral(), moves=2),
}


@pytest.mark.once
def test_samples_of_an_exact_mixture_have_its_moments(key):
    data, n = mixture(), 4000
    model = VDM(FixedLinear(-9.0, 6.0), MixtureDenoiser(data), GaussianDecoder(), (2,))
    many = eqx.filter_jit(lambda m, ks: jax.vmap(lambda k: sample(m, steps=500, key=k))(ks))
    x = np.asarray(many(model, jax.random.split(key, n)))
    weights, means, stds = (np.asarray(a) for a in (data.weights, data.means, data.stds))
    agrees(x, weights @ means)
    agrees(x**2, weights @ (means**2 + stds[:, None] ** 2) + np.exp(-9))
    agrees(x[:, 0] * x[:, 1], weights @ (means[:, 0] * means[:, 1]))
    # The three components in their proportions, by the likeliest of each point.
    which = np.asarray(jax.vmap(data.component_log_prob)(jnp.asarray(x))).argmax(1)
    truth = jax.vmap(lambda k: data.sample(key=k))(jax.random.split(jax.random.key(9), n))
    theirs = np.asarray(jax.vmap(data.component_log_prob)(truth)).argmax(1)
    for k in range(3):
        agrees(1.0 * (which == k) - 1.0 * (theirs == k), 0.0)


def test_the_last_step_is_the_decoders_mode(key):
    """A model that always guesses one image draws that image, in levels."""
    data = jnp.array([[0, 3], [2, 1]])
    decoder = LevelDecoder(4)
    model = VDM(FixedLinear(), off_by(decoder.embed(data), 0.0), decoder, (2, 2))
    drawn = sample(model, steps=3, key=key)
    assert np.array_equal(drawn, data)
    assert jnp.issubdtype(drawn.dtype, jnp.integer)


def test_one_step_is_one_step(key):
    """With T = 1 the sample is the decoder's mode of one draw from p(z_0 | z_1)."""
    model = oracle_model(schedule=FixedLinear(-3.0, 3.0), shape=(4000,))
    x = np.asarray(sample(model, steps=1, key=key))
    gain, c = vdm.posterior(jnp.ones(1), jnp.zeros(1), -3.0, 3.0).mean[0], -np.expm1(-6.0)
    a_s, a_t = (float(vdm.alpha(g)) for g in (-3.0, 3.0))
    guess = a_t * 0.25 / (a_t**2 * 0.25 + 1 - a_t**2)
    slope = float(gain) + a_s * c * guess
    agrees(x, 0.0)
    agrees(x**2, (slope**2 + (1 - a_s**2) * c) / a_s**2)


def test_samples_are_those_of_their_key():
    model = oracle_model(shape=(3,))
    one, again, other = (sample(model, steps=4, key=jax.random.key(k)) for k in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("steps", [0, -5])
def test_no_steps_raise(steps, key):
    with pytest.raises(ValueError, match=f"at least 1, got {steps}"):
        sample(oracle_model(), steps=steps, key=key)


@over(STEPS, "step")
def test_every_step_brings_a_gaussian_to_its_variance(step, key):
    """In many small steps; a hundred thousand coordinates are one example."""
    n = 100_000
    model = oracle_model(schedule=FixedLinear(-6.0, 6.0), shape=(n,))
    x = sample(model, steps=200, step=step, key=key)
    agrees(x, 0.0)
    z_0_variance = 0.25 * vdm.alpha2(-6.0) + vdm.sigma2(-6.0)
    assert abs(float(jnp.var(x) * vdm.alpha2(-6.0) / z_0_variance) - 1) < 0.05


@pytest.mark.once
def test_the_variance_after_ancestral_steps_is_off_in_first_order(key):
    """Twice the steps, half the error: too narrow, for a guess is narrower than the data."""
    n, steps = 400_000, np.array([16, 32, 64, 128])
    model = oracle_model(schedule=FixedLinear(-6.0, 6.0), shape=(n,))
    truth = 0.25 + np.exp(-6.0)
    off = [1 - float(jnp.var(sample(model, steps=int(k), key=key))) / truth for k in steps]
    order = -np.polyfit(np.log(steps), np.log(off), 1)[0]
    assert abs(order - 1) < 0.15


@pytest.mark.once
def test_ddim_is_of_first_order_on_a_gaussian_and_heun_of_second(key):
    """Against the exact map z √(v′/v), v = α² s² + σ²; on mixtures: `test_ode.py`."""
    denoiser = vdm.GaussianDenoiser(gaussian(shape=(3,)))
    z, steps = jnp.array([1.0, -0.4, 2.0]), np.array([16, 32, 64, 128])
    v = [0.25 * vdm.alpha2(g) + vdm.sigma2(g) for g in (6.0, -6.0)]
    for step, expected in ((DDIM(), 1), (Heun(), 2)):
        off = []
        for k in steps:
            last = walk(denoiser, z, jnp.linspace(6.0, -6.0, k + 1), step=step, key=key)[-1]
            off.append(float(jnp.linalg.norm(last - jnp.sqrt(v[1] / v[0]) * z)))
        assert abs(-np.polyfit(np.log(steps), np.log(off), 1)[0] - expected) < 0.2


@pytest.mark.parametrize(("gamma_s", "gamma_t"), [(-3.0, 2.0), (1.0, 1.1), (-13.3, 5.0)])
def test_ddim_with_all_its_noise_is_ancestral(gamma_s, gamma_t, key):
    denoiser, z = MixtureDenoiser(mixture()), jnp.array([0.7, -1.2])
    one = Ancestral()(denoiser, z, gamma_s, gamma_t, key=key)
    other = DDIM(1.0)(denoiser, z, gamma_s, gamma_t, key=key)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e3 * EPS)


@pytest.mark.parametrize("gap", [1.0, 16.0, 18.3, 40.0])
@pytest.mark.parametrize("eta", [0.5, 0.999, 1.0])
def test_ddim_keeps_its_digits_over_large_steps(eta, gap, key):
    """What is left of ε̂ is √(σ_s² − ν²), a difference that float32 can't take at large gaps."""
    gamma_s, gamma_t = 5.0 - gap, 5.0
    still, one = vdm.EmpiricalDenoiser(jnp.zeros((1, 1))), jnp.ones(1)
    noise = np.asarray(jax.random.normal(key, (1,)), np.float64)
    got = DDIM(eta)(still, one, gamma_s, gamma_t, key=key)
    sigma_s, sigma_t = (np.sqrt(1 / (1 + np.exp(-g))) for g in (gamma_s, gamma_t))
    kept = sigma_s * np.sqrt((1 - eta**2) + eta**2 * np.exp(-gap))
    fresh = eta * sigma_s * np.sqrt(-np.expm1(-gap))
    expected = kept / sigma_t + fresh * noise  # x̂ = 0, ε̂ = z/σ_t
    np.testing.assert_allclose(got, expected, rtol=64 * EPS)


def test_ddim_without_noise_keeps_its_guess(key):
    """z_s = α_s x̂ + σ_s ε̂: the same x̂ and ε̂ that made z_t, at another level."""
    denoiser, z = MixtureDenoiser(mixture()), jnp.array([0.7, -1.2])
    guess = denoiser(z, 2.0)
    got = DDIM()(denoiser, z, -1.0, 2.0, key=key)
    close(got, vdm.alpha(-1.0) * guess.x + vdm.sigma(-1.0) * guess.eps, scale=4)
    assert np.array_equal(got, DDIM()(denoiser, z, -1.0, 2.0, key=jax.random.key(9)))


def test_a_walk_is_its_steps_one_by_one(key):
    denoiser, z = MixtureDenoiser(mixture()), jnp.array([0.7, -1.2])
    gammas = jnp.array([4.0, 1.0, 0.9, -5.0])
    way = walk(denoiser, z, gammas, key=key)
    assert way.shape == (4, 2)
    assert np.array_equal(way[0], z)
    for i, step_key in enumerate(jax.random.split(key, 3)):
        z = Ancestral()(denoiser, z, gammas[i + 1], gammas[i], key=step_key)
        close(way[i + 1], z, ulps=256)


@pytest.mark.once
def test_memory_grows_with_the_steps_only_where_all_latents_are_asked_for(key):
    model = oracle_model(shape=(10_000,))

    def latents(steps: int, key):
        gammas = jnp.linspace(5.0, -5.0, steps + 1)
        return walk(model.denoiser, jnp.ones(10_000), gammas, key=key)

    def memory(of, steps: int) -> int:
        sizes = jax.jit(lambda k: of(steps, k)).lower(key).compile().memory_analysis()
        assert sizes is not None
        return sizes.temp_size_in_bytes + sizes.output_size_in_bytes

    def one(steps: int, key):
        return sample(model, steps=steps, key=key)

    assert memory(one, 400) < 2 * memory(one, 10)
    assert memory(latents, 400) > 10 * memory(one, 400)


def test_any_grid_is_a_schedule():
    """Even steps of a schedule and its values as a grid are the same walk."""
    model = oracle_model(schedule=FixedLinear(-4.0, 4.0), shape=(5,))
    grid = PiecewiseLinear(np.linspace(-4.0, 4.0, 7))
    one, other = (sample(m, steps=6, key=jax.random.key(3)) for m in (model, model.under(grid)))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e3 * EPS)
    uneven = model.under(PiecewiseLinear([-4.0, -3.9, -3.0, 0.0, 2.0, 3.5, 4.0]))
    assert np.abs(sample(uneven, steps=6, key=jax.random.key(3)) - one).max() > 1e-3


@pytest.mark.once
@over(STEPS, "step")
def test_draws_are_as_many_as_asked_and_all_different(step, key):
    model = VDM(FixedLinear(-5.0, 5.0), MixtureDenoiser(mixture()), GaussianDecoder(), (2,))
    for count, batch_size in ((5, 2), (3, 8), (4, 4)):
        drawn = draw(model, count, steps=3, step=step, batch_size=batch_size, key=key)
        assert drawn.shape == (count, 2)
        assert len(np.unique(drawn, axis=0)) == count


def test_draws_have_the_moments_of_the_data(key):
    data = mixture()
    model = VDM(FixedLinear(-9.0, 6.0), MixtureDenoiser(data), GaussianDecoder(), (2,))
    x = draw(model, 4000, steps=300, batch_size=2000, key=key)
    weights, means, stds = (np.asarray(a) for a in (data.weights, data.means, data.stds))
    agrees(x, weights @ means)
    agrees(x**2, weights @ (means**2 + stds[:, None] ** 2) + np.exp(-9))


def counting(traced: list) -> vdm.NetDenoiser:
    """A denoiser that notes each time it is traced."""

    def net(z, gamma, *, key=None):
        del gamma, key
        traced.append(z.shape)
        return 0.5 * z

    return vdm.NetDenoiser(net)


@pytest.mark.once
def test_other_numbers_of_a_step_compile_nothing_anew(key):
    """η, a corrector's size, the scale of guidance, the values of a grid, the schedule."""
    traced: list = []
    net = counting(traced)
    model = VDM(FixedLinear(-4.0, 4.0), net, GaussianDecoder(), (2,))
    uneven = [-4.0, -1.0, 0.5, 4.0]

    def count(run, values) -> int:
        run(values[0])
        before = len(traced)
        for value in values[1:]:
            run(value)
        return len(traced) - before

    def drawn(step):
        return draw(model, 2, steps=3, step=step, key=key)

    def sampled(schedule):
        return sample(model.under(schedule), steps=3, key=key)

    def walked(scale):
        guided = ClassifierFree(net, net, scale)
        return walk(guided, jnp.ones(2), jnp.array([2.0, 1.0]), key=key)

    assert count(drawn, [DDIM(0.0), DDIM(0.3), DDIM(np.float64(1.0)), DDIM()]) == 0
    assert count(drawn, [Corrected(DDIM(0.1), 2, size) for size in (0.1, 0.2)]) == 0
    assert count(sampled, [FixedLinear(-4.0, 4.0), PiecewiseLinear(uneven)]) == 0
    assert count(walked, [1.0, 2, jnp.asarray(3.0)]) == 0
    assert traced


@pytest.mark.once
def test_a_step_is_compiled_once_whatever_their_number(key):
    traced = []

    def step(denoiser, z_t, gamma_s, gamma_t, *, key):
        traced.append(z_t.shape)
        return Ancestral()(denoiser, z_t, gamma_s, gamma_t, key=key)

    model = oracle_model(shape=(3,))
    for steps in (2, 5, 9):
        draw(model, 4, steps=steps, step=step, batch_size=2, key=key)
    assert len(traced) == 1


@pytest.mark.parametrize("wrong", [{"examples": 0}, {"steps": 0}, {"batch_size": -1}])
def test_nothing_to_draw_raises(wrong, key):
    knobs = {"examples": 2, "steps": 2, "batch_size": 2} | wrong
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got {value}"):
        draw(oracle_model(), knobs.pop("examples"), **knobs, key=key)
