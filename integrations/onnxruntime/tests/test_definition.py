"""Promise 6: problems mean what ONNX says. Convolutions of random attributes in ONNX Runtime's own provider and on convlow: all
values are small integers, so that sums are exact in any order, and both must give the same sizes and the same numbers."""

from __future__ import annotations

import unittest
from collections import Counter
from typing import Any

import models
import numpy as np
import onnx
from comparing import assigned, plain, session
from onnx import helper

Random = np.random.Generator

CONVOLUTIONS = 800
#: Inputs along each axis, by the number of axes.
LONGEST = {1: 40, 2: 14, 3: 7}


def one_of(rng: Random, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def several(rng: Random, low: int, high: int, count: int) -> list[int]:
    return [int(number) for number in rng.integers(low, high, count)]


class Convolution:
    """A node with its weights and its input. Whatever attribute the standard has is left out now and then."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.operator = one_of(rng, "Conv", "ConvTranspose")
        self.rank = int(one_of(rng, 1, 2, 2, 3))
        self.dtype = np.float64 if rng.random() < 0.2 else np.float32
        self.groups = int(one_of(rng, 1, 1, 2, 3, 8))
        inputs, outputs = several(rng, 1, 6, 2)
        if rng.random() < 0.2:  # depthwise
            inputs, outputs = 1, int(one_of(rng, 1, 2))
        self.kernel = several(rng, 1, 5, self.rank)
        self.attributes: dict[str, Any] = {}
        self.input = several(rng, 1, LONGEST[self.rank], self.rank)
        self.window()
        channels = inputs * self.groups
        between = (channels, outputs) if self.operator == "ConvTranspose" else (outputs * self.groups, inputs)
        self.constants = {"w": self.integers(*between, *self.kernel)}
        if rng.random() < 0.6:
            self.constants["b"] = self.integers(outputs * self.groups)
        self.x = self.integers(int(rng.integers(1, 4)), channels, *self.input)

    def integers(self, *sizes: int) -> np.ndarray:
        return self.rng.integers(-4, 5, sizes).astype(np.float32)

    def window(self) -> None:
        rng, rank = self.rng, self.rank
        strides = several(rng, 1, 4, rank) if rng.random() < 0.6 else [1] * rank
        dilations = several(rng, 1, 4, rank) if rng.random() < 0.4 else [1] * rank
        pads = several(rng, 0, 3, 2 * rank) if rng.random() < 0.6 else [0] * (2 * rank)
        if rng.random() < 0.3:
            self.attributes["auto_pad"] = one_of(rng, "SAME_UPPER", "SAME_LOWER", "VALID")
            # ONNX Runtime dilates nothing that it pads by itself.
            dilations, pads = [1] * rank, [0] * (2 * rank)
        if max(strides) > 1 or rng.random() < 0.3:
            self.attributes["strides"] = strides
        if max(dilations) > 1 or (rng.random() < 0.3 and "auto_pad" not in self.attributes):
            self.attributes["dilations"] = dilations
        if max(pads) > 0 or (rng.random() < 0.3 and "auto_pad" not in self.attributes):
            self.attributes["pads"] = pads
        if self.groups > 1 or rng.random() < 0.3:
            self.attributes["group"] = self.groups
        if rng.random() < 0.5:
            self.attributes["kernel_shape"] = self.kernel
        if self.operator == "ConvTranspose" and "auto_pad" not in self.attributes and rng.random() < 0.6:
            # The standard allows as much as a dilation, too, ONNX Runtime does not.
            self.attributes["output_padding"] = [int(rng.integers(stride)) for stride in strides]
        for axis in range(rank):
            reach = (self.kernel[axis] - 1) * dilations[axis] + 1
            around = pads[axis] + pads[rank + axis]
            # An output at least.
            least = reach - around if self.operator == "Conv" else 1 + -(-max(0, around - reach + 1) // strides[axis])
            self.input[axis] = max(self.input[axis], least)

    def model(self, dtype: type) -> onnx.ModelProto:
        node = helper.make_node(self.operator, ["x", *self.constants], ["y"], "c", **self.attributes)
        constants: models.Constants = {name: values.astype(dtype) for name, values in self.constants.items()}
        return models.small([node], constants, [None, self.x.shape[1], *[None] * self.rank], dtype)

    def __str__(self) -> str:
        sizes = {name: list(values.shape) for name, values in self.constants.items()}
        return f"{self.operator} of {list(self.x.shape)} {self.dtype.__name__} by {sizes}, {self.attributes}"


class Definition(unittest.TestCase):
    """What ONNX Runtime's own provider computes."""

    def test_random_convolutions_are_those_of_onnxruntime(self) -> None:
        rng = np.random.default_rng(6)
        found: Counter[str] = Counter()
        for _ in range(CONVOLUTIONS):
            made = Convolution(rng)
            with self.subTest(str(made)):
                # Of float64 it has not every kernel; integers are the same in both.
                theirs = plain(made.model(np.float32)).run(None, {"x": made.x})[0]
                self.assertLess(np.abs(theirs).max(), 1 << 24)
                ours = session(made.model(made.dtype), only_convlow=True)
                self.assertEqual(assigned(ours), [made.operator])
                y = ours.run(None, {"x": made.x.astype(made.dtype)})[0]
                self.assertEqual(y.dtype, made.dtype)
                self.assertEqual(y.shape, theirs.shape)
                self.assertTrue(np.array_equal(y, theirs))
                found.update([made.operator, f"{made.operator} in {made.rank}-D", made.dtype.__name__])
                found.update(list(made.attributes))
                found["longer outputs"] += max(made.attributes.get("output_padding", [0])) > 0
                found["depthwise"] += made.groups > 1 and made.x.shape[1] == made.groups
                found["several images"] += made.x.shape[0] > 1
                found["not all zero"] += bool(theirs.any())
        print("as ONNX Runtime:", ", ".join(f"{name} {count}" for name, count in sorted(found.items())))
        kinds = [f"{operator} in {rank}-D" for operator in ("Conv", "ConvTranspose") for rank in (1, 2, 3)]
        attributes = ["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "pads", "strides"]
        for name in [*kinds, *attributes, "float32", "float64", "longer outputs", "depthwise", "several images"]:
            self.assertGreater(found[name], 40, name)
        self.assertGreater(found["not all zero"], CONVOLUTIONS * 0.95)
