"""Tensors of nothing: no images, images of no rows, alone and between others, with everything that runs beside a Conv."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from typing import Any

import models
import numpy as np
import onnx
from comparing import Feeds, error, network, node, plain, rng, session, values


def with_end(*behind: onnx.NodeProto, kernel: int = 3, pads: int = 1, axes: int = 2) -> onnx.ModelProto:
    """A Conv of 8 to 12 channels, and nodes that make its output `a` to `y`."""
    nodes = [node("Conv", ["x", "w", "b"], ["a"], "c", pads=[pads] * (2 * axes)), *behind]
    constants: dict[str, Any] = {
        "w": values(12, 8, *[kernel] * axes),
        "b": values(12),
        "k": np.float32(0.75),
        "s": values(12, 1, 1),
    }
    used = {name for made in nodes for name in made.input}
    constants = {name: value for name, value in constants.items() if name in used}
    return models.small(nodes, constants, ("n", 8, *["h", "w", "d"][:axes]))


ENDS = {
    "nothing": [node("Identity", ["a"], ["y"])],
    "Relu": [node("Relu", ["a"], ["y"])],
    "SiLU": [node("Sigmoid", ["a"], ["q"]), node("Mul", ["a", "q"], ["y"])],
    "Gelu": [node("Gelu", ["a"], ["y"], domain="com.microsoft")],
    "PRelu": [node("PRelu", ["a", "s"], ["y"])],
    "a factor": [node("Mul", ["a", "k"], ["y"])],
    "a factor a channel, Relu": [node("Mul", ["a", "s"], ["q"]), node("Relu", ["q"], ["y"])],
    "itself": [node("Add", ["a", "a"], ["q"]), node("Relu", ["q"], ["y"])],
    "Concat": [node("Relu", ["a"], ["q"]), node("Concat", ["a", "q"], ["y"], axis=1)],
}


class Empty(unittest.TestCase):
    """A session computes sizes of nothing as ONNX Runtime does, whenever they come."""

    def check_sizes(self, model: onnx.ModelProto, sizes: Sequence[tuple[int, ...]], **options: Any) -> int:
        """One session for all sizes, in their order and back; returns how many ONNX Runtime computes, too."""
        made, other = session(model, **options), plain(model)
        compared = 0
        for size in [*sizes, *sizes[::-1]]:
            feeds: Feeds = {"x": rng.standard_normal(size).astype(np.float32)}
            with self.subTest(size=size):
                try:
                    theirs = other.run(None, feeds)
                except Exception:
                    # It refuses empty outputs; their sizes are ONNX's formula.
                    self.assertTrue(all(out.size == 0 for out in made.run(None, feeds)))
                    continue
                ours = made.run(None, feeds)
                self.assertEqual([a.shape for a in ours], [b.shape for b in theirs])
                self.assertLessEqual(error(ours, theirs), 1e-5)
                compared += 1
        return compared

    def test_every_end_of_outputs_that_see_nothing(self) -> None:
        sizes = [(1, 8, 0, 5), (2, 8, 6, 5), (0, 8, 6, 5), (1, 8, 5, 0), (2, 8, 0, 0), (1, 8, 7, 3), (0, 8, 0, 4)]
        for name, behind in ENDS.items():
            for math in ("exact", "fast"):
                with self.subTest(end=name, math=math):
                    # One output row of a kernel of 2 lies in the padding of 2 alone.
                    self.assertGreater(self.check_sizes(with_end(*behind, kernel=2), sizes, math=math), 10)

    def test_outputs_of_nothing(self) -> None:
        for axes, sizes in (
            (1, [(1, 8, 0), (1, 8, 9), (0, 8, 4)]),
            (2, [(1, 8, 0, 5), (2, 8, 6, 5), (3, 8, 4, 0), (0, 8, 0, 0)]),
            (3, [(1, 8, 0, 5, 2), (1, 8, 3, 4, 5), (0, 8, 2, 2, 2)]),
        ):
            with self.subTest(axes=axes):
                end = node("Relu", ["a"], ["y"])
                self.assertGreater(self.check_sizes(with_end(end, kernel=1, pads=0, axes=axes), sizes), 0)

    def test_a_network_without_images(self) -> None:
        sizes = [(0, 8, 14, 12), (2, 8, 14, 12), (0, 8, 6, 6), (1, 8, 8, 6)]
        self.assertEqual(self.check_sizes(network(), sizes), 8)

    def test_transposed_convolutions_without_images(self) -> None:
        nodes = [node("ConvTranspose", ["x", "w"], ["a"], "c", strides=[2, 2]), node("Relu", ["a"], ["y"])]
        model = models.small(nodes, {"w": values(8, 6, 3, 3)}, ("n", 8, "h", "w"))
        self.assertEqual(self.check_sizes(model, [(0, 8, 5, 4), (2, 8, 5, 4), (0, 8, 1, 1)]), 6)


if __name__ == "__main__":
    unittest.main()
