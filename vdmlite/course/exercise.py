"""Exercises: a blank, a check that knows the usual slips, hints, and one solution.

An author writes `solutions/NN_name.py`; the build makes of it the notebook with blanks,
the executed notebook, and `units/unitNN.py`, which these functions read at run time.
"""

import contextlib
import importlib
import inspect
import io
import sys
import textwrap
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from .notebook import rounded

DRAWS = 4
"""How many sets of fresh inputs a check tries."""


class Slip(NamedTuple):
    """A plausible wrong answer: in the solution's source, `old` becomes `new`."""

    old: str
    new: str
    why: str


class Law(NamedTuple):
    """A law that a right answer f obeys: sides(f) returns two things that must agree."""

    text: str
    sides: Callable[[Callable], tuple[Any, Any]]


@dataclass(frozen=True)
class Exercise:
    """All that a check, a hint or a test needs to know of one exercise."""

    id: str
    solve: Callable
    inputs: Callable[[jax.Array], tuple]
    hints: tuple[str, ...]
    slips: tuple[Slip, ...]
    laws: tuple[Law, ...]
    ships: Callable | None
    equivalent: tuple[str, ...]
    tolerance: float

    @property
    def name(self) -> str:
        """The name of the function to write."""
        return self.solve.__name__

    @property
    def source(self) -> str:
        """The solution's source text, without the author's marks."""
        lines = textwrap.dedent(inspect.getsource(self.solve)).splitlines()
        return "\n".join(line for line in lines if not line.strip().startswith("### "))

    def variant(self, source: str) -> Callable:
        """Return the function that a changed source text defines."""
        scope = dict(self.solve.__globals__)
        exec(compile(source, f"<exercise {self.id}>", "exec"), scope)  # noqa: S102  our own text
        return scope[self.name]

    def wrong(self, slip: Slip) -> Callable:
        """Return the function with the slip planted."""
        if slip.old not in self.source:
            raise ValueError(f"exercise {self.id}: {slip.old!r} is not in the solution")
        return self.variant(self.source.replace(slip.old, slip.new))

    def draws(self) -> list[tuple]:
        """Return the fresh inputs that a check tries, the same for everyone."""
        key = jax.random.key(zlib.crc32(self.id.encode()))
        return [self.inputs(k) for k in jax.random.split(key, DRAWS)]


_registry: dict[str, Exercise] = {}


def exercise(
    id: str,
    solve: Callable,
    *,
    inputs: Callable[[jax.Array], tuple],
    hints: Sequence[str],
    slips: Sequence[Slip | tuple[str, str, str]],
    laws: Sequence[Law | tuple[str, Callable]] = (),
    ships: Callable | None = None,
    equivalent: Sequence[str] = (),
    tolerance: float = 1e-4,
) -> None:
    """Register an exercise; an author calls this beside the solution.

    `inputs(key)` makes one set of arguments. `ships` is the function of vdmlite that does
    the same, held equal by a test. `equivalent` lists changes of the solution's text that
    the tests make and that, for a stated reason, change nothing. `tolerance` is relative
    to the size of the expected values.
    """
    _registry[id] = Exercise(
        id,
        solve,
        inputs,
        tuple(hints),
        tuple(Slip(*s) for s in slips),
        tuple(Law(*law) for law in laws),
        ships,
        tuple(equivalent),
        tolerance,
    )


def find(id: str) -> Exercise:
    """Return an exercise by its number, such as "2.1", from the unit that has it."""
    if not isinstance(id, str):
        raise NoSuchExercise(f'the number of an exercise wants quotes: "{id}", not {id}')
    if id not in _registry:
        unit = id.partition(".")[0]
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(f"vdmlite.course.units.unit{unit.zfill(2)}")
    if id not in _registry:
        raise NoSuchExercise(f"there is no exercise {id!r}")
    return _registry[id]


def unit_exercises(unit: int) -> list[Exercise]:
    """Return the exercises of a unit, in their order."""
    importlib.import_module(f"vdmlite.course.units.unit{unit:02d}")
    return [e for id, e in _registry.items() if id.startswith(f"{unit}.")]


class ShortError(Exception):
    """An error that notebooks show as its message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class NoSuchExercise(ShortError, LookupError):
    """A number that no unit has."""


class NotFilledIn(ShortError):
    """A blank is still open."""


class NotYet(ShortError):
    """An answer is not right yet."""


def todo(id: str, what: str) -> Any:
    """Stand for an answer that is still to be written; raises when run."""
    raise NotFilledIn(f"○ {id} is not filled in yet. Put here {what}, and run the cell again.")


def hint(id: str, number: int = 1) -> None:
    """Print a hint; `hint(id, 2)` prints the second."""
    hints = find(id).hints
    if not 1 <= number <= len(hints):
        raise ShortError(f"exercise {id} has hints 1 to {len(hints)}, asked for {number}")
    more = f"   (more: hint({id!r}, {number + 1}))" if number < len(hints) else ""
    print(f"Hint {number} of {len(hints)}: {hints[number - 1]}{more}")


def solution(id: str) -> None:
    """Print one right answer."""
    print(find(id).source)


def check(id: str) -> None:
    """Check the function that the notebook defines for an exercise: shape, value, law.

    Raises:
        NotFilledIn: it is still blank.
        NotYet: it is not right; the message says in what, and names the slip if it is known.
    """
    print(judge(find(id), sys._getframe(1).f_globals))


def check_source(id: str) -> str:
    """Return the text of the cell that checks an exercise."""
    return f'check("{id}")'


def praise(exercise: Exercise) -> str:
    """Return what a passed check prints: the reference that an answer is held against."""
    laws = "".join(f"\n  And so it holds that {law.text}." for law in exercise.laws)
    return f"✓ {exercise.id} {exercise.name} is right.{laws}"


def judge(exercise: Exercise, scope: dict[str, Any]) -> str:
    """Return the praise for the answer in `scope`, or raise what `check` raises."""
    answer = scope.get(exercise.name)
    if exercise.name not in scope:
        _not_yet(exercise, f"there is no {exercise.name} yet: run its cell; is it spelt so?")
    if not callable(answer):
        _not_yet(exercise, f"it should be a function, but it is {answer!r}")
    _check_arity(exercise, answer)
    draws = exercise.draws()
    results = [_captured(exercise, answer, args) for args in draws]
    expected = [exercise.solve(*args) for args in draws]
    # A list will do for a tuple.
    results = [
        tuple(got) if isinstance(got, list) and isinstance(want, tuple) else got
        for got, want in zip(results, expected, strict=True)
    ]
    for stage in (_shape_complaint, _value_complaint):
        for args, got, want in zip(draws, results, expected, strict=True):
            complaint = stage(exercise, args, got, want)
            if complaint:
                _not_yet(exercise, complaint, _named_slip(exercise, draws, results))
    for law in exercise.laws:
        left, right = _captured(exercise, law.sides, (answer,))
        if not _agree(left, right, exercise.tolerance):
            _not_yet(
                exercise,
                f"the values agree, but not the law that {law.text}: "
                f"{rounded(left)} against {rounded(right)}",
            )
    return praise(exercise)


def _not_yet(exercise: Exercise, complaint: str, slip: str = "") -> NoReturn:
    head = f"✗ {exercise.id} {exercise.name} is not right yet: "
    tail = f"\n  {slip}" if slip else f"\n  For a nudge: hint({exercise.id!r})"
    raise NotYet(head + complaint + tail)


def _check_arity(exercise: Exercise, answer: Callable) -> None:
    wanted = list(inspect.signature(exercise.solve).parameters)
    got = list(inspect.signature(answer).parameters)
    told = f"it should take ({', '.join(wanted)}), but takes ({', '.join(got)})"
    if sorted(wanted) == sorted(got) and wanted != got:
        _not_yet(exercise, f"{told}: mind the order")
    try:
        inspect.signature(answer).bind(*wanted)
    except TypeError:
        _not_yet(exercise, told)


def _captured(exercise: Exercise, function: Callable, args: tuple) -> Any:
    """Return function(*args), quietly; an error becomes a complaint with the line it is in."""
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            return function(*args)
    except NotFilledIn:
        raise
    except Exception as error:
        where = _student_line(error)
        complaint = (
            f"it stops with {type(error).__name__}: {error}{_for(exercise, args)}{where}"
        )
    _not_yet(exercise, complaint)


def _student_line(error: Exception) -> str:
    """Return the last line of the traceback that is neither ours nor a library's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and "vdmlite" not in frame.filename
    ]
    if not frames or not frames[-1].line:
        return ""
    return f"\n  in your line:  {frames[-1].line.strip()}"


def _leaves(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def _array(value: Any) -> np.ndarray:
    return np.asarray(value, np.float64)


def _shape_complaint(exercise: Exercise, args: tuple, got: Any, want: Any) -> str:
    if got is None:
        return "it returns None: is there a return?"
    if got is ...:
        return "it returns ..., the blank is still open"
    if len(_leaves(got)) != len(_leaves(want)):
        ending = ": end with return a, b" if isinstance(want, tuple) else ""
        return f"it should return {_count(want)}, but returns {_count(got)}{ending}"
    for one, other in zip(_leaves(got), _leaves(want), strict=True):
        try:
            shape = _array(one).shape
        except (TypeError, ValueError):
            return f"it should return numbers, but returns {type(one).__name__}"
        wanted = _array(other).shape
        if shape != wanted:
            return f"the shape should be {wanted}, but is {shape}{_for(exercise, args)}"
    return ""


def _count(value: Any) -> str:
    n = len(_leaves(value))
    return f"{n} values" if isinstance(value, tuple) else "one value"


def _value_complaint(exercise: Exercise, args: tuple, got: Any, want: Any) -> str:
    if _agree(got, want, exercise.tolerance):
        return ""
    for place, (one, other) in enumerate(zip(_leaves(got), _leaves(want), strict=True)):
        if _agree(one, other, exercise.tolerance):
            continue
        which = f"value {place + 1} of {len(_leaves(want))} " if isinstance(want, tuple) else ""
        if not np.isfinite(_array(one)).all():
            return (
                f"{which}it returns {rounded(one)}, which is not finite{_for(exercise, args)}"
            )
        return (
            f"{which}it returns {rounded(one)}, expected {rounded(other)}{_for(exercise, args)}"
        )
    return ""


def _for(exercise: Exercise, args: tuple) -> str:
    """Return " for gamma = …": the numbers among the arguments, and the shapes of arrays."""
    names = inspect.signature(exercise.solve).parameters
    words = [
        f"{name} = {rounded(value)}"
        if np.size(value) <= 3
        else f"{name} of shape {np.shape(value)}"
        for name, value in zip(names, args, strict=False)
        if isinstance(value, (float, int, np.ndarray, jax.Array))
        and not jnp.issubdtype(getattr(value, "dtype", float), jax.dtypes.prng_key)
    ]
    return f" for {', '.join(words)}" if words else ""


def _agree(got: Any, want: Any, tolerance: float) -> bool:
    """Return whether two results are the same up to `tolerance` of the expected size."""
    if len(_leaves(got)) != len(_leaves(want)):
        return False
    for one, other in zip(_leaves(got), _leaves(want), strict=True):
        try:
            one, other = _array(one), _array(other)
        except (TypeError, ValueError):
            return False
        finite = np.abs(other[np.isfinite(other)])
        room = tolerance * np.max(finite, initial=1e-6)
        if one.shape != other.shape:
            return False
        if not np.isclose(one, other, 0, room, equal_nan=True).all():
            return False
    return True


def _named_slip(exercise: Exercise, draws: list[tuple], results: list[Any]) -> str:
    """Return why, if the results are those of a planted wrong answer."""
    for slip in exercise.slips:
        wrong = exercise.wrong(slip)
        try:
            theirs = [wrong(*args) for args in draws]
        except Exception:  # noqa: S112  a slip that stops on these inputs explains nothing here
            continue
        pairs = zip(results, theirs, strict=True)
        if all(_agree(got, want, exercise.tolerance) for got, want in pairs):
            return slip.why
    return ""
