"""Checkpoints: the states of a run in its folder, of which the newest few are kept."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

from ..storage import CheckpointError, read_meta, save


def save_in(
    folder: str | os.PathLike, step: int, tree: Any, meta: dict[str, Any], *, keep: int = 3
) -> Path:
    """Save a step, as step_00001000.vdm, and keep only the last `keep` steps up to this one.

    Partial files of a killed writer are removed first: a folder has one writer. Checkpoints of
    later steps stay: a run that resumed before a damaged one replaces it when it gets there.

    Raises:
        ValueError, OSError: as `save`; a negative step; nothing to keep.
    """
    if step < 0 or keep < 1:
        raise ValueError(f"step must be at least 0 and keep at least 1, got {step} and {keep}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for stray in _steps(folder, ".partial").values():
        stray.unlink()
    path = save(folder / f"step_{step:08d}.vdm", tree, meta)
    for old in [file for n, file in _steps(folder).items() if n <= step][:-keep]:
        old.unlink()
    return path


def latest(folder: str | os.PathLike) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest whole checkpoint of a folder and its `meta`; None if there is no file.

    Damaged ones are passed over, each with a warning.

    Raises:
        CheckpointError: there are files, but none is whole.
    """
    wrong = []
    for path in reversed(_steps(Path(folder)).values()):
        try:
            meta = read_meta(path)
        except (CheckpointError, OSError) as error:
            wrong.append(f"{path.name} was passed over: {error}")
            continue
        for words in wrong:
            warnings.warn(words, stacklevel=2)
        return path, meta
    if wrong:
        raise CheckpointError("\n".join([f"no checkpoint in {folder} is whole", *wrong]))
    return None


def _steps(folder: Path, ending: str = "") -> dict[int, Path]:
    """Return the checkpoints of a folder by rising step, or their files of another ending."""
    names = os.listdir(folder) if folder.exists() else []
    found = [re.fullmatch(rf"step_(\d{{8,}})\.vdm{re.escape(ending)}", name) for name in names]
    return dict(sorted((int(m[1]), folder / m[0]) for m in found if m))
