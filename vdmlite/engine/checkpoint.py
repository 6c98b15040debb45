"""Checkpoints: a tree of arrays and what it belongs to, in one file that is whole or refused.

A file is two lines of text, which `head -n 2` shows, the leaves' bytes in order, and a digest:

    vdmlite checkpoint
    {"format": 1, "leaves": [[path, type], …], "meta": {…}, "written_by": {…}}
    …
    the SHA-256 of all before

Nothing is used before the digest agrees, and the types of what is built come from the caller,
so that no file can choose what is run. Equinox's own format has no digest and no typed keys,
and can't see that two leaves of one type changed places; here each has its path. Orbax 0.12
loaded 12 of 12 files with a flipped bit without a word: use it, behind `save` and `load`, only
where hosts must share the weights of one model.
"""

import hashlib
import importlib.metadata
import itertools
import json
import os
import re
import warnings
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ..files import whole_file

Tree = TypeVar("Tree")

MAGIC, FORMAT = b"vdmlite checkpoint\n", 1
WRITTEN_BY = {name: importlib.metadata.version(name) for name in ("vdmlite", "jax")}
NUMBERS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}
"""How Python's numbers are kept, whatever JAX's precision."""
DIGEST, CHUNK = hashlib.sha256().digest_size, 1 << 20


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or is of something else."""


def save(path: str | os.PathLike, tree: Any, meta: dict[str, Any]) -> Path:
    """Write a tree and its `meta` to a file that replaces an older one only when it is whole.

    Arrays, typed keys and Python's numbers are kept; other leaves and static fields are for
    `meta` to tell. It comes back as JSON has it, a tuple as a list. The same tree and `meta`
    give the same bytes. A file has one writer.

    Raises:
        ValueError: JSON can't hold `meta`; a leaf has no bytes, or not all of them here.
        OSError: the file can't be written, as on a full disk; what was there still is.
    """
    path, header, digest = Path(path), _header(tree, meta), hashlib.sha256()
    leaves = (_bytes(*leaf) for leaf in jax.tree.leaves_with_path(tree) if _type(leaf[1]))
    try:
        with whole_file(path) as file:
            for piece in itertools.chain([MAGIC, header], leaves):
                digest.update(piece)
                file.write(piece)
            file.write(digest.digest())
    except OSError as error:
        words = f"no checkpoint was written, earlier ones are untouched: {error.strerror}"
        raise OSError(error.errno, words, str(path)) from error
    return path


def read_meta(path: str | os.PathLike) -> dict[str, Any]:
    """Return the `meta` of a checkpoint, from which to rebuild what `load` asks for.

    Raises:
        CheckpointError: the file is no checkpoint, is damaged, or has another format.
    """
    with Path(path).open("rb") as file:
        return _checked(file)["meta"]


def load(path: str | os.PathLike, like: Tree) -> Tree:
    """Return a saved tree; `like` has its structure, with arrays or `jax.ShapeDtypeStruct`s.

    Arrays go where those of `like` are committed to, or the sharding of the structs says;
    otherwise they are whole on the default device.

    Raises:
        CheckpointError: as `read_meta`; the first leaf of another path, type or shape.
    """
    with Path(path).open("rb") as file:
        header = _checked(file)
        for pair in itertools.zip_longest(header["leaves"], _types(like)):
            there, here = (" ".join(leaf).strip() if leaf else "nothing" for leaf in pair)
            if there != here:
                raise CheckpointError(
                    f"{path} is of something else: it has {there} where {here} was expected "
                    f"(written by {header['written_by']})"
                )
        leaves, structure = jax.tree.flatten(like)
        tree = structure.unflatten([_read(file, leaf) for leaf in leaves])
        if len(file.read()) != DIGEST:
            raise CheckpointError(f"{path} has more or fewer bytes than its leaves")
        return tree


def save_in(
    folder: str | os.PathLike, step: int, tree: Any, meta: dict[str, Any], *, keep: int = 3
) -> Path:
    """Save step_00001000.vdm, say, and keep only the last `keep` of those up to this step.

    What a killed writer left goes first: a folder has one writer. Checkpoints of later steps
    stay; a run that had to go on from before a damaged one replaces it in its turn.

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


def _header(tree: Any, meta: dict[str, Any]) -> bytes:
    header = {"format": FORMAT, "leaves": _types(tree), "meta": meta, "written_by": WRITTEN_BY}
    try:
        return json.dumps(header, sort_keys=True, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"JSON can't hold meta = {meta}: {error}") from error


def _checked(file: BinaryIO) -> dict[str, Any]:
    """Return the header of a file whose digest agrees, and go on to its first leaf."""
    if file.read(len(MAGIC)) != MAGIC:
        raise CheckpointError(f"{file.name} is no checkpoint of vdmlite")
    digest, end = hashlib.sha256(MAGIC), os.fstat(file.fileno()).st_size - DIGEST
    while (left := end - file.tell()) > 0:
        digest.update(file.read(min(left, CHUNK)))
    if file.read() != digest.digest():
        raise CheckpointError(f"{file.name} is damaged or cut short: its digest is another")
    file.seek(len(MAGIC))
    header = json.loads(file.readline())
    if header["format"] != FORMAT:
        raise CheckpointError(
            f"{file.name} has format {header['format']}, this version reads {FORMAT} "
            f"(written by {header['written_by']})"
        )
    return header


def _types(tree: Any) -> list[list[str]]:
    """Return the path and the type of each leaf that is kept."""
    leaves = jax.tree.leaves_with_path(tree)
    return [[jax.tree_util.keystr(p), kind] for p, leaf in leaves if (kind := _type(leaf))]


def _type(leaf: Any) -> str | None:
    """Say what a leaf is, as float32[2,3], key<fry>[] or int; None if it isn't kept."""
    if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic):
        return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    return type(leaf).__name__ if type(leaf) in NUMBERS else None


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _bytes(path: tuple, leaf: Any) -> memoryview:
    """Return the bytes of a leaf, not copied if they are in the host's memory already."""
    name = jax.tree_util.keystr(path)
    if isinstance(leaf, jax.Array):
        leaf = jax.random.key_data(leaf) if _is_key(leaf) else leaf
        if leaf.is_fully_replicated:
            leaf = leaf.addressable_data(0)  # lest the array hold on to its copy on the host
        elif not leaf.is_fully_addressable:
            raise ValueError(
                f"other hosts have parts of {name}: call jax.experimental.multihost_utils."
                "process_allgather(tree, tiled=True) on all of them before saving on one"
            )
    array = np.asarray(leaf, NUMBERS.get(type(leaf)))
    if array.dtype.hasobject:
        raise ValueError(f"{name} has no bytes to save: {leaf!r}")
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _read(file: BinaryIO, like: Any) -> Any:
    """Return the next leaf of a file, of the type of `like`; `like` itself if it isn't kept."""
    if _type(like) is None:
        return like
    plain = jax.eval_shape(jax.random.key_data, like) if _is_key(like) else like
    array = np.empty(np.shape(plain), NUMBERS.get(type(like)) or plain.dtype)
    file.readinto(array.reshape(-1).view(np.uint8).data)  # type: ignore
    if type(like) in NUMBERS:
        return array.item()
    if isinstance(like, np.generic):
        return array[()]
    if isinstance(like, np.ndarray):
        return array
    place = like.sharding if getattr(like, "committed", True) else None
    if place is None:
        array = jax.device_put(array)
    else:  # which may span hosts, each with the whole file
        array = jax.make_array_from_callback(array.shape, place, array.__getitem__)
    if _is_key(like):
        impl = jax.random.key_impl(jnp.empty((), like.dtype))
        array = jax.random.wrap_key_data(array, impl=impl)
    return array
