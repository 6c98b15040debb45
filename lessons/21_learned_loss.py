# %% [markdown]
# # 21 · Evolved policy gradients: a loss that is learned
#
# *A minute and a half on 2 CPU cores · 60 minutes to study · after lessons 07 and 10 · Houthooft, Chen, Isola, Stadie, Wolski, Ho and Abbeel 2018 ·
# files `neighbours/learned_loss.py`, `neighbours/evolution.py`*
#
# **The idea.** In all lessons so far the loss was given: a bound on $-\log p$, from a model. Where there is no such bound, a loss may be *learned*: take the one under
# which learners learn best. To find it one needs no derivative of learning, only many lives and their results: evolution.
#
# **After this lesson you can**
# - say what a learned loss sees, and how its slope reaches a policy;
# - estimate a slope from values alone, by pairs of noise and by ranks;
# - tune a rival honestly before you beat it;
# - say what a learned loss overfits, and measure it.

# %%
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from vdmlite.course import claim, pick, pretrained, show
from vdmlite.course.pretrained import returns
from vdmlite.neighbours import evolution, learned_loss
from vdmlite.neighbours.learned_loss import PPO, LearnedLoss, PolicyGradient

keys = iter(jax.random.split(jax.random.key(21), 16))
goals = pick(smoke=8, laptop=512)

# %% [markdown]
# ## The task
#
# A point starts in the middle of the plane and has 8 steps. Somewhere on the unit circle there is a goal, which it *cannot see*. It is told how much nearer it
# came in each step: that is its reward. So an episode earns at most 1.
#
# A **policy** is a small network: place and time ↦ the mean of the next move; noise is added to it, so that something is tried. A policy lives for 4 *updates*, each after
# 4 episodes. Then it is judged by what it earns. A new policy, with a new goal, begins from nothing.
#
# The classical way to learn is the **policy gradient** (REINFORCE): make moves after which much was earned more probable,
#
# $$ L_\text{PG}(\theta) = -\,\mathrm{mean} \left[ \log \pi_\theta(\text{move}) \cdot A \right], \qquad A = \text{what was still to come} - \text{its mean over the episodes} . $$
#
# **PPO** takes several steps on the same episodes, and stops where the policy has changed too much. Both have a step size. A rival that is
# not tuned is no rival, so the step sizes of both are tuned, on goals that are not used again.

# %%
tuning, judging = next(keys), next(keys)
rates = pick(smoke=(0.3,), laptop=(0.15, 0.2, 0.3, 0.4, 0.6))
tuned = {}
for name, make in {"policy gradient": PolicyGradient, "PPO": PPO}.items():
    found = {rate: returns(make(rate), goals=goals, key=tuning).mean() for rate in rates}
    tuned[name] = max(found, key=lambda rate: found[rate])
    print(
        f"{name:16s}", "  ".join(f"step {rate}: {value:.3f}" for rate, value in found.items())
    )
learners = {
    "untrained": PolicyGradient(0.0),
    "policy gradient": PolicyGradient(tuned["policy gradient"]),
    "PPO": PPO(tuned["PPO"]),
}

# %% [markdown]
# ## A loss with weights of its own
#
# The learned loss $L_\varphi$ is a network with 1,200 numbers $\varphi$. It looks at all 32 steps of an update: where the point was, what it did, what it
# earned. Convolutions over the steps make a *context* of them, which is the same for all steps. Then a small net prices each step from what happened, from the context, and from
# **what the policy would do there**, $\mu_\theta$. The mean of the prices is the loss:
#
# $$ L_\varphi(\theta) = \frac{1}{32} \sum_t f_\varphi \left( \text{place}_t, \text{move}_t, \text{reward}_t, \text{context}, \text{memory},\; \mu_\theta(\text{place}_t) \right) . $$
#
# What happened is fixed. So $\nabla_\theta L_\varphi$ reaches the policy through $\mu_\theta$ alone. (The *memory* is four numbers that descend the loss
# together with $\theta$, and last for a life.)
#
# How is $\varphi$ found? By lives: its *fitness* is what policies earn at the end of a life under $L_\varphi$, and 0.3 times what they earn on the way. To differentiate through a life is possible, but a
# poor idea when lives are long and moves are drawn by chance. **Evolution strategies** ask for values only. With $n \sim \mathcal{N}(0, I)$,
#
# $$ \nabla_\varphi \, \mathbb{E}[f(\varphi + \sigma n)] = \frac{1}{\sigma} \mathbb{E}[f(\varphi + \sigma n) \, n] . $$
#
# Three habits make it work. Noise comes in pairs $\pm n$, so that the constant part of $f$ cancels. Values are replaced by their *ranks*, so that one mad life
# does not decide. And all losses of a generation meet the same goals with the same luck.
# We check the formula where the answer is known: $f(\varphi) = -\lVert \varphi - 1 \rVert^2$ in ten dimensions.


# %%
def bowl(phi, *, key):
    """A fitness whose best point is (1, …, 1)."""
    del key
    return -jnp.square(phi - 1.0).sum()


stream = evolution.evolve(bowl, jnp.zeros(10), optax.adam(0.05), key=next(keys))
for number, (phi, values) in itertools.islice(enumerate(stream), 0, 151, 50):
    print(f"generation {number:3d}: distance to the best point {float(jnp.linalg.norm(phi - 1)):.3f}")  # fmt: skip

# %% [markdown]
# ## The evolved loss
#
# The package has a loss that was evolved for 6000 generations of 32 losses and 8 goals: 1.5 million short lives, in less than 2 minutes of a CPU core. (`python -m
# vdmlite.course.pretrained learned_loss` evolves it anew.) It meets 512 goals that it has never seen, beside its rivals, with the same
# first policies and the same luck.

# %%
fresh = LearnedLoss(key=next(keys))
print(f"a learned loss has {sum(a.size for a in jax.tree.leaves(fresh))} numbers")
evolved = pretrained.load("learned_loss")
learners |= {"loss before evolution": fresh, "evolved loss": evolved}
final = {name: returns(learner, goals=goals, key=judging) for name, learner in learners.items()}
print("earned after 4 updates, a mean over goals")
for name, found in final.items():
    print(f"{name:22s}{found.mean():7.3f} ± {found.std(ddof=1) / goals**0.5:.3f}")
for name in ("policy gradient", "PPO"):
    more = final["evolved loss"] - final[name]
    error = more.std(ddof=1) / goals**0.5
    print(f"evolved − {name}: {more.mean():.3f} ± {error:.3f}")
    if name == "policy gradient":
        claim("21", "evolved loss − tuned policy gradient, 512 held-out goals", more.mean(), at_least=0.05, trained=True)  # fmt: skip
        claim("21", "the same in its standard errors", more.mean() / error, at_least=5.0, trained=True)  # fmt: skip
claim("21", "earned with a loss before evolution", final["loss before evolution"].mean(), at_most=0.1, trained=True)  # fmt: skip


# %%
@eqx.filter_jit
def curve(learner, key):
    """Return what is earned after 0, 1, … 4 updates, a mean over goals."""
    tasks = learned_loss.circle(goals, key=key)
    life = lambda task, key: learned_loss.live(learner, task, updates=5, key=key)[1]  # noqa: E731
    return jax.vmap(life)(tasks, jax.random.split(key, goals)).mean(0)


def walks(learner, key):
    """Return where the point goes, for three goals, with the policies at the end of a life."""
    tasks = learned_loss.circle(3, key=jax.random.key(4))

    def one(task, key):
        policy, _ = learned_loss.live(learner, task, updates=4, key=key)
        seen = jax.vmap(lambda k: learned_loss.episode(policy, task, key=k))(jax.random.split(key, 6))  # fmt: skip
        return seen.seen[..., :2]

    return tasks.goal, jax.jit(jax.vmap(one))(tasks, jax.random.split(key, 3))


walk_key = next(keys)
figure, axes = plt.subplots(1, 3, figsize=(11, 3.5))
styles = {"untrained": ":", "policy gradient": "--", "PPO": "-.", "evolved loss": "-"}
for name, style in styles.items():
    axes[0].plot(curve(learners[name], walk_key), style, marker="o", ms=3, label=name)
axes[0].set(xlabel="updates", ylabel="earned", xticks=range(5))
axes[0].legend(fontsize=8)
for ax, name in zip(axes[1:], ("policy gradient", "evolved loss"), strict=True):
    ends, roads = walks(learners[name], walk_key)
    turn = np.linspace(0, 2 * np.pi)
    ax.plot(np.cos(turn), np.sin(turn), color="lightgrey")
    for colour, end, road in zip(("tab:blue", "tab:orange", "tab:purple"), ends, roads, strict=True):  # fmt: skip
        for line in road:
            ax.plot(*line.T, "-", color=colour, lw=0.8)
        ax.plot(*end, "*", color=colour, ms=14, markeredgecolor="black")
    ax.set(title=name, aspect="equal", xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), xticks=(-1, 0, 1), yticks=(-1, 0, 1))  # fmt: skip
show(
    figure,
    "Left: what is earned against the number of updates. Untrained stays just below zero. Policy gradient and PPO rise steadily to about one half. The evolved loss is at nearly "
    "one half after a single update and stays above both. Middle and right: walks of three policies to three stars on a circle, after four updates; with the policy gradient "
    "many end half way, with the evolved loss most come near the circle.",
)

# %% [markdown]
# After one update the evolved loss has nearly found the way; the rivals need three more. It has learned more than a step size: what kind of thing a goal on a circle is, and that
# four noisy episodes are enough to tell its direction. Before evolution the same network ruins any policy: the point runs away as fast as it can.
#
# Be careful with such a victory. The noise of the moves is a part of the task here (a standard deviation of ½). With half of that noise the problem is easier, and in a trial a tuned
# policy gradient earned as much as an evolved loss. With 8 updates the lead shrinks, and with 16 it is lost: look at the table below.
#
# ## Half a minute of evolution
#
# What matters at the start? Four short evolutions, of 300 generations each:
#
# - *even goals*: the 8 goals of a generation are spread evenly round the circle, which is turned by chance (stratified);
# - *goals by chance*: each of the 8 is drawn alone;
# - *guided*: for the first 100 generations half of the loss is that of the policy gradient, so that no life is hopeless (the authors call this
#   bootstrapping);
# - *right half*: even goals, but on the right half of the circle only.

# %%
generations = pick(smoke=3, laptop=300)
kinds = {
    "even goals": {},
    "goals by chance": {"stratified": False},
    "guided": {"guided": generations // 3},
    "right half": {"arc": 0.5},
}
evolve_key = next(keys)
short, history = {}, {}
for name, how in kinds.items():
    short[name], history[name] = pretrained.evolve_loss(fresh, generations=generations, **how, key=evolve_key)  # fmt: skip
    earned = returns(short[name], goals=goals, key=judging)
    print(f"{name:16s} {earned.mean():.3f} ± {earned.std(ddof=1) / goals**0.5:.3f}")
figure, ax = plt.subplots(figsize=(6, 3.2))
for (name, values), style in zip(history.items(), ("-", "--", "-.", ":"), strict=True):
    smooth = np.convolve(values, np.ones(10) / 10, "valid") if len(values) > 10 else values
    ax.plot(np.arange(len(values) - len(smooth), len(values)), smooth, style, label=name)
ax.set(xlabel="generation", ylabel="earned + 0.3 × on the way", ylim=(-3.5, 0.9))
ax.legend()
show(
    figure,
    "Four rising curves over 300 generations. Guided is above zero after about 20 generations and dips when the guide is taken away at 100. The others come into view later: first the right half, then even goals, last goals by "
    "chance; all end between 0.2 and 0.5.",
)

# %% [markdown]
# The guide helps at the start, because the first losses do harm: under all of them the point runs away (about −5). When the guide is taken
# away, the loss has to stand alone, and the curve dips. Even goals did better than goals by chance. A reason may be that eight goals by chance can lie close
# together, so that a loss that always goes there has a high rank. It is one evolution of each kind, so a few hundredths may be luck. In longer trials (2,000 generations, not shown) the two kinds of
# goals earned the same within 0.01.
#
# ## What a learned loss overfits
#
# A policy gradient is derived: it is right for every task. A learned loss is right for what it has met. Both are now put where the evolved loss
# has never been.


# %%
def left(task):
    """Return tasks whose goals are on the left half-plane."""
    return eqx.tree_at(
        lambda t: t.goal, task, task.goal.at[:, 0].set(-jnp.abs(task.goal[:, 0]))
    )


def right(task):
    """Return tasks whose goals are on the right half-plane."""
    return eqx.tree_at(lambda t: t.goal, task, jnp.array([[-1.0, 1.0]]) * left(task).goal)


def turned(angle):
    """Return a change of tasks: moves are turned by an angle."""
    return lambda task: eqx.tree_at(lambda t: t.turn, task, task.turn + angle)


places = {
    "as in evolution": {},
    "8 updates": {"updates": 8},
    "16 updates": {"updates": 16},
    "moves turned by 45°": {"change": turned(jnp.pi / 4)},
    "moves turned by 90°": {"change": turned(jnp.pi / 2)},
    "moves turned by 180°": {"change": turned(jnp.pi)},
    "moves half as long": {
        "change": lambda task: eqx.tree_at(lambda t: t.gain, task, task.gain / 2)
    },
    "goals twice as far": {
        "change": lambda task: eqx.tree_at(lambda t: t.goal, task, 2 * task.goal)
    },
}
print("                        policy gradient   evolved loss      difference")
for name, how in places.items():
    pair = [returns(learners[n], goals=goals, key=judging, **how) for n in ("policy gradient", "evolved loss")]  # fmt: skip
    more = pair[1] - pair[0]
    print(f"{name:24s}{pair[0].mean():10.3f}{pair[1].mean():17.3f}{more.mean():15.3f} ± {more.std(ddof=1) / goals**0.5:.3f}")  # fmt: skip
print("evolved (300 generations) with goals on the right half:")
halves = {}
for name, change in {"right half": right, "left half": left}.items():
    pair = [returns(one, goals=goals, key=judging, change=change) for one in (learners["policy gradient"], short["right half"])]  # fmt: skip
    halves[name] = (pair[1] - pair[0]).mean()
    print(f"{name:24s}{pair[0].mean():10.3f}{pair[1].mean():17.3f}{halves[name]:15.3f}")
claim("21", "a loss evolved on the right half − policy gradient, on the left half", halves["left half"], at_most=-0.1, trained=True)  # fmt: skip

# %% [markdown]
# Three kinds of answers.
#
# - **It carries over** where the way of learning stays right: shorter moves, farther goals, a small turn. (The step of its
#   rival was tuned for moves of the usual length, and is not tuned anew. So the large lead with short moves says little.)
# - **It breaks** where something it took for granted has changed. It knows by heart what a move does; when moves are turned by 90° it
#   falls behind the policy gradient, and at 180° little is left. And it has lived 4 updates only: at 16 it is *worse* than at 8, while the policy gradient goes on learning.
# - **It is best at goals like those it has met.** Evolved on the right half, it earns little on the left: 0.13, where the policy gradient earns 0.49. The policy
#   gradient learns equally well on both sides.
#
# The authors report that their losses carry over to goals outside of those they were evolved on (an ant that is sent the other way).
# In this small task that did not show.
#
# ## And diffusion?
#
# A weighted diffusion loss is a family of losses as well (lesson 15), and a schedule is a choice in it (lesson 07). There nobody has to search for the schedule. The bound does not depend on the
# schedule between its ends, so the schedule may be chosen for the variance alone, and the slope of that comes with the same backward pass. Where nothing is invariant and nothing can be derived, values are all
# one has. In exercise 21.5 the evolution of this lesson finds the noise levels of lesson 10, which the shortest path found exactly.
#
# ## Ask yourself
#
# 1. What would $\nabla_\theta L_\varphi$ be if the price did not see $\mu_\theta$?
# 2. Why do all losses of one generation get the same goals and the same noise?
# 3. Fitness values are 0.51, 0.52, 0.53 and −900. What do ranks make of them? When would one not want that?
# 4. Evolution needs 256 lives for one step. When is that better than to differentiate through a life?
# 5. How would you test whether a learned loss that someone offers is good for *your* task?
#
# <details><summary>Answers</summary>
#
# 1. Zero: everything else in the loss is fixed when the policy is moved.
# 2. Differences of fitness are then due to $\varphi$. With luck of their own, most of what the ranks say would be luck.
# 3. −⅙, ⅙, ½, and −½ for the −900. The disaster counts as the last place only. If disasters matter (a robot breaks), one wants to see their size.
# 4. When a life has no slope (rewards in jumps), when the slope is chaotic over many updates, or when there are many machines: only values have to be sent.
# 5. On tasks of your own, held out, against a rival that was tuned with as much care, with the same luck for both; and then with all that may
#    change in use, one at a time.
# </details>
#
# ## Take along
#
# > **Where a loss cannot be derived, it can be searched for: by whole lives, pairs of noise and ranks. What it has found is right for what it has met; a derived loss is right for
# > reasons.**
#
# Exercises: `exercises/21_learned_loss.ipynb`. In the package: `neighbours.learned_loss`, `neighbours.evolution`.
