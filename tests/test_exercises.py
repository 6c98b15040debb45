"""The proofs that checks can be trusted: right answers pass, wrong ones fail and are named."""

import ast
import copy
import dataclasses
import functools
import inspect
import math
import operator
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdmlite.course import build, slips
from vdmlite.course.compare import agree
from vdmlite.course.exercise import (
    Exercise,
    Law,
    NotFilledIn,
    NotYet,
    ShortError,
    _apart,
    check,
    find,
    hint,
    judge,
    praise,
    solution,
    unit_exercises,
)

pytestmark = pytest.mark.course

SOURCES = build.sources("solutions")
CELLS = {
    build.number_of(cell): cell.source
    for source in SOURCES
    for cell in build.cells_of(source)
    if build.number_of(cell)
}
NUMBERS = sorted(CELLS)


@pytest.fixture(autouse=True)
def _as_in_a_notebook():
    with jax.numpy_rank_promotion("allow"):
        yield


def answer(exercise: Exercise, text: str) -> str:
    return judge(exercise, {exercise.name: exercise.variant(text)})


def test_every_unit_has_three_to_six_exercises():
    for source in SOURCES:
        unit = int(source.stem[:2])
        assert (3 if unit else 1) <= len(unit_exercises(unit)) <= 6, source


def test_every_registered_exercise_has_a_cell():
    registered = {e.id for s in SOURCES for e in unit_exercises(int(s.stem[:2]))}
    assert registered == set(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_is_complete(number):
    exercise = find(number)
    assert exercise.hints
    assert len(exercise.slips) >= 2
    assert f"def {exercise.name}(" in CELLS[number]


@pytest.mark.parametrize("number", NUMBERS)
def test_solution_passes(number, monkeypatch):
    """Also where ranks must agree: nothing of ours leans on JAX's adding axes by itself."""
    with jax.numpy_rank_promotion("raise"):
        exercise = at_hand(number, monkeypatch)
        assert answer(exercise, build.solved(CELLS[number])) == praise(exercise)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_open_blank_fails_alone(number, monkeypatch):
    exercise = at_hand(number, monkeypatch)
    for only in range(build.count_blanks(CELLS[number])):
        with pytest.raises(NotFilledIn, match=number):
            answer(exercise, build.blanked(CELLS[number], number, only=only))


@pytest.mark.parametrize("number", NUMBERS)
def test_every_slip_fails_and_is_named(number, monkeypatch):
    exercise, wrong = at_hand(number, monkeypatch), {}
    for slip in exercise.slips:
        # Two slips with the same change have the same numbers, and are computed once.
        wrong[slip[:2]] = remembered(exercise.wrong(slip))
    monkeypatch.setattr(Exercise, "wrong", lambda _, slip: wrong[slip[:2]])
    for slip in exercise.slips:
        with pytest.raises(NotYet) as caught:
            judge(exercise, {exercise.name: wrong[slip[:2]]})
        assert slip.why in str(caught.value), slip


@pytest.mark.parametrize("number", NUMBERS)
def test_agrees_with_what_the_package_ships(number, monkeypatch):
    exercise = at_hand(number, monkeypatch)
    if exercise.ships is None:
        pytest.skip("the package has no such function")
    for args in exercise.draws():
        assert agree(exercise.solve(*args), exercise.ships(*args), exercise.tolerance)


def remembered(function):
    """The same function, which runs once for the very same arguments."""
    known = []

    def outcome(args):
        for seen, *found in known:
            if len(seen) == len(args) and all(map(operator.is_, args, seen)):
                return found
        try:
            found = function(*args), None
        except Exception as error:
            found = None, error
        known.append((args, *found))
        return found

    @functools.wraps(function)
    def again(*args):
        value, error = outcome(args)
        if error is not None:
            raise error
        return value

    return again


@functools.cache
def made(number: str) -> tuple[Exercise, list[tuple]]:
    """An exercise that computes its values once, and its inputs."""
    exercise = find(number)
    return dataclasses.replace(exercise, solve=remembered(exercise.solve)), exercise.draws()


def at_hand(number: str, monkeypatch) -> Exercise:
    """An exercise, its inputs made and its values computed once for all tests."""
    exercise, draws = made(number)
    monkeypatch.setattr(Exercise, "draws", lambda _: draws)
    return exercise


@pytest.mark.parametrize("number", NUMBERS)
def test_mutants_are_caught(number, record_property, monkeypatch):
    exercise = at_hand(number, monkeypatch)
    draws = exercise.draws()
    # A wrong answer gets no name: that has its own test, and is most of the work.
    monkeypatch.setitem(judge.__globals__, "_named_slip", lambda *_: "")
    caught, survivors = 0, []
    mutants = dict(mutants_of(CELLS[number]))
    for text, changed in mutants.items():
        if changed in exercise.equivalent:
            continue
        function = exercise.variant(text)
        for some in (draws[:1], draws):  # mostly the first inputs are enough
            monkeypatch.setattr(Exercise, "draws", lambda _, some=some: some)
            try:
                judge(exercise, {exercise.name: function})
            except (NotYet, NotFilledIn):
                caught += 1
                break
        else:
            survivors.append(changed)
    record_property("mutants", (caught, len(exercise.equivalent)))
    assert not survivors, "\n".join(survivors)
    assert set(exercise.equivalent) <= set(mutants.values()), "declared, but never made"
    assert caught >= 2


def test_solutions_do_not_leak():
    for source in SOURCES:
        cells = build.notebook(source, "exercises").cells
        shipped = "\n".join(c.source for c in cells if c.cell_type == "code")
        for cell in build.cells_of(source):
            for line in block_lines(cell.source) if build.number_of(cell) else []:
                assert line not in shipped, (source.name, line)


SWAPS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.Gt,
    ast.GtE: ast.Lt,
}


def block_lines(text: str) -> list[str]:
    """The lines inside the blanks, those long enough to give something away."""
    lines, inside = [], False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("### "):
            inside = line.startswith(build.BEGIN)
        elif inside and len(line) > 12:
            lines.append(line)
    return lines


def blank_rows(text: str) -> set[int]:
    """The line numbers, in the solved text, that stand inside blanks."""
    rows, row, inside = set(), 0, False
    for line in text.splitlines():
        if line.strip().startswith("### "):
            inside = line.strip().startswith(build.BEGIN)
            continue
        row += 1
        if inside:
            rows.add(row)
    return rows


def mutants_of(text: str) -> Iterator[tuple[str, str]]:
    """Each small change of the blanks: the whole changed text, and the changed statement."""
    tree = ast.parse(build.solved(text))
    rows = blank_rows(text)
    function = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    names = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
    original = ast.unparse(tree)
    for index, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", None) not in rows:
            continue
        for change in range(2):
            copied = copy.deepcopy(tree)
            twin = list(ast.walk(copied))[index]
            if mutate(copied, twin, change, names) and ast.unparse(copied) != original:
                mutant = ast.unparse(copied)
                yield mutant, changed_statement(original, mutant)


def changed_statement(original: str, mutant: str) -> str:
    pairs = zip(original.splitlines(), mutant.splitlines(), strict=True)
    return next(b.strip() for a, b in pairs if a != b)


def mutate(tree: ast.AST, node: ast.AST, change: int, names: list[str]) -> bool:
    """Make one of the changes that fit the node, in place; say whether there was one."""
    if change == 1:
        if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
            return replace(tree, node, node.args[0])
        return False
    match node:
        case ast.BinOp() if type(node.op) in SWAPS:
            node.op = SWAPS[type(node.op)]()
        case ast.Compare() if type(node.ops[0]) in SWAPS:
            node.ops[0] = SWAPS[type(node.ops[0])]()
        case ast.UnaryOp(op=ast.USub()):
            return replace(tree, node, node.operand)
        case ast.Constant(value=int() | float() as value):
            node.value = value + 1
        case ast.Call() if len(node.args) >= 2:
            node.args[0], node.args[1] = node.args[1], node.args[0]
        case ast.Name(id=name) if name in names and len(names) > 1:
            node.id = names[(names.index(name) + 1) % len(names)]
        case _:
            return False
    return True


def replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> bool:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
                return True
            if isinstance(value, list) and any(item is old for item in value):
                value[:] = [new if item is old else item for item in value]
                return True
    return False


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ({}, "run its cell; is it spelt so"),
        ({"scales": 3}, "should be a function"),
        ({"scales": lambda: None}, r"should take \(gamma\), but takes \(\)"),
        ({"scales": lambda gamma: None}, "returns None"),
        ({"scales": lambda gamma, x: None}, "should take"),
        ({"scales": lambda gamma: ...}, r"returns \.\.\."),
        ({"scales": lambda gamma: gamma}, "should return 2 values, but returns one value"),
        ({"scales": lambda gamma: ("a", "b")}, "should return numbers, but returns str"),
        ({"scales": lambda gamma: ("1.5", gamma)}, "should return numbers, but returns str"),
        ({"scales": lambda gamma: ({}, gamma)}, "should return numbers, but returns dict"),
        ({"scales": lambda gamma: (gamma,)}, "but returns 1 value:"),
        ({"scales": lambda gamma: ((gamma,), gamma)}, "value 1 of 2 is .* remove the comma"),
        ({"scales": lambda gamma: (float((gamma,)), gamma)}, "comma at the end of a line"),  # pyright: ignore[reportArgumentType]
        ({"scales": lambda gamma: (0.5 * (gamma,), gamma)}, "comma at the end of a line"),  # pyright: ignore[reportOperatorIssue]
        ({"scales": lambda gamma: (gamma[None], gamma)}, "the shape should be"),
        ({"scales": lambda gamma: (gamma * float("nan"), gamma)}, "not finite"),
        ({"scales": lambda gamma: (gamma, gamma)}, "value 1 of 2 .* expected"),
        ({"scales": lambda gamma: gamma.nonsense}, "stops with AttributeError"),
    ],
)
def test_a_wrong_answer_gets_one_clear_message(scope, message):
    with pytest.raises(NotYet, match=message) as caught:
        judge(find("2.1"), scope)
    assert caught.value._render_traceback_() == [str(caught.value)]
    assert len(str(caught.value).splitlines()) <= 4


def test_the_order_of_arguments_is_minded():
    with pytest.raises(NotYet, match="mind the order"):
        judge(find("2.2"), {"diffuse": lambda eps, x, gamma: x})


def test_a_list_will_do_for_a_tuple():
    exercise = find("2.1")
    assert judge(exercise, {"scales": lambda gamma: list(exercise.solve(gamma))})


KINDS = ["2.1", "2.2", "3.6"]  # two values, an array, a number
ENDLESS: list = [1.0]
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize("number", KINDS)
@pytest.mark.parametrize(
    "strange", ["a", "1.5", {}, [[1], [1, 2]], 1j, np.array(None), ENDLESS]
)
def test_what_is_no_number_gets_a_sentence(number, strange):
    exercise = find(number)
    wanted = exercise.solve(*exercise.draws()[0])
    result = (strange,) * len(wanted) if isinstance(wanted, tuple) else strange
    with pytest.raises(NotYet, match="should return numbers, but returns"):
        judge(exercise, {exercise.name: like(exercise, lambda *args: result)})


@pytest.mark.parametrize("number", KINDS)
def test_a_comma_too_many_is_named(number):
    exercise = find(number)

    def answer(*args):
        result = exercise.solve(*args)
        return ((result[0],), *result[1:]) if isinstance(result, tuple) else (result,)

    with pytest.raises(NotYet, match="remove the comma") as caught:
        judge(exercise, {exercise.name: like(exercise, answer)})
    assert "Exactly" not in str(caught.value)


def like(exercise: Exercise, function):
    """The function, under the names of arguments that the exercise asks for."""
    function.__signature__ = inspect.signature(exercise.solve)
    return function


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (0.0022381, 0.0022384, ("", "0.0022381", "0.0022384")),
        (-160.63, -160.58, ("", "-160.63", "-160.58")),
        (57470, 57471, ("", "57470", "57471")),
        (57470.25, 57471.25, ("", "57470", "57471")),
        (30578181.0, 30578182.0, ("", "30578181", "30578182")),
        (0.5, float("inf"), ("", "0.5", "inf")),
        ([1.0, 2.00001], [1.0, 2.00002], ("", "[1 2.00001]", "[1 2.00002]")),
        (np.arange(15.0).reshape(3, 5), np.ones((3, 5)), (" at [2, 4]", "14", "1")),
    ],
)
def test_two_numbers_are_told_apart(one, other, told):
    assert _apart(one, other) == told


def test_a_complaint_shows_small_inputs_in_numbers():
    exercise = find("2.2")
    answer = like(exercise, lambda *args: 2 * exercise.solve(*args))
    with pytest.raises(NotYet, match=r"it returns \[\[.*expected \[\[.* for x = \[\["):
        judge(exercise, {exercise.name: answer})


def test_the_smallest_inputs_come_first():
    sizes = iter([5, 2, 7, 3])
    varied = dataclasses.replace(
        find("2.1"), inputs=lambda key: (jnp.ones(next(sizes)),), laws=(), slips=()
    )
    answer = like(varied, lambda gamma: (gamma, gamma))
    with pytest.raises(NotYet, match=r"for gamma = \[1 1\]"):
        judge(varied, {varied.name: answer})


def test_numpy_in_a_gradients_way_is_named():
    exercise = find("1.2")

    def answer(mean, log_std, eps):
        return np.add(mean, np.exp(log_std) * eps)

    with pytest.raises(NotYet, match="use jnp, not np"):
        judge(exercise, {exercise.name: answer})


def an_exercise(solve, inputs, **rest) -> Exercise:
    """An exercise that no unit has."""
    settings = {"hints": (), "slips": (), "laws": (), "ships": None, "equivalent": ()}
    return Exercise(id="99.1", solve=solve, inputs=inputs, tolerance=1e-4, **settings | rest)


def cost(x, weight, gamma, steps):
    share = jax.nn.sigmoid(-gamma)
    kept = jnp.sqrt(share) * x
    total = jnp.sum(jnp.expm1(weight) * kept**2)
    return 0.5 * steps * total


def parts(x, y):
    total = x + y
    ratio = x / y
    return total, ratio


def walk(table, steps):
    way = [0]
    rows = range(steps)
    for row in rows:
        way.append(table[row, way[-1]])
    return jnp.stack(way[1:])


def numbers(key, *shapes, low=0.2, high=2.0):
    keys = jax.random.split(key, len(shapes))
    return [
        jax.random.uniform(k, s, minval=low, maxval=high)
        for k, s in zip(keys, shapes, strict=True)
    ]


def difference(x, y):
    return x - y


def tally(x):
    total = 0.0
    for one in x:
        total += one**2
    return total


def dear(x):
    return jnp.sum(x) * sum(abs(2) for _ in range(50_000))


def slope(f):
    """How it grows with all its arguments, at two places."""
    x, weight, gamma, steps = COST.draws()[0]
    at = jax.grad(lambda c: f(c * x, c * weight, c * gamma, steps))
    return jax.vmap(at)(jnp.array([0.5, 1.0]))


COST = an_exercise(
    cost,
    lambda key: (*numbers(key, (3, 2), (2,), ()), int(7 * jax.random.uniform(key)) + 3),
    laws=(Law("it grows as it should", lambda f: (slope(f), slope(cost))),),
)
PARTS = an_exercise(parts, lambda key: tuple(numbers(key, (4,), (4,))))
WALK = an_exercise(
    walk,
    lambda key: (jax.random.randint(key, (6, 5), 0, 5), int(4 * jax.random.uniform(key)) + 2),
)


def told(exercise: Exercise, *changes: tuple[str, str]) -> str:
    """What is said of the solution with changes in its text."""
    text = exercise.source
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(NotYet) as caught:
        answer(exercise, text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.5 *", "", "if the result is doubled: a factor ½ is missing"),
        ("0.5 *", "-0.5 *", "if the sign is turned"),
        ("0.5 *", "0.6 *", "if the result is multiplied by 1.2"),
        ("steps *", "", "if a factor steps is missing"),
        ("return 0.5", "return 3 + 0.5", "if 3 is added to the result"),
        ("return 0.5", "return 1 / 0.5", "the result is multiplied by 4"),
        ("jnp.sum(", "jnp.mean(", "if a mean stands for a sum, or the reverse"),
        ("jnp.sum(jnp.expm1(weight) * kept**2)", "jnp.expm1(weight) * kept**2", "added up"),
        ("-gamma", "gamma", "if the sign of gamma is turned"),
        ("-gamma", "-gamma**2", "if gamma is squared once too often"),
        ("jnp.expm1(weight)", "jnp.exp(weight)", "if exp(u) stands for exp(u) − 1"),
        (
            "jnp.sqrt(share)",
            "share",
            "a square or a square root is missing, or is one too many",
        ),
        ("jnp.sqrt(share)", "(1 - jnp.sqrt(share))", "something is subtracted from 1"),
        ("kept**2)", "kept)**2", "brackets are missing or stand in the wrong place"),
        ("weight)", "gamma)", "one quantity stands where another belongs"),
        ("* total", "* jnp.sqrt(-total)", "The root or the logarithm of a negative number"),
        ("0.5 * steps *", "0.502 * steps *", "multiplied by 1.004"),
        ("jnp.sqrt(share)", "jnp.sqrt(share + 1e-3)", "The numbers are nearly right"),
        (
            "return 0.5",
            "return jnp.asarray(2.5)  # 0.5",
            "The result is the same whatever the inputs are",
        ),
    ],
)
def test_usual_slips_have_names_without_an_author(old, new, words):
    assert words in told(COST, (old, new))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("return total, ratio", "return ratio, total")], "if values 1 and 2 are exchanged"),
        ([("x / y", "y / x")], "Exactly value 2 comes out if the result is upside down"),
        ([("x / y", "x / y"), ("x + y", "x - y")], "Exactly these numbers come out if"),
        ([("x / y", "x * y"), ("x + y", "3 * x * x")], "value 1 of 2"),
        (
            [("x + y", "2 * x + 2 * y"), ("x / y", "2 * x / y")],
            "come out if the result is doubled",
        ),
        ([("return total, ratio", "return total[::-1], ratio[::-1]")], "order is turned round"),
    ],
)
def test_each_of_the_values_returned_is_looked_at(changes, words):
    assert words in told(PARTS, *changes)


def test_what_fits_in_two_ways_is_told_in_two_ways():
    said = told(an_exercise(difference, PARTS.inputs), ("x - y", "y - x"))
    assert "if the sign is turned" in said


def test_the_place_is_told_if_the_student_knows_its_name():
    slip = ("jnp.expm1(weight)", "jnp.exp(weight)")
    assert "or 1 is not added in a logarithm, in total." in told(COST, slip)
    named_otherwise = [("total = ", "z = "), ("* total", "* z")]
    assert "or 1 is not added in a logarithm, in one place." in told(
        COST, slip, *named_otherwise
    )


def test_a_slip_that_keeps_a_loop_from_ending_is_no_trap():
    assert "Exactly these" in told(WALK, ("range(steps)", "range(1, steps + 1)"))


def test_what_grows_in_place_has_slips_too():
    exercise = an_exercise(tally, lambda key: tuple(numbers(key, (4,))))
    assert "if a square" in told(exercise, ("one**2", "one"))


def test_naming_has_bounds():
    """However dear a solution is, its slips cost no more calls than they may."""

    exercise = an_exercise(dear, lambda key: (jax.random.normal(key, (3,)),))
    trials = len(slips._trials(exercise, rare=False)) + len(slips._trials(exercise, rare=True))
    assert trials < 3 * slips.WORK / 100_000


@pytest.mark.parametrize("number", NUMBERS[::9])
def test_what_is_no_slip_has_no_name(number):
    exercise = find(number)

    def strange(*args):
        results = exercise.solve(*args)
        bent = [
            jnp.asarray(r)
            + (0.3 + jnp.abs(jnp.asarray(r))) * jnp.sin(2.3 + 1.7 * jnp.asarray(r))
            for r in (results if isinstance(results, tuple) else [results])
        ]
        return tuple(bent) if isinstance(results, tuple) else bent[0]

    with pytest.raises(NotYet) as caught:
        judge(exercise, {exercise.name: like(exercise, strange)})
    assert "Exactly" not in str(caught.value)


def test_most_small_changes_are_named(monkeypatch):
    """Those of `mutants_of`, which know nothing of `changes.py`, in a sample of exercises."""
    named, silent = 0, []
    for number in NUMBERS[1::4]:
        exercise = at_hand(number, monkeypatch)
        mutants = [m for m in mutants_of(CELLS[number]) if m[1] not in exercise.equivalent]
        for text, changed in mutants[:: max(1, len(mutants) // 4)]:
            with pytest.raises((NotYet, NotFilledIn)) as caught:
                answer(exercise, text)
            said = str(caught.value)
            if "it stops with" in said:
                continue
            if "nudge" not in said or "\n  Exactly" in said or "\n  The " in said:
                named += 1
            else:
                silent.append(f"{number}: {changed}")
    assert named >= 0.9 * (named + len(silent)), "\n".join(silent)


@pytest.mark.parametrize(
    "line",
    ["float(x.sum())", "math.exp(gamma)", "(1 if gamma > 0 else 2)", "np.exp(x)"],
)
def test_what_stops_a_gradient_is_told_in_plain_words(line):
    """Where values are right, and a law is the first to look at the gradient."""
    source = COST.source.replace("return", f"x = x + 0 * {line}\n    return")
    scope = COST.solve.__globals__ | {"math": math}
    exec(source, scope)
    with pytest.raises(NotYet, match=r"through here: (keep it an array|use jnp)") as caught:
        judge(COST, {"cost": scope["cost"]})
    assert "Tracer" not in str(caught.value)


def test_a_list_will_do_for_a_law():
    exercise = an_exercise(
        lambda x: 2 * x,
        lambda key: (jax.random.normal(key, (3,)),),
        laws=(Law("it has a mean", lambda f: (f(jnp.ones(3)).mean(), jnp.asarray(2.0))),),
    )
    scope = {exercise.name: lambda x: [2 * a for a in x]}
    assert judge(exercise, scope) == praise(exercise)


def test_the_students_own_line_is_shown(tmp_path):
    page = tmp_path / "cell.py"
    page.write_text("def scales(gamma):\n    return undefined_name * gamma, gamma\n")
    scope: dict = {}
    exec(compile(page.read_text(), str(page), "exec"), scope)
    with pytest.raises(NotYet, match="in your line:  return undefined_name"):
        judge(find("2.1"), scope)


def test_the_students_prints_are_kept_out(capsys):
    exercise = find("2.1")

    def scales(gamma):
        print("debugging", gamma)
        return exercise.solve(gamma)

    judge(exercise, {"scales": scales})
    assert capsys.readouterr().out == ""


def test_check_hint_and_solution_speak_in_a_notebook(capsys):
    exercise = find("2.1")
    exec('check("2.1")', {"check": check, "scales": exercise.solve})
    hint("2.1", 2)
    with pytest.raises(ShortError, match=r"has hints 1 to \d, asked for 99"):
        hint("2.1", 99)
    solution("2.1")
    out = capsys.readouterr().out
    assert praise(exercise) in out
    assert exercise.hints[1] in out
    assert "return alpha, sigma" in out
    assert "###" not in out


def test_unknown_exercises_are_named():
    for bad in ("99.1", "2.99", "", "two"):
        with pytest.raises(LookupError, match="no exercise"):
            find(bad)
    with pytest.raises(LookupError, match=r'wants quotes: "2\.1", not 2\.1'):
        find(2.1)  # pyright: ignore[reportArgumentType]
