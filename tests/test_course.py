"""What notebooks need at run time: size, claims, figures; and the rules of the build."""

import io
import json
import sys

import matplotlib.pyplot as plt
import pytest

from vdmlite.course import (
    build,
    claim,
    notebook,
    pick,
    progress,
    setup,
    show,
    size,
    slider,
    tour,
)

pytestmark = pytest.mark.course


@pytest.fixture(autouse=True)
def no_figure_is_open():
    """What other files' tests left open is not for these to count."""
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, as (data, metadata), where IPython is there to display it."""
    seen = []
    monkeypatch.setattr(notebook, "_has_page", lambda: True)

    class Handle:
        def update(self, data, metadata, raw):
            assert raw
            seen[-1] = (data, metadata)

    def display(thing, metadata=None, display_id=None, **_):
        seen.append((thing, metadata))
        return Handle() if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return seen


def test_the_environment_decides_the_size(monkeypatch):
    for word in notebook.SIZES:
        monkeypatch.setenv("VDMLITE_SIZE", word)
        assert size() == word
    monkeypatch.delenv("VDMLITE_SIZE")
    assert size() in ("laptop", "full")
    monkeypatch.setenv("VDMLITE_SIZE", "huge")
    with pytest.raises(ValueError, match="smoke, laptop, full, got 'huge'"):
        size()


def test_pick_falls_back_to_the_laptop(monkeypatch):
    monkeypatch.setenv("VDMLITE_SIZE", "full")
    assert pick(smoke=1, laptop=2) == 2
    assert pick(smoke=1, laptop=2, full=3) == 3


def test_claims_are_judged_and_reported(monkeypatch, tmp_path, capsys):
    report = tmp_path / "claims.jsonl"
    monkeypatch.setenv("VDMLITE_REPORT", str(report))
    monkeypatch.setenv("VDMLITE_SIZE", "laptop")
    claim("03", "small enough", 0.01, at_most=0.05)
    claim("03", "large enough", 7, at_least=5, trained=True)
    with pytest.raises(AssertionError, match=r"claim 03 fails: too large: 0\.06, not ≤ 0\.05"):
        claim("03", "too large", 0.06, at_most=0.05)
    with pytest.raises(AssertionError, match="not ≥ 5"):
        claim("03", "too small", 4, at_least=5)
    with pytest.raises(AssertionError, match="nan"):
        claim("03", "no number", float("nan"), at_most=5)
    rows = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert [row["verdict"] for row in rows] == ["holds", "holds", "FAILS", "FAILS", "FAILS"]
    assert "Claim 03 · small enough: 0.01 (pass mark ≤ 0.05) · holds" in capsys.readouterr().out


def test_trained_claims_are_not_judged_at_smoke_size(monkeypatch, capsys):
    monkeypatch.setenv("VDMLITE_SIZE", "smoke")
    claim("05", "bits", 3.0, at_most=2.0, trained=True)
    assert "not judged" in capsys.readouterr().out
    with pytest.raises(AssertionError):
        claim("05", "algebra", 3.0, at_most=2.0)


@pytest.mark.parametrize("marks", [{}, {"at_most": 1, "at_least": 0}])
def test_a_claim_has_one_mark(marks):
    with pytest.raises(ValueError, match="one pass mark"):
        claim("05", "bits", 3.0, **marks)


def test_figures_carry_their_words_and_print_them(shown, capsys):
    show(plt.figure(), "A blank page.")
    ((data, metadata),) = shown
    assert metadata == {"image/png": {"alt": "A blank page."}}
    assert data["text/plain"] == "A figure."
    assert capsys.readouterr().out == "Figure: A blank page.\n"
    assert not plt.get_fignums()
    with pytest.raises(ValueError, match="alternative text"):
        show(plt.figure(), "  ")


def test_a_plain_script_prints_the_words_alone(capsys, monkeypatch):
    monkeypatch.delenv("VDMLITE_STATIC", raising=False)
    show(plt.figure(), "A blank page.")
    notebook.animate(lambda value: plt.figure(), [1, 2], "Two blank pages.")
    slider(lambda value: plt.figure(), -1.0, 3.0, "A page for each value.")
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "Figure: A blank page.",
        "Figure: Two blank pages.",
        "Figure: A page for each value.",
    ]
    assert not plt.get_fignums()


def test_animations_move(shown):
    import base64
    import io

    from PIL import Image, ImageSequence

    def draw(value):
        figure, ax = plt.subplots(figsize=(1, 1))
        ax.bar([0], [value])
        return figure

    notebook.animate(draw, [1, 2, 3], "A bar that stays as high as its axis.")
    picture = Image.open(io.BytesIO(base64.b64decode(shown[0][0]["image/png"])))
    assert len(list(ImageSequence.Iterator(picture))) == 3


def test_a_slider_is_a_still_where_pages_are_only_read(shown, monkeypatch):
    monkeypatch.setenv("VDMLITE_STATIC", "1")
    slider(lambda value: plt.figure(), -1.0, 3.0, "A page for each value.")
    assert len(shown) == 1


def test_a_slider_is_live_elsewhere_and_leaves_a_still(shown, monkeypatch, capsys):
    monkeypatch.delenv("VDMLITE_STATIC", raising=False)
    drawn = []

    def draw(value):
        drawn.append(value)
        return plt.figure(figsize=(1 + value, 1))

    slider(draw, 0.0, 2.0, "A page for each value.")
    (bar, _), (still, words) = shown
    assert (bar.min, bar.value, bar.max) == (0.0, 1.0, 2.0)
    assert words == {"image/png": {"alt": "A page for each value."}}
    bar.value = 0.5
    assert drawn == [1.0, 0.5]
    assert len(shown) == 2, "the still is changed, and no other is shown"
    assert shown[1][0]["image/png"] != still["image/png"]
    assert shown[1][1] == words
    assert capsys.readouterr().out == "Figure: A page for each value.\n"
    assert not plt.get_fignums()


@pytest.mark.parametrize("built", [False, True])
def test_progress_is_shown_while_it_lasts_but_not_on_a_built_page(built, monkeypatch, capsys):
    at_once = {"delay": 0, "mininterval": 0}
    real = notebook.tqdm
    monkeypatch.setattr(notebook, "tqdm", lambda *args, **rest: real(*args, **rest | at_once))
    monkeypatch.delenv("VDMLITE_STATIC", raising=False)
    if built:
        monkeypatch.setenv("VDMLITE_STATIC", "1")
    assert list(progress(iter("abc"), 3, "learning")) == ["a", "b", "c"]
    seen = capsys.readouterr()
    assert seen.out == ""
    assert ("learning:  67%" in seen.err) is not built


CELL = """\
def f(x):
    ### BEGIN SOLUTION half of x
    half = x / 2
    ### END SOLUTION
    ### BEGIN SOLUTION a pair
    a, b = half, x
    ### END SOLUTION
    ### BEGIN SOLUTION the sum
    total = a + b
    return total
    ### END SOLUTION"""


def test_blanks_stand_where_solutions_stood():
    assert build.blanked(CELL, "9.9") == (
        "def f(x):\n"
        '    half = todo("9.9", "half of x")\n'
        '    a, b = todo("9.9", "a pair")\n'
        '    return todo("9.9", "the sum")'
    )
    assert "half = x / 2" in build.blanked(CELL, "9.9", only=1)
    assert build.blanked(CELL, "9.9", only=1).count("todo") == 1
    assert build.count_blanks(CELL) == 3
    assert "###" not in build.solved(CELL)


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return x",
        "def f(x):\n    ### BEGIN SOLUTION the end\n    return x",
        "def f(x):\n    ### BEGIN SOLUTION a print\n    print(x)\n    ### END SOLUTION",
    ],
)
def test_a_source_without_proper_blanks_is_refused(text):
    with pytest.raises(ValueError, match=r"9\.9"):
        build.blanked(text, "9.9")


def test_files_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "page.txt"
    build.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        build.write(path, "new \ud800")
    assert path.read_text() == "old"


def test_a_claim_is_not_lost_to_an_encoding(monkeypatch):
    """As where a lesson is run as a script in a console of Windows."""
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, "cp1252", write_through=True))
    setup()
    claim("02", "the largest error → 0", 0.5, at_most=1.0)
    told = kept.getvalue().decode("cp1252")
    assert "the largest error -> 0: 0.5" in told
    assert "<= 1" in told


def test_the_tour_comes_to_its_end(tmp_path, monkeypatch, capsys):
    """What `python run.py` does, in small."""
    monkeypatch.setenv("VDMLITE_SIZE", "smoke")
    monkeypatch.setattr(tour, "FIGURES", tmp_path / "tour")
    tour.main()
    told = capsys.readouterr().out
    assert "restored bit for bit" in told
    assert "the bound cannot tell them apart" in told
    assert {p.name for p in (tmp_path / "tour").iterdir()} == {"training.png", "digits.png"}
