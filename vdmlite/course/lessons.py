"""Run lessons headless and judge their claims: `python run.py lessons [names …]`."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

from .build import ROOT, execute, notebook, sources, write

PAGES = ROOT / "build" / "lessons"


def run(source: Path) -> tuple[list[dict], float, str]:
    """Run one lesson; return its claims, the minutes it took, and what stopped it, if anything.

    The page with its figures lands in build/lessons, also when the lesson stopped.
    """
    built = notebook(source, "lessons")
    started = time.monotonic()
    error = ""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "claims.jsonl"
        try:
            execute(built, source.parent, VDMLITE_REPORT=str(report))
        except CellExecutionError as stop:
            error = str(stop.evalue)
        lines = report.read_text("utf-8").splitlines() if report.exists() else []
    minutes = (time.monotonic() - started) / 60
    PAGES.mkdir(parents=True, exist_ok=True)
    page, _ = HTMLExporter().from_notebook_node(built)
    write(PAGES / f"{source.stem}.html", page)
    return [json.loads(line) for line in lines], minutes, error


def main(names: list[str]) -> int:
    """Run all lessons, or those named ("03"), print the table, return 1 if one fails."""
    os.environ.setdefault("VDMLITE_SIZE", "laptop")
    chosen = [s for s in sources("lessons") if not names or s.stem.startswith(tuple(names))]
    if not chosen:
        print(f"there is no lesson {' '.join(names)}")
        return 2
    failed = False
    for source in chosen:
        claims, minutes, error = run(source)
        print(f"{source.stem}  ({minutes:.1f} min)", flush=True)
        for row in claims:
            mark = f"{row['measured']:.4g} {row['mark']}"
            print(f"    {row['verdict']:<8} {mark:<26} {row['claim']}", flush=True)
            failed |= row["verdict"] == "FAILS"
        if error:
            print(f"    STOPPED  {error}", flush=True)
            failed = True
        if not claims and not error:
            print("    (makes no claim)", flush=True)
    print(f"pages: {PAGES.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
