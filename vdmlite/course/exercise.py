"""Exercises: a blank, a check that knows the usual slips, hints, and one solution.

An author writes `solutions/NN_name.py`; the build makes of it the notebook with blanks,
the executed notebook, and `units/unitNN.py`, which these functions read at run time.
"""

import contextlib
import functools
import importlib
import inspect
import io
import re
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

from .compare import agree, leaves, numbers, size
from .notebook import FEW, rounded
from .slips import explain

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
        scope = dict(inspect.unwrap(self.solve).__globals__)
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
    # A complaint is easiest to follow where the inputs are small.
    rows = sorted(zip(draws, results, expected, strict=True), key=lambda row: size(row[0]))
    for stage in (_shape_complaint, _value_complaint):
        for args, got, want in rows:
            complaint = stage(exercise, args, got, want)
            if complaint:
                named = _named_slip(exercise, rows, answer, complaint)
                _not_yet(exercise, complaint, *named)
    for law in exercise.laws:
        left, right = _captured(exercise, law.sides, (_for_laws(answer, expected[0]),))
        if not agree(left, right, exercise.tolerance):
            told = f"the values agree, but not the law that {law.text}"
            _not_yet(exercise, told + _against(left, right, exercise.tolerance))
    return praise(exercise)


def _not_yet(exercise: Exercise, complaint: str, *named: str) -> NoReturn:
    head = f"✗ {exercise.id} {exercise.name} is not right yet: "
    tail = "".join(f"\n  {line}" for line in named or [f"For a nudge: hint({exercise.id!r})"])
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
        with (
            contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(quiet),
            np.errstate(all="ignore"),  # what is not finite gets its own complaint
        ):
            return function(*args)
    except NotFilledIn:
        raise
    except jax.errors.TracerArrayConversionError as error:
        complaint = f"NumPy {_STOPS}: use jnp, not np" + _student_line(error)
    except NEEDS_A_NUMBER as error:
        told = f"float(), int(), math, an if or a Python index {_STOPS}"
        complaint = f"{told}: keep it an array, with jnp" + _student_line(error)
    except Exception as error:
        told = f"it stops with {type(error).__name__}: {error}{_for(exercise, args)}"
        complaint = told + _student_line(error)
        if isinstance(error, TypeError) and re.search("tuple|sequence", str(error)):
            complaint += (
                "\n  A comma at the end of a line makes a tuple: is there one too many?"
            )
    _not_yet(exercise, complaint)


_STOPS = "stops the gradient (or vmap, or jit) that goes through here"
NEEDS_A_NUMBER = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


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


def _shape_complaint(exercise: Exercise, args: tuple, got: Any, want: Any) -> str:
    if got is None:
        return "it returns None: is there a return?"
    if got is ...:
        return "it returns ..., the blank is still open"
    if isinstance(got, tuple) and len(got) == 1 and not isinstance(want, tuple):
        return f"it returns {_COMMA}"
    if len(leaves(got)) != len(leaves(want)):
        ending = ": end with return a, b" if isinstance(want, tuple) else ""
        return f"it should return {_count(want)}, but returns {_count(got)}{ending}"
    for place, (one, other) in enumerate(zip(leaves(got), leaves(want), strict=True)):
        if isinstance(one, tuple) and len(one) == 1:
            return f"value {place + 1} of {len(leaves(want))} is {_COMMA}"
        try:
            shape = numbers(one).shape
        except (TypeError, ValueError):
            return f"it should return numbers, but returns {type(one).__name__}"
        wanted = numbers(other).shape
        if shape != wanted:
            return f"the shape should be {wanted}, but is {shape}{_for(exercise, args)}"
    return ""


_COMMA = "a tuple of one value, which a comma at the end of a line makes: remove the comma"


def _count(value: Any) -> str:
    n = len(leaves(value))
    return f"{n} value{'s' * (n != 1)}" if isinstance(value, tuple) else "one value"


def _value_complaint(exercise: Exercise, args: tuple, got: Any, want: Any) -> str:
    if agree(got, want, exercise.tolerance):
        return ""
    for place, (one, other) in enumerate(zip(leaves(got), leaves(want), strict=True)):
        if agree(one, other, exercise.tolerance):
            continue
        which = f"value {place + 1} of {len(leaves(want))} " if isinstance(want, tuple) else ""
        if np.any(~np.isfinite(numbers(one)) & np.isfinite(numbers(other))):
            told = f"{rounded(one)}, which is not finite"
        else:
            where, mine, right = _apart(one, other)
            told = f"{mine}{where}, expected {right}"
        return f"{which}it returns {told}{_for(exercise, args)}"
    return ""


def _against(left: Any, right: Any, tolerance: float) -> str:
    """Return the two sides of a law where they part, or nothing if they cannot be compared."""
    for one, other in zip(leaves(left), leaves(right), strict=False):
        with contextlib.suppress(TypeError, ValueError):
            if numbers(one).shape == numbers(other).shape and not agree(one, other, tolerance):
                where, mine, theirs = _apart(one, other)
                return f": {mine} against {theirs}{where}"
    return ""


def _apart(one: Any, other: Any) -> tuple[str, str, str]:
    """Return a place and two texts, with as many digits as show that the values differ.

    The place is empty for numbers and small arrays, which are printed whole.
    """
    one, other = numbers(one), numbers(other)
    with np.errstate(invalid="ignore"):
        gap = np.where(one == other, 0.0, np.abs(one - other))
    worst = np.unravel_index(np.argmax(gap), gap.shape)
    digits = 4
    while digits < 17 and rounded(one[worst], digits) == rounded(other[worst], digits):
        digits += 1
    if gap.size <= FEW:
        return "", rounded(one, digits), rounded(other, digits)
    where = f" at [{', '.join(map(str, worst))}]"
    return where, rounded(one[worst], digits), rounded(other[worst], digits)


def _for(exercise: Exercise, args: tuple) -> str:
    """Return " for gamma = …": the arguments of few numbers, and others' shapes."""
    names = inspect.signature(exercise.solve).parameters
    words = [
        f"{name} = {rounded(value)}"
        if np.size(value) <= FEW
        else f"{name} of shape {np.shape(value)}"
        for name, value in zip(names, args, strict=False)
        if isinstance(value, (float, int, np.ndarray, jax.Array))
        and not jnp.issubdtype(getattr(value, "dtype", float), jax.dtypes.prng_key)
    ]
    return f" for {', '.join(words)}" if words else ""


def _for_laws(answer: Callable, want: Any) -> Callable:
    """Return the answer as a law wants it: a list of numbers becomes an array, or a tuple."""

    @functools.wraps(answer)
    def function(*args: Any) -> Any:
        result = answer(*args)
        if not isinstance(result, list):
            return result
        return tuple(result) if isinstance(want, tuple) else jnp.asarray(result)

    return function


def _named_slip(
    exercise: Exercise,
    rows: Sequence[tuple[tuple, Any, Any]],
    answer: Callable,
    complaint: str,
) -> list[str]:
    """Return why the results are wrong, if they are those of a slip, and where to read on."""
    for slip in exercise.slips:
        wrong = exercise.wrong(slip)
        try:
            with np.errstate(all="ignore"):
                theirs = [wrong(*args) for args, _, _ in rows]
        except Exception:  # noqa: S112  a slip that stops on these inputs explains nothing here
            continue
        if all(
            agree(got, other, exercise.tolerance)
            for (_, got, _), other in zip(rows, theirs, strict=True)
        ):
            return [slip.why]
    # A comma too many says all: numbers in a tuple would be explained wrongly.
    told = "" if _COMMA in complaint else explain(exercise, rows, answer)
    return [told, f"For a nudge: hint({exercise.id!r})"] if told else []
