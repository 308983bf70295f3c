"""What stands between convolutions, in ONNX Runtime with and without the provider."""

from __future__ import annotations

import itertools
import unittest
from collections.abc import Sequence
from typing import Any

import convlow_onnxruntime as convlow
import models
import numpy as np
import onnx
from comparing import Comparing, error, node, plain, session, values
from onnx import helper


class Between(Comparing):
    """What stands between convolutions is computed where values lie channels last."""

    def sandwich(
        self,
        middle: list[onnx.NodeProto],
        constants: models.Constants,
        channels: int = 37,
        behind: int | None = None,
        spatial: Sequence[int] = (13, 14),
        between: Sequence[str] | None = None,
    ) -> None:
        """Convolutions before and behind, of known and of unknown sizes; the middle is from a to b."""
        rank = len(spatial)
        kernel = [1] * rank
        nodes = [node("Conv", ["x", "w0"], ["a"], "first"), *middle, node("Conv", ["b", "w1"], ["y"], "last")]
        weights = {"w0": values(channels, 5, *kernel), "w1": values(6, behind or channels, *kernel), **constants}
        of_names = [f"size{axis}" for axis in range(rank)]
        known_or_not: list[list[int | str]] = [[2, 5, *spatial], ["n", 5, *of_names]]
        for sizes in known_or_not:
            with self.subTest(middle=middle[0].op_type, sizes=sizes):
                model = models.small(nodes, weights, sizes)
                names = [node.op_type for node in middle] if between is None else between
                self.check(model, {"x": values(2, 5, *spatial)}, between=names)

    def test_pooling(self) -> None:
        cases: list[dict[str, Any]] = [
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4},
            {"kernel_shape": [2, 2], "strides": [2, 2]},
            {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1},
            {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 0, 1, 0], "ceil_mode": 1},
            {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        ]
        for operator, attributes in itertools.product(("MaxPool", "AveragePool"), cases):
            self.sandwich([node(operator, ["a"], ["b"], **attributes)], {})
        self.sandwich([node("MaxPool", ["a"], ["b"], kernel_shape=[3, 3], dilations=[2, 2])], {})
        # A window over more than there is, which ONNX Runtime has where it is not a whole stride more.
        for operator, ceil_mode in itertools.product(("MaxPool", "AveragePool"), (0, 1)):
            attributes = {"kernel_shape": [1, 3], "strides": [1, 3], "ceil_mode": ceil_mode}
            self.sandwich([node(operator, ["a"], ["b"], **attributes)], {}, spatial=(2, 1))
        self.sandwich([node("AveragePool", ["a"], ["b"], kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)], {})
        self.sandwich([node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2, 2], strides=[2, 1, 2])], {}, spatial=(5, 6, 7))
        self.sandwich([node("AveragePool", ["a"], ["b"], kernel_shape=[3], strides=[2])], {}, spatial=(31,))

    def test_the_whole_image(self) -> None:
        self.sandwich([node("GlobalAveragePool", ["a"], ["b"])], {})
        self.sandwich([node("GlobalMaxPool", ["a"], ["b"])], {})
        self.sandwich([node("ReduceMean", ["a"], ["b"], axes=[2, 3])], {})
        self.sandwich([node("ReduceMean", ["a"], ["b"], axes=[-1, -2])], {})

    def test_concatenation(self) -> None:
        other = node("Conv", ["x", "w2"], ["c"], "other")
        joined = node("Concat", ["a", "c", "a"], ["b"], axis=1)
        self.sandwich([other, joined], {"w2": values(9, 5, 1, 1)}, behind=37 + 9 + 37)
        joined = node("Concat", ["c", "a"], ["b"], axis=-3)
        self.sandwich([other, joined], {"w2": values(9, 5, 1, 1)}, behind=37 + 9)

    def test_convolutions_write_their_channels(self) -> None:
        """Where nobody else reads their outputs; all other inputs of the Concat are copied."""
        nodes = [
            node("Conv", ["x", "w0"], ["a"], "first", pads=[1] * 4),
            node("Conv", ["a", "w1"], ["b"], "narrow"),
            node("Relu", ["b"], ["r"]),
            node("MaxPool", ["a"], ["m"], kernel_shape=[3, 3], pads=[1] * 4),
            node("Conv", ["a", "w2", "b2"], ["c"], "wide", pads=[1] * 4, group=2),
            node("Clip", ["c", "zero", "six"], ["k"]),
            node("Concat", ["r", "m", "k"], ["j"], axis=1),
            node("Conv", ["j", "w3"], ["y"], "last"),
        ]
        constants: models.Constants = {
            "w0": values(12, 5, 3, 3),
            "w1": values(7, 12, 1, 1),
            "w2": values(70, 6, 3, 3),
            "b2": values(70),
            "zero": np.float32(0),
            "six": np.float32(6),
            "w3": values(4, 7 + 12 + 70, 1, 1),
        }
        sizes: list[list[int | str]] = [[3, 5, 13, 14], ["n", 5, "h", "w"]]
        for shape, math in itertools.product(sizes, ("exact", "fast")):
            with self.subTest(shape=shape, math=math):
                model = models.small(nodes, constants, shape)
                report = self.check(model, {"x": values(3, 5, 13, 14)}, 1e-4, ["Concat", "MaxPool"], math=math)
                fused = {layer.node: layer.fused for layer in report}
                self.assertEqual(fused["narrow"], ("Relu", "Concat"))
                self.assertEqual(fused["wide"], ("Clip", "Concat"))
                self.assertEqual(fused["first"], ())
        # Of no image there is none.
        made = session(models.small(nodes, constants, sizes[1]))
        self.assertEqual(made.run(None, {"x": values(0, 5, 13, 14)})[0].shape, (0, 4, 13, 14))
        for first, second in ((13, 14), (14, 13), (6, 7)):
            with self.subTest(height=first, width=second):
                feeds = {"x": values(1, 5, first, second)}
                ours = made.run(None, feeds)
                self.assertLessEqual(
                    error(ours, plain(models.small(nodes, constants, sizes[1])).run(None, feeds)), 1e-5
                )

    def test_other_ranks_and_channels_that_nobody_tells(self) -> None:
        for spatial in ((31,), (5, 6, 7), (1, 1)):
            rank = len(spatial)
            kernel = [1] * rank
            nodes = [
                node("Conv", ["x", "w0"], ["a"], "first"),
                node("ConvTranspose", ["a", "w1"], ["b"], "second"),
                node("Conv", ["a", "w2"], ["c"], "third"),
                node("PRelu", ["c", "s"], ["p"]),
                node("Concat", ["b", "x", "p"], ["j"], axis=1),
                node("Conv", ["j", "w3"], ["y"], "last"),
            ]
            constants: models.Constants = {
                "w0": values(12, 5, *kernel),
                "w1": values(12, 7, *kernel),
                "w2": values(9, 12, *kernel),
                "s": values(9, *kernel),
                "w3": values(4, 7 + 5 + 9, *kernel),
            }
            known_or_not: list[list[int | str]] = [
                [2, 5, *spatial],
                ["n", "c", *[f"size{axis}" for axis in range(rank)]],
            ]
            for sizes in known_or_not:
                with self.subTest(sizes=sizes):
                    self.check(models.small(nodes, constants, sizes), {"x": values(2, 5, *spatial)})
            # An input of the graph lies channels first; behind an operator of each element alone it does not.
            nodes[4:5] = [node("Conv", ["x", "w4"], ["d"], "fourth"), node("Erf", ["d"], ["e"])]
            nodes.insert(6, node("Concat", ["b", "e", "p"], ["j"], axis=1))
            constants = {**constants, "w4": values(5, 5, *kernel)}
            for sizes in known_or_not:
                with self.subTest(sizes=sizes, joined=True):
                    report = self.check(models.small(nodes, constants, sizes), {"x": values(2, 5, *spatial)})
                    fused = {layer.node: layer.fused for layer in report}
                    self.assertEqual([fused["second"], fused["third"]], [("Concat",), ("PRelu", "Concat")])

    def test_convolutions_that_others_read_are_not_joined(self) -> None:
        constants = {"w0": values(12, 5, 1, 1), "w1": values(7, 12, 1, 1), "w2": values(4, 19, 1, 1)}
        before = [node("Conv", ["x", "w0"], ["a"], "first"), node("Conv", ["a", "w1"], ["b"], "second")]
        last = node("Conv", ["j", "w2"], ["y"], "last")
        # The first one is read by the second.
        model = models.small([*before, node("Concat", ["a", "b"], ["j"], axis=1), last], constants, [2, 5, 6, 7])
        report = self.check(model, {"x": values(2, 5, 6, 7)}, between=["Concat"])
        self.assertEqual([layer.fused for layer in report], [(), ("Concat",), ()])
        # Of a graph's output, too.
        nodes = [*before, node("Concat", ["a", "b"], ["j"], axis=1), last]
        model = models.small(nodes, constants, [2, 5, 6, 7], outputs=("b", "y"))
        report = self.check(model, {"x": values(2, 5, 6, 7)})
        self.assertEqual([layer.fused for layer in report], [(), (), ()])
        # Sizes that do not fit are the user's mistake, and the error tells them.
        nodes = [
            node("Conv", ["x", "w0"], ["a"], "first"),
            node("Conv", ["x", "w3"], ["b"], "second"),
            node("Concat", ["a", "b"], ["j"], axis=1),
            node("Conv", ["j", "w2"], ["y"], "last"),
        ]
        constants = {"w0": values(12, 5, 1, 1), "w3": values(7, 5, 2, 2), "w2": values(4, 19, 1, 1)}
        made = session(models.small(nodes, constants, ["n", 5, "h", "w"]))
        with self.assertRaisesRegex(Exception, "cannot be joined"):
            made.run(None, {"x": values(1, 5, 6, 7)})

    def test_gates(self) -> None:
        squeeze = [
            node("GlobalAveragePool", ["a"], ["m"]),
            node("Conv", ["m", "w2"], ["e"], "squeeze"),
            node("HardSigmoid", ["e"], ["g"]),
        ]
        weights = {"w2": values(37, 37, 1, 1)}
        between = ["GlobalAveragePool", "Mul"]
        self.sandwich([*squeeze, node("Mul", ["a", "g"], ["b"])], weights, between=between)
        self.sandwich([*squeeze, node("Mul", ["g", "a"], ["b"])], weights, between=between)
        # One gate for all images, which is not known before the run where their number has a name.
        shared = [node("ReduceMean", ["g"], ["s"], axes=[0]), node("Mul", ["a", "s"], ["b"])]
        self.sandwich([*squeeze, *shared], weights, between=())
        # What is scaled by constants looks as if it were the gate of them.
        for inputs in (["m", "k"], ["k", "m"]):
            scaled = [node("GlobalAveragePool", ["a"], ["m"]), node("Mul", inputs, ["b"])]
            self.sandwich(scaled, {"k": values(1, 37, 1, 1)}, between=())

    def test_by_channel(self) -> None:
        constants = {"s": values(37), "b0": values(37), "m": values(37), "v": np.abs(values(37)) + 0.5}
        norm = node("BatchNormalization", ["c", "s", "b0", "m", "v"], ["d"])
        self.sandwich([node("PRelu", ["a", "slope"], ["b"])], {"slope": values(37, 1, 1)})
        # A MaxPool before it keeps ONNX Runtime from multiplying it into the weights.
        pool = node("MaxPool", ["a"], ["c"], kernel_shape=[2, 2])
        self.sandwich([pool, norm, node("Relu", ["d"], ["b"])], constants)
        scaled = [
            node("Mul", ["c", "factor"], ["d"]),
            node("Add", ["d", "shift"], ["e"]),
            node("Clip", ["e", "low", "high"], ["b"]),
        ]
        constants = {"factor": values(37, 1, 1), "shift": values(1, 37, 1, 1)}
        self.sandwich([pool, *scaled], {**constants, "low": np.float32(-0.3), "high": np.float32(0.4)})

    def test_enlarging(self) -> None:
        for attributes in ({}, {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}):
            scales = {"k": np.array([1, 1, 2, 3], np.float32)}
            self.sandwich([node("Resize", ["a", "", "k"], ["b"], mode="nearest", **attributes)], scales)
        scales = {"k": np.array([1, 1, 2, 3, 4], np.float32)}
        self.sandwich([node("Resize", ["a", "", "k"], ["b"], mode="nearest")], scales, spatial=(3, 4, 5))
        # What is between pixels is not claimed, and computed all the same.
        linear = node("Resize", ["a", "", "k"], ["b"], mode="linear")
        self.sandwich([linear], {"k": np.array([1, 1, 2, 2], np.float32)}, between=())

    def test_shuffled_channels(self) -> None:
        for groups in (2, 3, 4, 5, 8):
            channels = groups * 6
            split, joined = (np.array(sizes, np.int64) for sizes in ([2, groups, 6, 13, 14], [2, channels, 13, 14]))
            middle = [
                node("Reshape", ["a", "split"], ["c"]),
                node("Transpose", ["c"], ["d"], perm=[0, 2, 1, 3, 4]),
                node("Reshape", ["d", "joined"], ["b"]),
            ]
            nodes = [node("Conv", ["x", "w0"], ["a"], "first"), *middle, node("Conv", ["b", "w1"], ["y"], "last")]
            constants: models.Constants = {
                "w0": values(channels, 5, 1, 1),
                "w1": values(6, channels, 1, 1),
                "split": split,
                "joined": joined,
            }
            with self.subTest(groups):
                model = models.small(nodes, constants, (2, 5, 13, 14))
                self.check(model, {"x": values(2, 5, 13, 14)}, between=["Reshape", "Transpose"])

    def test_element_by_element(self) -> None:
        """ONNX Runtime computes these, and does not know how their elements lie."""
        ones = ["Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Elu", "Softplus", "Erf", "Abs"]
        for operator in ones:
            self.sandwich([node(operator, ["a"], ["b"])], {}, between=())
        self.sandwich([node("Sigmoid", ["a"], ["c"]), node("Mul", ["a", "c"], ["b"])], {}, between=())
        three = {"three": np.float32(3), "six": np.float32(6), "zero": np.float32(0)}
        swish = [
            node("Add", ["a", "three"], ["c"]),
            node("Clip", ["c", "zero", "six"], ["d"]),
            node("Mul", ["a", "d"], ["e"]),
            node("Div", ["e", "six"], ["b"]),
        ]
        self.sandwich(swish, three, between=())

    def test_what_others_read_lies_as_they_expect(self) -> None:
        # A graph's output, an operator that is not claimed, and two ranks.
        convolution = node("Conv", ["x", "w"], ["a"], "c", pads=[1] * 4)
        weights = {"w": values(5, 5, 3, 3)}
        nodes = [convolution, node("Conv", ["a", "w"], ["y"], "d")]
        self.check(models.small(nodes, weights, (1, 5, 9, 8), outputs=("a", "y")), {"x": values(1, 5, 9, 8)})
        nodes.append(node("Softmax", ["a"], ["z"], axis=3))
        self.check(models.small(nodes, weights, (1, 5, 9, 8), outputs=("y", "z")), {"x": values(1, 5, 9, 8)})
        nodes[2] = node("ReduceL1", ["a"], ["z"], keepdims=0)
        self.check(models.small(nodes, weights, (1, 5, 9, 8), outputs=("y", "z")), {"x": values(1, 5, 9, 8)})

    def test_nested_graphs_read_what_they_expect(self) -> None:
        convolution = node("Conv", ["x", "w"], ["a"], "c", pads=[1] * 4)
        inner = helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, None)
        branches = {
            "then_branch": helper.make_graph([node("Softmax", ["a"], ["inner"], axis=2)], "then", [], [inner]),
            "else_branch": helper.make_graph(
                [node("Conv", ["a", "w"], ["inner"], "nested", pads=[1] * 4)], "else", [], [inner]
            ),
        }
        nodes = [
            convolution,
            node("Conv", ["a", "w"], ["y"], "d"),
            node("ReduceSum", ["x"], ["sum"], keepdims=0),
            node("Greater", ["sum", "zero"], ["is_positive"]),
            node("If", ["is_positive"], ["z"], **branches),
        ]
        constants: models.Constants = {"w": values(5, 5, 3, 3), "zero": np.float32(0)}
        model = models.small(nodes, constants, (1, 5, 9, 8), outputs=("y", "z"))
        made, other = session(model), plain(model)
        self.assertEqual(sorted(layer.node for layer in convlow.report(made)), ["c", "d", "nested"])
        for sign in (1, -1):
            feeds = {"x": sign * np.abs(values(1, 5, 9, 8))}
            self.assertLessEqual(error(made.run(None, feeds), other.run(None, feeds)), 1e-5)


if __name__ == "__main__":
    unittest.main()
