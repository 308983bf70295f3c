"""Models to test and measure with, from packages that pip has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def light_names() -> list[str]:
    """The topologies that come with `onnx`."""
    return sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("light_*.onnx"))


def light(name: str, seed: int = 0) -> onnx.ModelProto:
    """A topology that comes with `onnx`, whose weights are one constant there, with seeded ones that keep activations near 1."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    graph = model.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    filled = {node.output[0]: node for node in graph.node if node.op_type == "ConstantOfShape"}
    uses = {value: (node, at) for node in graph.node for at, value in enumerate(node.input)}
    rng = np.random.default_rng(seed)
    for value, node in filled.items():
        sizes = shapes[node.input[0]]
        user, at = uses.get(value, (node, 0))
        graph.initializer.append(numpy_helper.from_array(_weights(rng, user.op_type, at, sizes), value))
    kept = [node for node in graph.node if node.output[0] not in filled]
    del graph.node[:]
    graph.node.extend(kept)
    return model


def _weights(rng: np.random.Generator, operator: str, at: int, sizes: np.ndarray) -> np.ndarray:
    if operator == "BatchNormalization":
        low, high = [(0, 0), (0.8, 1.2), (-0.2, 0.2), (-0.2, 0.2), (0.5, 1.5)][at]
        values = rng.uniform(low, high, sizes)
    elif len(sizes) > 1 and operator in ("Conv", "Gemm"):
        values = rng.standard_normal(sizes) * np.sqrt(2 / np.prod(sizes[1:]))
    elif len(sizes) > 1 or operator in ("Mul", "Unsqueeze"):
        values = rng.uniform(0.8, 1.2, sizes)
    else:
        values = rng.uniform(-0.1, 0.1, sizes)
    return values.astype(np.float32)


def inputs(session, seed: int = 1, **symbols: int) -> dict[str, np.ndarray]:
    """Seeded inputs of a session: symbols give the sizes that have names, 1 the others."""
    rng = np.random.default_rng(seed)
    return {
        value.name: rng.standard_normal([size if isinstance(size, int) else symbols.get(size, 1) for size in value.shape]).astype(np.float32)
        for value in session.get_inputs()
    }
