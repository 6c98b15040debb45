"""Devices: one, several, or those of several machines. The same code runs on all of them.

Batches are divided over a mesh of all devices. The weights are copied to each device, or
divided as well (fully sharded, FSDP), which saves memory and costs communication. XLA does the
rest. The mesh has `AxisType.Auto`, because the default differs between versions of JAX.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from .._types import AnyArray


def start(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Join the other machines of a run, before anything else is asked of JAX.

    Name the coordinator ("host:port"), the number of processes and which one this is; or
    name nothing, on a cluster that JAX knows by itself, such as SLURM or a TPU pod.

    Raises:
        ValueError: only some of the three are named.
    """
    given = [coordinator, processes, process]
    if any(a is None for a in given) and any(a is not None for a in given):
        raise ValueError(
            "name the coordinator, the number of processes and the process, or none of them; "
            f"got {coordinator}, {processes}, {process}"
        )
    jax.distributed.initialize(coordinator, processes, process)


def mesh() -> Mesh:
    """Return all devices of all machines in a row, whose axis is called "data"."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def compiler_options() -> dict[str, str] | None:
    """Return the options of XLA on this machine, for `jax.jit`.

    On a CPU, XLA removes the barriers that make `remat` compute late, unless it is told not to.
    """
    keep = {"xla_disable_hlo_passes": "cse_barrier_expander"}
    return keep if jax.default_backend() == "cpu" else None


def copied(mesh: Mesh) -> NamedSharding:
    """Return the sharding of arrays that every device has as a whole."""
    return NamedSharding(mesh, PartitionSpec())


def divided(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Return the sharding of arrays that are divided over the devices along one axis."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def shardings(tree: Any, mesh: Mesh, *, fsdp: bool = False) -> Any:
    """Return a sharding for every array of a tree: copied, or divided if `fsdp`.

    An array is divided along the longest axis whose size the number of devices divides.
    """

    def of(a: AnyArray | jax.ShapeDtypeStruct) -> NamedSharding:
        fitting = [i for i, n in enumerate(a.shape) if n and n % mesh.size == 0]
        if not fsdp or not fitting:
            return copied(mesh)
        return divided(mesh, max(fitting, key=lambda i: a.shape[i]))

    kinds = jax.Array | np.ndarray | jax.ShapeDtypeStruct
    return jax.tree.map(lambda a: of(a) if isinstance(a, kinds) else None, tree)


def laid_out(like: Any, where: Any) -> Any:
    """Return a tree of shapes that know their shardings as well."""

    def with_sharding(a: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding)

    shapes, rest = eqx.partition(like, lambda a: isinstance(a, jax.ShapeDtypeStruct))
    return eqx.combine(jax.tree.map(with_sharding, shapes, where), rest)


def place(tree: Any, where: Any) -> Any:
    """Put arrays that every process has whole onto the devices, each as its sharding says."""

    def put(a: Any, sharding: NamedSharding) -> jax.Array:
        a = np.asarray(a)
        return jax.make_array_from_callback(a.shape, sharding, lambda index: a[index])

    arrays, rest = eqx.partition(tree, eqx.is_array)
    if isinstance(where, NamedSharding):
        where = jax.tree.map(lambda _: where, arrays)
    return eqx.combine(jax.tree.map(put, arrays, where), rest)


def collect(tree: Any) -> Any:
    """Return a tree with every array whole, in NumPy; all processes must call it."""

    def whole(a: Any) -> Any:
        if not isinstance(a, jax.Array):
            return a
        if not a.is_fully_addressable and not a.is_fully_replicated:
            return multihost_utils.process_allgather(a, tiled=True)
        return np.asarray(a)

    return jax.tree.map(whole, tree)


def agree(asked: bool, *, now: bool) -> bool:
    """Return whether any process asks for something. All call it, with the same `now`.

    Several processes ask each other only if `now` is true, for that takes time.
    """
    if jax.process_count() == 1:
        return asked
    return now and bool(np.any(multihost_utils.process_allgather(np.asarray(asked))))


def all_have(number: int) -> bool:
    """Return whether all processes have the same number; all must call it."""
    there = multihost_utils.process_allgather(np.asarray(number, np.int32))
    return bool(np.all(there == number))
