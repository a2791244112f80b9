"""How a batch is divided over the devices of a mesh: data parallelism."""

import jax


def data_axes(examples: int) -> tuple[str, ...]:
    """The axes of the current mesh along which this many examples are divided; () if they cannot be."""
    mesh = jax.sharding.get_abstract_mesh()
    return () if mesh.empty or examples % mesh.size else mesh.axis_names
