"""What a user plugs in: checked once for shape, and refused in a sentence that names the slip.

Run in a process of its own, for the tests' own type checks would speak first.
"""

import functools
import json
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

PRELUDE = """
import json, sys
import equinox as eqx, jax, jax.numpy as jnp, numpy as np, optax
import vdmlite as v
from vdmlite import data
from vdmlite.neighbours import axial, ode
from vdmlite.neighbours.guidance import ClassifierFree
from vdmlite.neighbours.weighting import WeightedGradient

key = jax.random.key(0)
image = np.zeros((8, 8, 1), np.int32)
point = jnp.zeros(3)
many = np.zeros((4, 3))
one_batch = [jnp.ones((2, 3))]
gaussian = v.GaussianDecoder()
linear = v.FixedLinear()
toy = v.recipes.toy(3, key=key)
exact = v.GaussianDenoiser(v.Gaussian(jnp.zeros(3), jnp.ones(())))
adam = optax.adam(1e-3)
state = v.init(toy, adam)

def images(net, reading=v.from_eps):
    return v.VDM(v.FixedLinear(), v.NetDenoiser(net, reading), v.LevelDecoder(17), (8, 8, 1))

def points(net):
    return v.VDM(v.FixedLinear(), v.NetDenoiser(net), v.GaussianDecoder(), (3,))

def bound(vdm):
    example = image if vdm.shape == (8, 8, 1) else point
    return v.vlb(vdm, example, 0.5, key=key)

def flat(z, gamma, *, key=None): return z.reshape(-1)
def no_channels(z, gamma, *, key=None): return z[..., 0]
def one(z, gamma, *, key=None): return z[:1]
def nothing(z, gamma, *, key=None): return z[0]
def good(z, gamma, *, key=None): return 0.5 * z
def without_key(z, gamma): return z
def too_wide(output, z, gamma): return v.Prediction(output[None], output[None], gamma)

class Own(v.AbstractDenoiser):
    def guess(self, z, gamma, *, key=None):
        return v.Prediction(z[:2], z, gamma)

class Several(v.AbstractSchedule):
    def gamma(self, t):
        return jnp.stack([t, t])

class Falling(v.AbstractSchedule):
    def gamma(self, t):
        return 5.0 - 18.3 * t

class Decoder(v.AbstractDecoder):
    wrong: str = eqx.field(static=True)
    def check(self, data): pass
    def embed(self, data): return data[:2] if self.wrong == "embed" else data
    def log_prob(self, data, z_0, gamma_0):
        return -z_0**2 if self.wrong == "log_prob" else -jnp.sum(z_0**2)
    def sample(self, z_0, gamma_0, *, key): return z_0
    def mode(self, z_0, gamma_0): return z_0[:1] if self.wrong == "mode" else z_0

def decoded(wrong): return v.VDM(v.FixedLinear(), exact, Decoder(wrong), (3,))
def half_step(denoiser, z_t, gamma_s, gamma_t, *, key): return z_t[:2]
class Tensor:
    shape = (4, 3)
"""

REFUSED = {
    # what is done: how it is refused
    "bound(images(no_channels))": r"ValueError.*ε̂ has shape \(8, 8\), expected \(8, 8, 1\)",
    "bound(images(flat))": r"ValueError.*ε̂ has shape \(64,\), expected \(8, 8, 1\)",
    "bound(images(flat, v.from_v))": r"ValueError.*v̂ has shape \(64,\)",
    "bound(images(good, v.from_level_logits))": r"level logits have shape \(8, 8, 1\)",
    "bound(images(good, too_wide))": r"x̂ of a NetDenoiser has shape \(1, 8, 8, 1\), expected",
    "bound(points(one))": r"ValueError.*\(1,\), expected \(3,\)",
    "bound(points(nothing))": r"ValueError.*\(\), expected \(3,\)",
    "v.draw(points(one), 2, steps=2, key=key)": r"\(1,\), expected \(3,\)",
    "v.evaluate(points(one), many, key=key)": r"\(1,\), expected \(3,\)",
    "v.training_gradient(points(one), jnp.ones((2, 3)), key=key)": (r"\(1,\), expected \(3,\)"),
    "bound(v.VDM(linear, Own(), gaussian, (3,)))": (
        r"ValueError.*x̂ of a Own has shape \(2,\), expected \(3,\)"
    ),
    "bound(toy.under(Several()))": r"ValueError.*Several.gamma.* shape \(2,\), expected \(\)",
    "v.init(toy.under(Falling()), adam)": r"ValueError.*must grow.*Falling",
    "v.evaluate(toy.under(Falling()), many, key=key)": "must grow.*Falling",
    "v.draw(toy.under(Falling()), 2, steps=3, key=key)": "must grow.*Falling",
    "v.sample(toy.under(Falling()), steps=3, key=key)": "must grow.*Falling",
    "bound(decoded('embed'))": r"Decoder embeds has shape \(2,\), expected \(3,\)",
    "bound(decoded('log_prob'))": r"log_prob of a Decoder has shape \(3,\), expected \(\)",
    "v.sample(decoded('mode'), steps=2, key=key)": r"mode of a Decoder has shape \(1,\)",
    "v.draw(decoded('mode'), 2, steps=2, key=key)": r"mode of a Decoder has shape \(1,\)",
    "v.sample(toy, steps=2, step=half_step, key=key)": r"a step returns has shape \(2,\)",
    "v.draw(toy, 2, steps=2, step=half_step, key=key)": r"a step returns has shape \(2,\)",
    "v.sample(toy, steps=2, step=v.DDIM, key=key)": r"TypeError.*a step is a function",
    "v.DDIM(2.0)": "ValueError.*eta is 0 … 1, got 2",
    "v.posterior(point, jnp.zeros(1), 0.0, 1.0)": r"x has shape \(1,\), expected \(3,\)",
    "v.NetDenoiser(without_key)": r"TypeError.*without_key takes \(z, gamma\).*key=None",
    "v.NetDenoiser(eqx.nn.MLP(2, 2, 8, 1, key=key))": r"TypeError.*MLP takes \(x",
    "v.NetDenoiser(3)": "TypeError.*a network is a function, got a int",
    "v.VDM(linear, good, gaussian, (3,))": (
        r"TypeError.*expected AbstractDenoiser, such as NetDenoiser\(net\).*got function"
    ),
    "v.VDM(v.FixedLinear, exact, gaussian, (3,))": "got the class FixedLinear",
    "v.VDM(linear, exact, v.LevelDecoder, (3,))": "got the class LevelDecoder",
    "v.VDM(linear, exact, gaussian, 3)": r"TypeError.*such as \(3,\).*got 3",
    "v.VDM(linear, exact, gaussian, (0,))": "at least 1, got 0",
    "v.nn.MLP((3,), key=0)": r"TypeError.*jax\.random\.key\(0\), got 0",
    "v.recipes.digits(key=0)": r"TypeError.*jax\.random\.key\(0\), got 0",
    "v.recipes.patches(key=1)": r"TypeError.*jax\.random\.key\(1\), got 1",
    "v.spread_times(4, key=0)": r"TypeError.*jax\.random\.key\(0\), got 0",
    "data.sample(data.moons(), 4, key=0)": r"TypeError.*jax\.random\.key\(0\), got 0",
    "v.nn.ConvNet((8, 8), key=key)": r"TypeError.*\(height, width, channels\), got \(8, 8\)",
    "v.nn.ConvNet(3, key=key)": r"TypeError.*\(height, width, channels\), got 3",
    "v.evaluate(toy, many, np.zeros(4), key=key)": r"TypeError.*MLP takes no condition",
    "v.evaluate(toy, many, [0, 1, 2, 3], key=key)": r"TypeError.*conditions are one array",
    "v.vlb(toy, point, 0.5, key=0)": r"TypeError.*jax\.random\.key\(0\), got 0",
    "v.draw(toy, 2, steps=2, key=7)": r"TypeError.*jax\.random\.key\(7\)",
    "v.evaluate(state, many, key=key)": r"TypeError.*state\.average.*got TrainState",
    "v.draw(state, 2, steps=2, key=key)": r"TypeError.*state\.average.*got TrainState",
    "next(v.train(toy, adam, one_batch, key=key))": r"TypeError.*init\(vdm, optimiser\)",
    "next(v.train(state, adam, one_batch, steps=1000, key=key))": "TypeError.*steps",
    "v.VDM(linear, exact, gaussian, (3,)).given(1)": "a GaussianDenoiser takes no condition",
    "v.evaluate(toy, Tensor(), key=key)": r"TypeError.*NumPy or JAX, got a Tensor: np\.asarray",
    "v.evaluate(toy, [many, np.zeros(4)], key=key)": "TypeError.*got a list.*labels",
    "v.evaluate(toy, many, np.zeros(3), key=key)": r"one condition for each example",
    "v.evaluate(toy, np.zeros((0, 3)), key=key)": r"ValueError.*at least one example",
    "v.batch_vlb(toy, np.zeros((0, 3)), key=key)": r"ValueError.*at least one example",
    "v.sample(toy, steps=2.5, key=key)": r"TypeError.*steps must be a whole number, got 2\.5",
    "v.sample(toy, steps=0, key=key)": r"ValueError.*steps must be at least 1, got 0",
    "v.vlb(toy, point, jnp.array([0.1, 0.5]), key=key)": r"time t has shape \(2,\), expected",
    "v.prior_loss(toy, jnp.ones(1))": r"example has shape \(1,\), expected \(3,\)",
    "v.reconstruction_loss(toy, many, key=key)": r"example has shape \(4, 3\), expected",
    "v.MonotoneNet().share(jnp.zeros(4))": r"time of a share has shape \(4,\), expected \(\)",
    "v.sample(state, steps=2, key=key)": r"TypeError.*state\.average.*got TrainState",
    "v.prior_loss(state, point)": r"TypeError.*state\.average.*got TrainState",
    "v.compare_schedules(state, {}, many, key=key)": r"TypeError.*got TrainState",
    "ode.log_prob(state, point)": r"TypeError.*state\.average.*got TrainState",
    "WeightedGradient(lambda g: g[None])(toy, jnp.ones((2, 3)), key=key)": (
        r"weight of every γ of a batch has shape \(2, 1\), expected \(2,\)"
    ),
    "data.dequantise(image + 40, 17, key=key)": r"ValueError.*levels 0 … 16, got 40 … 40",
    "v.Mixture(jnp.array([0.5, 0.4]), jnp.zeros((2, 1)), jnp.ones(2))": r"sum of 0\.9",
    "v.Mixture(jnp.ones(2) / 2, jnp.zeros((2, 1)), jnp.ones(3))": r"\(2,\), got .*\(3,\)",
    "next(iter(data.batches(many, 2, np.zeros(3), key=key)))": "4 examples need as many",
    "v.EmpiricalDenoiser(jnp.zeros((4, 3), int))": r"points are real numbers, got int",
}

TRUE = {
    # what a user may expect
    "numpy integers as counts": """
        v.sample(toy, steps=np.int64(3), key=key), v.sample(toy, steps=jnp.asarray(3), key=key)
        v.evaluate(toy, many, timesteps=np.int64(5), draws=jnp.asarray(2), key=key)
        v.train_step(state, adam, jnp.ones((2, 3)), timesteps=jnp.asarray(5), key=key)
        ode.log_prob(toy, point, probes=np.int64(2), key=key)
        ok = True""",
    "integers as noise levels and times": """
        one, other = exact(point + 1, 2), exact(point + 1, np.int32(2))
        ok = bool(jnp.array_equal(one.eps, other.eps))
        ok &= float(v.alpha2(5)) == float(v.alpha2(5.0)) and float(v.sigma2(np.int64(3))) < 1
        ok &= jnp.isfinite(v.vlb(toy, point, 1, timesteps=5, key=key).loss).item()
        ok &= jnp.isfinite(v.vlb(toy, point, np.int32(0), key=key).loss).item()""",
    "a jitted bound of a model that is an argument": """
        digits = v.recipes.digits(key=key)
        loss = jax.jit(lambda m: v.vlb(m, image, 0.5, key=key).loss)(digits)
        ok = bool(jnp.isfinite(loss))""",
    "a falling schedule has no number under jit": """
        falls = toy.under(Falling())
        loss = jax.jit(lambda t: v.vlb(falls, point, t, key=key).loss)(0.5)
        terms, _ = v.training_gradient(falls, jnp.ones((2, 3)), key=key)
        ok = bool(jnp.isnan(loss) & jnp.isnan(terms.loss).all())""",
    "levels out of range have no price under jit": """
        model = images(good)
        price = jax.jit(lambda x: v.vlb(model, x, 0.5, key=key).loss)
        ok = bool(jnp.isnan(price(image - 1)) & jnp.isnan(price(image + 17)))
        ok &= bool(jnp.isfinite(price(image + 16)))
        rival = axial.AxialTransformer((2, 2, 1), 3, width=8, heads=2, key=key)
        price = jax.jit(lambda level: rival.log_prob(level + image[:2, :2]))
        ok &= bool(jnp.isnan(price(-1)) & jnp.isnan(price(3)) & jnp.isfinite(price(2)))""",
    "an array of times, whatever the schedule": """
        times = jnp.linspace(0, 1, 64)
        ok = True
        for make in (v.MonotoneNet, v.LearnedLinear, v.Cosine, v.Karras):
            schedule = make()
            expected = jax.vmap(schedule)(times)
            ok &= bool(jnp.array_equal(schedule(times), expected))
            ok &= schedule(times.reshape(8, 8)).shape == (8, 8)
            ok &= schedule.slope(times)[1].shape == (64,)""",
    "strict promotion of types": """
        jax.config.update("jax_numpy_dtype_promotion", "strict")
        plain = optax.sgd(1e-3)  # Adam's own count is of another type than its decay
        digits = v.init(v.recipes.digits(key=key), plain)
        v.train_step(digits, plain, image[None], key=key)
        v.train_step(v.init(toy, plain), plain, jnp.ones((2, 3)), key=key)
        v.evaluate(toy, np.zeros((4, 3), np.float32), key=key)
        v.draw(digits.average, 1, steps=2, step=v.DDIM(0.5), key=key)
        data.dequantise(image, 17, key=key)
        curve = v.error_curve(toy, np.ones((4, 3), np.float32), (-13.3, 5.0), key=key)
        curve.variance(linear)
        patches = v.recipes.patches(depth=1, width=8, key=key)
        v.vlb(patches, np.zeros((32, 32, 3), np.uint8), 0.5, key=key)
        jax.config.update("jax_numpy_dtype_promotion", "standard")
        ok = True""",
    "a pair of images and labels as a list": """
        def label_net(z, gamma, label=None, *, key=None):
            return z if label is None else z * label
        model = points(label_net)
        pair = [np.ones((2, 3), np.float32), np.ones(2, np.float32)]
        (_, terms), = v.train(v.init(model, adam), adam, [pair], key=key)
        ok = bool(jnp.isfinite(terms.loss))""",
    "guidance of a model that takes labels": """
        def label_net(z, gamma, label=None, *, key=None):
            return z if label is None else z * label
        told = v.NetDenoiser(label_net)
        guided = ClassifierFree(told, told, 2).given(3.0)
        ok = bool(jnp.allclose(guided(point + 1, 0.0).eps, 5.0))""",
}


@functools.cache
def outcomes() -> dict[str, str]:
    """Try everything in one process; return what came of each."""
    lines = [PRELUDE, "found = {}"]
    for call in REFUSED:
        lines += ["try:", f"    {call}", f"    found[{call!r}] = 'nothing was refused'"]
        lines += ["except Exception as error:"]
        lines += [f"    found[{call!r}] = type(error).__name__ + ': ' + str(error)"]
    for name, code in TRUE.items():
        lines += ["try:", re.sub(r"^        ", "    ", code, flags=re.MULTILINE)]
        lines += [f"    found[{name!r}] = str(bool(ok))", "except Exception as error:"]
        lines += [f"    found[{name!r}] = repr(error)"]
    lines += ["print(json.dumps(found))"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("call", REFUSED)
def test_a_slip_is_refused_in_a_sentence_that_names_it(call):
    assert re.search(REFUSED[call], outcomes()[call], re.DOTALL), outcomes()[call]


@pytest.mark.parametrize("name", TRUE)
def test_what_a_user_may_expect(name):
    assert outcomes()[name] == "True"
