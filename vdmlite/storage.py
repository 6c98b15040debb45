"""Saving and loading: a model, or any tree of arrays, in one file that is whole or refused.

A file is two lines of text, which `head -n 2` shows, the leaves' bytes in order, and a digest:

    vdmlite checkpoint
    {"format": 2, "leaves": [[path, type], …], "static": {path: value, …}, "meta": {…}, …}
    …
    the SHA-256 of all before

Nothing is used before the digest agrees, and the types of what is built come from the caller,
so that no file can choose what is run. Equinox's own format has no digest and no typed keys,
and can't see that two leaves of one type changed places; here each has its path. Static fields
are compared, so that a network trained to predict v isn't read as one that predicts ε. Orbax
0.12 loaded 12 of 12 files with a flipped bit without a word: use it, behind `save` and `load`,
only where hosts must share the weights of one model.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._types import is_key
from .files import whole_file

Tree = TypeVar("Tree")

MAGIC, FORMAT = b"vdmlite checkpoint\n", 2
VERSIONS = {name: importlib.metadata.version(name) for name in ("vdmlite", "jax")}
NUMBERS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}
"""How Python's numbers are kept, whatever JAX's precision."""
DIGEST, CHUNK = hashlib.sha256().digest_size, 1 << 20


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or is of something else."""


def cast(tree: Tree, dtype: jax.typing.DTypeLike) -> Tree:
    """Return a model, or any tree, whose real numbers are of another precision."""
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)


def save(path: str | os.PathLike, tree: Any, meta: Mapping[str, Any] | None = None) -> Path:
    """Write a model, or any tree, to a file that replaces an older one only when it is whole.

    Arrays, typed keys and Python's numbers are kept, other leaves, such as functions, are not;
    `load` gets them from the model it is given. `meta` is for notes of your own. It comes back
    as JSON has it, a tuple as a list. The same tree and `meta` give the same bytes. A file has
    one writer.

    Raises:
        ValueError: JSON can't hold `meta`; a leaf has no bytes, or not all of them here.
        OSError: the file can't be written, as on a full disk; what was there still is.
    """
    path, header, digest = Path(path), _header(tree, dict(meta or {})), hashlib.sha256()
    leaves = (_bytes(*leaf) for leaf in jax.tree.leaves_with_path(tree) if _type(leaf[1]))
    try:
        with whole_file(path) as file:
            for piece in itertools.chain([MAGIC, header], leaves):
                digest.update(piece)
                file.write(piece)
            file.write(digest.digest())
    except OSError as error:
        words = f"nothing was written, an earlier file is untouched: {error.strerror}"
        raise OSError(error.errno, words, str(path)) from error
    return path


def read_meta(path: str | os.PathLike) -> dict[str, Any]:
    """Return the `meta` of a saved file, from which to rebuild what `load` asks for.

    Raises:
        CheckpointError: the file is no checkpoint, is damaged, or has another format.
    """
    with Path(path).open("rb") as file:
        return _checked(file)["meta"]


def load(path: str | os.PathLike, like: Tree) -> Tree:
    """Return a saved tree; `like` is one of its structure, such as the model before training.

    The arrays of `like` may be `jax.ShapeDtypeStruct`s, as from `eqx.filter_eval_shape`. Arrays
    go where those of `like` are committed to, or the sharding of the structs says; otherwise
    they are whole on the default device.

    Raises:
        CheckpointError: as `read_meta`; the first leaf of another path, type or shape, or
            static field of another value.
    """
    with Path(path).open("rb") as file:
        header = _checked(file)
        _compare(header, like, path)
        leaves, structure = jax.tree.flatten(like)
        tree = structure.unflatten([_read(file, leaf) for leaf in leaves])
        if len(file.read()) != DIGEST:
            raise CheckpointError(f"{path} has more or fewer bytes than its leaves")
        return tree


def _compare(header: dict[str, Any], like: Any, path: str | os.PathLike) -> None:
    """Raise CheckpointError at the first thing that a file and the tree asked for differ in."""
    static, asked, no = header["static"], _static(like), "nothing"
    pairs = [
        *itertools.zip_longest(header["leaves"], _types(like), fillvalue=[no]),
        *(([k, static.get(k, no)], [k, asked.get(k, no)]) for k in static | asked),
    ]
    for there, here in ((" ".join(words).strip() for words in pair) for pair in pairs):
        if there == here:
            continue
        precision = there.replace("float64", "float32") == here.replace("float64", "float32")
        hint = "; JAX_ENABLE_X64=1 or 0 sets the precision" if precision else ""
        raise CheckpointError(
            f"{path} is of something else: it has {there} where {here} was expected{hint} "
            f"(written by {header['written_by']})"
        )


def _static(tree: Any, path: str = "") -> dict[str, str]:
    """Return every static field of the modules in a tree, but those that change cost alone."""
    found = {}
    children, _ = jax.tree.flatten_with_path(tree, is_leaf=lambda node: node is not tree)
    if isinstance(tree, eqx.Module):
        for field in dataclasses.fields(tree):
            if field.metadata.get("static") and not field.metadata.get("cost_only"):
                value = getattr(tree, field.name, None)
                found[f"{path}.{field.name}"] = _name(value)
    for steps, child in children:
        if child is not tree:
            found |= _static(child, path + jax.tree_util.keystr(steps))
    return found


def _name(value: Any) -> str:
    """Return what a static field holds, the same in every process."""
    if isinstance(value, functools.partial):
        return f"partial({_name(value.func)}, {value.args}, {value.keywords})"
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else str(value)


def _header(tree: Any, meta: dict[str, Any]) -> bytes:
    header = {
        "format": FORMAT,
        "leaves": _types(tree),
        "static": _static(tree),
        "meta": meta,
        "written_by": VERSIONS,
    }
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


def _bytes(path: tuple, leaf: Any) -> memoryview:
    """Return the bytes of a leaf, not copied if they are in the host's memory already."""
    name = jax.tree_util.keystr(path)
    if isinstance(leaf, jax.Array):
        leaf = jax.random.key_data(leaf) if is_key(leaf) else leaf
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
    plain = jax.eval_shape(jax.random.key_data, like) if is_key(like) else like
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
    if is_key(like):
        impl = jax.random.key_impl(jnp.empty((), like.dtype))
        array = jax.random.wrap_key_data(array, impl=impl)
    return array
