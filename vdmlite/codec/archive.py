"""The file of compressed data: all that a decoder needs beside the model, and proof of it.

    magic, version │ head │ each lane's depth and number of words │ words │ digest of all before

The head has the model's digest and a probe of what it predicts on this machine, so that another
model, or a machine that computes other numbers, is refused before anything is decoded; and the
data's digest, so that nothing comes back but what was compressed.
"""

import hashlib
import math
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Num

from .._types import Count, count_or_none
from ..files import whole_file
from ..model import VDM, check_model
from .moves import Order, bb_ans, bit_swap, decode, encode
from .stack import Stack, Stored, noise
from .vdm import GAMMA, Gammas, coding_gammas, predictor, vdm_moves

MAGIC, VERSION, DIGEST = b"VDMZ", 1, 16
ORDERS: tuple[Order, ...] = (bit_swap, bb_ans)
KINDS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")
"""The types of numbers that data may have; a file has the place in this list."""
HEAD = struct.Struct("<QIHBBbB")
"""Examples, lanes, steps, order, type, −log2 of the spacing, dimensions of an example."""
LEVELS = -128
"""What stands for the spacing of data that has levels."""
LANES = 64
"""At most so many lanes, unless told otherwise; and one for every hundred examples."""
THIN = 1 << 20
"""More numbers than this to a byte are in no file."""


class ArchiveError(ValueError):
    """A file that holds no compressed data, is damaged, or is of another model."""


class Archive(NamedTuple):
    """Compressed data, as it is in a file."""

    examples: int
    shape: tuple[int, ...]
    dtype: str
    order: Order
    spacing: float | None
    gammas: Gammas
    model: bytes
    """The model's digest."""
    probe: bytes
    """A digest of what it predicts."""
    data: bytes
    """The data's digest."""
    lanes: Stored

    def __bytes__(self) -> bytes:
        """Return the file."""
        spacing = LEVELS if self.spacing is None else round(-math.log2(self.spacing))
        steps, ndim = len(self.gammas) - 1, len(self.shape)
        order, kind = ORDERS.index(self.order), KINDS.index(self.dtype)
        numbers = (self.examples, len(self.lanes), steps, order, kind, spacing, ndim)
        depths = [(depth, len(words)) for depth, words in self.lanes]
        pieces = [
            MAGIC
            + bytes([VERSION])
            + HEAD.pack(*numbers)
            + struct.pack(f"<{ndim}I", *self.shape),
            self.gammas.astype("<i2").tobytes() + self.model + self.probe + self.data,
            np.array(depths, "<u4").tobytes(),
            *(words.astype("<u4").tobytes() for _, words in self.lanes),
        ]
        body = b"".join(pieces)
        return body + _digest(body)

    def save(self, path: str | os.PathLike) -> None:
        """Write the file, whole or not at all."""
        with whole_file(Path(path)) as file:
            file.write(bytes(self))

    def stack(self) -> Stack:
        """Return the stack as the encoder left it."""
        return Stack(len(self.lanes), self.lanes)

    @property
    def net_bits(self) -> float:
        """What was pushed less what was borrowed: the price of the data, without the loan's."""
        return float(self.stack().heights.sum())


def compress(
    vdm: VDM,
    data: Num[np.ndarray, " n *shape"],
    *,
    steps: Count = 64,
    order: Order = bit_swap,
    lanes: Count | None = None,
    spacing: float | None = None,
    rounds: Callable[[range], Iterable[int]] = iter,
) -> Archive:
    """Compress examples without loss, by a VDM's bound of T = `steps`.

    The schedule of `vdm` gives the noise levels. Lane i of `lanes` codes the examples i,
    i + lanes, …: more lanes are faster, but each borrows its own first bits. `rounds` goes over
    the rounds that are made, as `tqdm` does for a bar.

    Raises:
        ValueError: the data are no batch of the model's examples, no values of its decoder, or
            of a type that is not coded.
        TypeError: another decoder than those that `vdm_moves` names.
    """
    check_model(vdm)
    vdm.check(data, batch=True)
    data = np.asarray(data)
    if (kind := data.dtype.str[1:]) not in KINDS:
        raise ValueError(f"data of type {kind} is not coded; these are: {', '.join(KINDS)}")
    if ((data == 0) & np.signbit(data)).any():
        raise ValueError("-0.0 among the data would come back as 0.0: data + 0.0 has none")
    most = min(LANES, max(1, len(data) // 100))
    width = min(count_or_none(lanes, "lanes") or most, len(data))
    gammas, stack = coding_gammas(vdm.schedule, steps), Stack(width)
    moves = vdm_moves(vdm, gammas, lanes=width, order=order, spacing=spacing)
    for number in rounds(range(rounds_of(len(data), width))):
        batch = data[number * width : (number + 1) * width]
        filled = np.zeros((width, *vdm.shape), np.int64 if spacing is None else np.float64)
        filled[: len(batch)] = batch
        encode(moves, stack, filled, np.arange(width) < len(batch))
    return Archive(
        len(data),
        vdm.shape,
        kind,
        order,
        spacing,
        gammas,
        model_digest(vdm),
        probe(vdm, gammas, width),
        data_digest(data),
        stack.stored(),
    )


def decompress(
    vdm: VDM, archive: Archive, *, rounds: Callable[[range], Iterable[int]] = iter
) -> Num[np.ndarray, " n *shape"]:
    """Return the data that `compress` was given, bit for bit.

    Raises:
        ArchiveError: it was made with another model; this machine or version of JAX computes
            other numbers; the archive is damaged.
    """
    check_model(vdm)
    if archive.model != model_digest(vdm) or archive.shape != vdm.shape:
        raise ArchiveError(
            f"it was made with another model: of examples of shape {archive.shape}, digest "
            f"{archive.model.hex()}, not {vdm.shape}, {model_digest(vdm).hex()}"
        )
    width = len(archive.lanes)
    if archive.probe != probe(vdm, archive.gammas, width):
        raise ArchiveError(
            "this machine, or this version of JAX, computes other numbers with the model than "
            "the one that compressed: only there can it be decoded"
        )
    stack, found = archive.stack(), []
    floors = -32.0 * np.array([depth + 2 for depth, _ in archive.lanes])
    try:
        moves = vdm_moves(
            vdm, archive.gammas, lanes=width, order=archive.order, spacing=archive.spacing
        )
        for number in rounds(range(rounds_of(archive.examples, width))[::-1]):
            here = min(width, archive.examples - number * width)
            found.append(decode(moves, stack, np.arange(width) < here)[:here])
            if (stack.heights < floors).any():
                raise ValueError("more was taken from it than was put there")
    except (ValueError, TypeError) as error:
        raise ArchiveError(f"the archive is damaged: {error}") from error
    data = np.concatenate(found[::-1]).astype(archive.dtype)
    if not stack.is_restored or data_digest(data) != archive.data:
        raise ArchiveError("the archive is damaged: what comes out is not what went in")
    return data


def read_archive(path: str | os.PathLike) -> Archive:
    """Return the archive in a file.

    Raises:
        ArchiveError: the file holds none, is damaged, or is of a newer version.
        OSError: it can't be read.
    """
    try:
        return parse_archive(Path(path).read_bytes())
    except ArchiveError as error:
        raise ArchiveError(f"{path}: {error}") from None


def parse_archive(file: bytes) -> Archive:
    """Return the archive in a file's bytes.

    Raises:
        ArchiveError: as `read_archive` does.
    """
    if not file:
        raise ArchiveError("the file is empty")
    if not file.startswith(MAGIC):
        raise ArchiveError(f"no compressed data: it begins with {file[:4]!r}, not {MAGIC!r}")
    if _digest(file[:-DIGEST]) != file[-DIGEST:]:
        raise ArchiveError("the file is damaged or cut short: its digest doesn't agree")
    if file[len(MAGIC)] != VERSION:
        raise ArchiveError(f"version {file[len(MAGIC)]} is not known here, only {VERSION}")
    try:
        return _parsed(memoryview(file)[len(MAGIC) + 1 : -DIGEST])
    except (struct.error, IndexError, ValueError) as error:
        raise ArchiveError(f"the file contradicts itself: {error}") from error


def _parsed(body: memoryview) -> Archive:
    def take(size: int) -> memoryview:
        nonlocal body
        if size > len(body):
            raise ValueError(f"{size} bytes are missing")
        taken, body = body[:size], body[size:]
        return taken

    numbers = HEAD.unpack(take(HEAD.size))
    examples, width, steps, order, kind, spacing, ndim = numbers
    shape = struct.unpack(f"<{ndim}I", take(4 * ndim))
    size = examples * math.prod(shape)
    if not 0 < size <= THIN * len(body) or not 1 <= width <= examples:
        raise ValueError(f"{examples} examples of shape {shape} in {width} lanes")
    gammas = np.frombuffer(take(2 * steps + 2), "<i2").astype(np.int64)
    if steps < 1 or not (np.diff(gammas) > 0).all():
        raise ValueError(f"{steps} steps over γ = {gammas / GAMMA}")
    model, probed, digest = (bytes(take(n)) for n in (8, 8, DIGEST))
    depths = np.frombuffer(take(8 * width), "<u4").reshape(width, 2).tolist()
    lanes = []
    for depth, words in depths:
        if depth > (64 + words) * (1 << 16):
            raise ValueError(f"a lane begins {depth} words deep")
        lanes.append((depth, np.frombuffer(take(4 * words), "<u4").astype(np.uint32)))
        if words and not lanes[-1][1][-1]:
            raise ValueError("a lane ends with 0")
    if len(body):
        raise ValueError(f"{len(body)} bytes too many")
    return Archive(
        examples,
        shape,
        KINDS[kind],
        ORDERS[order],
        None if spacing == LEVELS else 2.0**-spacing,
        gammas,
        model,
        probed,
        digest,
        tuple(lanes),
    )


def model_digest(vdm: VDM) -> bytes:
    """Return 8 bytes that are another's for other weights; precision changes nothing."""
    digest = hashlib.sha256(f"{type(vdm.decoder).__name__} {vdm.decoder}".encode())
    for path, leaf in jax.tree.leaves_with_path(vdm.denoiser):
        if eqx.is_array(leaf):
            exact = np.asarray(leaf).astype(np.float64)
            digest.update(jax.tree_util.keystr(path).encode() + exact.astype("<f8").tobytes())
    return digest.digest()[:8]


def probe(vdm: VDM, gammas: Gammas, lanes: int) -> bytes:
    """Return 8 bytes that stand for what the model predicts here, from known noise."""
    words, predict = noise("probe", lanes * math.prod(vdm.shape)), predictor(vdm.denoiser)
    z = words.reshape(lanes, *vdm.shape) / 2.0**30 - 2
    said = [predict(z, gammas[i] / GAMMA) for i in (1, len(gammas) // 2, -1)]
    return hashlib.sha256(np.stack(said).astype("<f8").tobytes()).digest()[:8]


def data_digest(data: Num[np.ndarray, " n *shape"]) -> bytes:
    """Return the digest of data and of their type."""
    exact = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
    return _digest(exact.dtype.str.encode() + exact.tobytes())


def _digest(data: Any) -> bytes:
    return hashlib.sha256(data).digest()[:DIGEST]


def rounds_of(examples: int, lanes: int) -> int:
    """Return how many rounds it takes to code all examples."""
    return -(-examples // lanes)
