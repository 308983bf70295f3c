"""Activations behind a convolution: each spelling of each, compared with ONNX Runtime's own provider."""

from __future__ import annotations

import itertools
import unittest
from collections.abc import Sequence
from dataclasses import dataclass, field

import convlow_onnxruntime as convlow
import models
import numpy as np
import onnx
from comparing import Comparing, Feeds, error, node, plain, session, values

CHANNELS = 8
ROOT = float(np.sqrt(2))
INFINITY = float("inf")


@dataclass(frozen=True)
class Spelling:
    """Operators from s to y that make an activation, and its limits at both ends."""

    nodes: Sequence[onnx.NodeProto]
    limits: tuple[float, float] = (0.0, INFINITY)
    constants: models.Constants = field(default_factory=dict)
    opset: int = 17

    @property
    def fused(self) -> list[str]:
        """What the report names: operators, with their domain unless that is ONNX's own."""
        return sorted(".".join(filter(None, (node.domain, node.op_type))) for node in self.nodes)


def singles(**numbers: float) -> models.Constants:
    return {name: np.float32(number) for name, number in numbers.items()}


def swish(*ends: onnx.NodeProto) -> Spelling:
    """HardSwish in several operators, the first two of which are the same."""
    bounds = [node("Add", ["s", "three"], ["t"]), node("Clip", ["t", "zero", "six"], ["c"])]
    return Spelling([*bounds, *ends], constants=singles(three=3, zero=0, six=6, sixth=1 / 6))


def gelu(*ends: onnx.NodeProto, root: str = "Div") -> Spelling:
    """GELU by Erf in several operators, the first three of which are the same."""
    front = [node(root, ["s", "root"], ["r"]), node("Erf", ["r"], ["e"]), node("Add", ["e", "one"], ["o"])]
    constants = singles(root=ROOT if root == "Div" else 1 / ROOT, one=1, half=0.5, two=2)
    return Spelling([*front, *ends], constants=constants)


def slopes(*sizes: int) -> models.Constants:
    return {"slopes": np.linspace(-0.5, 2, int(np.prod(sizes)), dtype=np.float32).reshape(sizes)}


EITHER = (-INFINITY, INFINITY)
SPELLINGS = {
    "ReLU": Spelling([node("Relu", ["s"], ["y"])]),
    "ReLU6": Spelling([node("Clip", ["s", "low", "high"], ["y"])], (0, 6), singles(low=0, high=6)),
    "bounds": Spelling([node("Clip", ["s", "low", "high"], ["y"])], (-1, 2), singles(low=-1, high=2)),
    "bounds from above": Spelling([node("Clip", ["s", "", "high"], ["y"])], (-INFINITY, 2), singles(high=2)),
    "bounds twice": Spelling(
        [node("Clip", ["s", "low"], ["r"]), node("Clip", ["r", "", "high"], ["y"])], (-1, 2), singles(low=-1, high=2)
    ),
    "LeakyReLU": Spelling([node("LeakyRelu", ["s"], ["y"], alpha=0.1)], EITHER),
    "LeakyReLU as it is unless set": Spelling([node("LeakyRelu", ["s"], ["y"])], EITHER),
    "PReLU": Spelling([node("PRelu", ["s", "slopes"], ["y"])], EITHER, slopes(CHANNELS, 1, 1)),
    "PReLU of a batch": Spelling([node("PRelu", ["s", "slopes"], ["y"])], EITHER, slopes(1, CHANNELS, 1, 1)),
    "PReLU of one slope": Spelling([node("PRelu", ["s", "slopes"], ["y"])], EITHER, singles(slopes=0.25)),
    "hard sigmoid": Spelling([node("HardSigmoid", ["s"], ["y"], alpha=0.3)], (0, 1)),
    "hard sigmoid as it is unless set": Spelling([node("HardSigmoid", ["s"], ["y"])], (0, 1)),
    "hard sigmoid by bounds": Spelling(
        [
            node("Add", ["s", "three"], ["t"]),
            node("Clip", ["t", "low", "high"], ["c"]),
            node("Div", ["c", "high"], ["y"]),
        ],
        (0, 1),
        singles(three=3, low=0, high=6),
    ),
    "hard swish": Spelling([node("HardSwish", ["s"], ["y"])]),
    "hard swish by a hard sigmoid": Spelling(
        [node("HardSigmoid", ["s"], ["h"], alpha=1 / 6), node("Mul", ["h", "s"], ["y"])]
    ),
    "hard swish, divided last": swish(node("Mul", ["s", "c"], ["m"]), node("Div", ["m", "six"], ["y"])),
    "hard swish, multiplied last": swish(node("Mul", ["c", "s"], ["m"]), node("Mul", ["m", "sixth"], ["y"])),
    "hard swish, divided first": swish(node("Div", ["c", "six"], ["d"]), node("Mul", ["s", "d"], ["y"])),
    "sigmoid": Spelling([node("Sigmoid", ["s"], ["y"])], (0, 1)),
    "tanh": Spelling([node("Tanh", ["s"], ["y"])], (-1, 1)),
    "SiLU": Spelling([node("Sigmoid", ["s"], ["g"]), node("Mul", ["s", "g"], ["y"])]),
    "SiLU the other way round": Spelling([node("Sigmoid", ["s"], ["g"]), node("Mul", ["g", "s"], ["y"])]),
    "SiLU of a multiple": Spelling(
        [node("Mul", ["s", "alpha"], ["k"]), node("Sigmoid", ["k"], ["g"]), node("Mul", ["s", "g"], ["y"])],
        constants=singles(alpha=1.702),
    ),
    "QuickGelu": Spelling([node("QuickGelu", ["s"], ["y"], domain="com.microsoft", alpha=1.5)]),
    "Gelu": Spelling([node("Gelu", ["s"], ["y"])], opset=20),
    "Gelu by tanh": Spelling([node("Gelu", ["s"], ["y"], approximate="tanh")], opset=20),
    "Gelu of Microsoft": Spelling([node("Gelu", ["s"], ["y"], domain="com.microsoft")]),
    "FastGelu": Spelling([node("FastGelu", ["s"], ["y"], domain="com.microsoft")]),
    "GELU, halved last": gelu(node("Mul", ["s", "o"], ["m"]), node("Mul", ["m", "half"], ["y"])),
    "GELU, halved by division": gelu(node("Mul", ["o", "s"], ["m"]), node("Div", ["m", "two"], ["y"])),
    "GELU, halved first": gelu(node("Mul", ["s", "half"], ["h"]), node("Mul", ["h", "o"], ["y"])),
    "GELU, its gate halved": gelu(node("Mul", ["o", "half"], ["h"]), node("Mul", ["s", "h"], ["y"])),
    "GELU of a multiple": gelu(node("Mul", ["s", "o"], ["m"]), node("Mul", ["half", "m"], ["y"]), root="Mul"),
}
#: What no activation may change, and where each bends.
SPECIAL = [np.nan, INFINITY, -INFINITY, 0.0, -0.0, 1e-30, -1e-30, 3.0, -3.0, 20.0, -20.0, 90.0, -90.0, 1e30, -1e30]


def model_of(
    spelling: Spelling,
    weights: np.ndarray,
    sizes: Sequence[int | str | None],
    operator: str = "Conv",
    has_residual: bool = False,
    is_between: bool = False,
    **attributes: int | list[int],
) -> onnx.ModelProto:
    """A convolution with an activation behind it, and another one if they are to lie channels last."""
    nodes = [node(operator, ["x", "w"], ["a" if has_residual else "s"], "first", **attributes)]
    if has_residual:
        nodes.append(node("Add", ["a", "x"], ["s"]))
    activation = []
    for original in spelling.nodes:
        copied = onnx.NodeProto()
        copied.CopyFrom(original)
        activation.append(copied)
    constants = {"w": weights, **{name: np.asarray(value, weights.dtype) for name, value in spelling.constants.items()}}
    if is_between:
        activation[-1].output[0] = "b"
        activation.append(node("Conv", ["b", "v"], ["y"], "last"))
        constants["v"] = np.eye(CHANNELS, dtype=weights.dtype).reshape(CHANNELS, CHANNELS, 1, 1)
    return models.small([*nodes, *activation], constants, sizes, weights.dtype.type, opset=spelling.opset)


class Activations(Comparing):
    """What a convolution's end makes of each output."""

    def fused_by(self, model: onnx.ModelProto, feeds: Feeds) -> list[str]:
        """The operators behind the first convolution that the report names, both providers giving the same."""
        report = self.check(model, feeds)
        (first,) = (layer for layer in report if layer.node == "first")
        return sorted(first.fused)

    def test_each_spelling_is_fused(self) -> None:
        feeds = {"x": 3 * values(2, CHANNELS, 12, 13)}
        fused = 0
        for (name, spelling), operator, has_residual, sizes in itertools.product(
            SPELLINGS.items(),
            ("Conv", "ConvTranspose"),
            (False, True),
            ((2, CHANNELS, 12, 13), (None, CHANNELS, None, None)),
        ):
            # A residual of unknown sizes is not added here.
            if has_residual and (operator == "ConvTranspose" or None in sizes):
                continue
            with self.subTest(name, operator=operator, has_residual=has_residual, sizes=sizes):
                weights = values(CHANNELS, CHANNELS, 3, 3) / 4
                model = model_of(spelling, weights, sizes, operator, has_residual, pads=[1] * 4)
                found = self.fused_by(model, feeds)
                expected = sorted([*spelling.fused, *["Add"] * has_residual])
                # What is added without a residual is in the bias, and what is multiplied in the weights, as far as it is
                # not read a second time.
                self.assertEqual(found, expected)
                fused += 1
        print(f"activations: {fused} fused")

    def test_channels_last(self) -> None:
        feeds = {"x": 3 * values(2, CHANNELS, 12, 13)}
        for name, spelling in SPELLINGS.items():
            with self.subTest(name):
                weights = values(CHANNELS, CHANNELS, 1, 1)
                model = model_of(spelling, weights, (2, CHANNELS, 12, 13), is_between=True)
                self.assertEqual(self.fused_by(model, feeds), spelling.fused)

    def test_what_is_no_number_and_what_is_infinite(self) -> None:
        """NaN stays NaN, and an infinity gives the formula's limit or what its operators make of it."""
        special = np.array(SPECIAL, np.float32)
        x = np.concatenate([special, np.linspace(-8, 8, 161, dtype=np.float32)])
        x = np.tile(x, CHANNELS).reshape(1, CHANNELS, 1, -1)
        # One product a sum: each output is what the activation makes of one input.
        weights = np.ones((CHANNELS, 1, 1, 1), np.float32)
        for name, spelling in SPELLINGS.items():
            with self.subTest(name):
                model = model_of(spelling, weights, x.shape, group=CHANNELS)
                (ours,), (theirs,) = (made.run(None, {"x": x}) for made in (session(model), plain(model)))
                self.assertTrue(np.isnan(ours[np.isnan(x)]).all())
                for infinity, limit in zip(EITHER, spelling.limits, strict=True):
                    at = x == infinity
                    is_theirs = np.isnan(ours[at]) & np.isnan(theirs[at]) | (ours[at] == theirs[at])
                    self.assertTrue((is_theirs | (ours[at] == limit)).all(), (infinity, ours[at], theirs[at]))
                finite = np.isfinite(x)
                np.testing.assert_allclose(ours[finite], theirs[finite], rtol=2e-5, atol=2e-6)

    def test_a_residual_of_another_shape(self) -> None:
        """It may be broadcast, or the convolution's output; which sizes they have is known in the run alone."""
        weights = values(CHANNELS, CHANNELS, 1, 1)
        for (name, spelling), residual in itertools.product(SPELLINGS.items(), ("x", "means")):
            with self.subTest(name, residual=residual):
                # The convolution has one output where x is added.
                strides = [9, 9] if residual == "x" else [1, 1]
                model = model_of(spelling, weights, ("n", CHANNELS, "h", "w"), has_residual=True, strides=strides)
                model.graph.node.insert(0, node("GlobalAveragePool", ["x"], ["means"]))
                model.graph.node[2].input[1] = residual
                report = self.check(model, {"x": 3 * values(2, CHANNELS, 5, 6)})
                self.assertEqual([sorted(layer.fused) for layer in report], [sorted(["Add", *spelling.fused])])

    def test_float64(self) -> None:
        """ONNX Runtime has few of these kernels for float64: it is compared with what float32 gives."""
        feeds = {"x": values(2, CHANNELS, 9, 7, dtype=np.float64)}
        for name, spelling in SPELLINGS.items():
            with self.subTest(name):
                weights = values(CHANNELS, CHANNELS, 3, 3, dtype=np.float64)
                made = session(model_of(spelling, weights, (2, CHANNELS, 9, 7)))
                (layer,) = convlow.report(made)
                narrow = model_of(spelling, weights.astype(np.float32), (2, CHANNELS, 9, 7))
                theirs = plain(narrow).run(None, {"x": feeds["x"].astype(np.float32)})
                self.assertLessEqual(error(made.run(None, feeds), theirs), 1e-5)
                self.assertEqual(sorted(layer.fused), spelling.fused)

    def test_what_is_nearly_an_activation_is_computed_as_it_stands(self) -> None:
        """Constants that are others, and a value that is read once more."""
        others = {
            "another bound": swish(node("Mul", ["s", "c"], ["m"]), node("Div", ["m", "three"], ["y"])),
            "another root": gelu(node("Mul", ["s", "o"], ["m"]), node("Mul", ["m", "half"], ["y"]), root="Add"),
            "another half": gelu(node("Mul", ["s", "o"], ["m"]), node("Mul", ["m", "two"], ["y"])),
            "a sigmoid of more": Spelling(
                [node("Add", ["s", "one"], ["k"]), node("Sigmoid", ["k"], ["g"]), node("Mul", ["s", "g"], ["y"])],
                constants=singles(one=1),
            ),
            "its sigmoid's": Spelling(
                [node("Sigmoid", ["s"], ["g"]), node("Mul", ["s", "g"], ["m"]), node("Mul", ["m", "g"], ["y"])]
            ),
            "two of its sigmoids": Spelling(
                [
                    node("HardSigmoid", ["s"], ["g"]),
                    node("HardSigmoid", ["s"], ["h"], alpha=0.1),
                    node("Mul", ["g", "h"], ["y"]),
                ]
            ),
            "a product with its sum": Spelling(
                [node("Add", ["s", "one"], ["k"]), node("Mul", ["s", "k"], ["y"])], constants=singles(one=1)
            ),
        }
        feeds = {"x": 3 * values(2, CHANNELS, 12, 13)}
        for name, spelling in others.items():
            with self.subTest(name):
                model = model_of(spelling, values(CHANNELS, CHANNELS, 3, 3) / 4, (2, CHANNELS, 12, 13), pads=[1] * 4)
                self.check(model, feeds)


if __name__ == "__main__":
    unittest.main()
