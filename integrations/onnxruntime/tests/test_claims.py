"""Every convolution of constant weights is claimed: of unknown rank, in graphs inside of nodes, of open sizes under long
kernels, with weights behind nodes, and with a bias that is computed."""

from __future__ import annotations

import gc
import os
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

import convlow_onnxruntime as convlow
import models
import numpy as np
import onnx
import onnxruntime as ort
from comparing import Comparing, Feeds, assigned, error, node, plain, session, values
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def info(name: str, sizes: list[int | str | None] | None, element: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, sizes)


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray],
    opset: int = 17,
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "claims", inputs, [info("y", None)], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


class Claims(unittest.TestCase):
    def check(self, model: onnx.ModelProto, feeds: Feeds, count: int = 1, bound: float = 1e-5) -> convlow.Report:
        for as_written in (False, True):
            made = session(model, as_written=as_written)
            report = convlow.report(made)
            self.assertEqual([layer.reason for layer in report if not layer.claimed], [])
            self.assertEqual(len(report), count)
            for _ in range(2):
                ours, theirs = made.run(None, feeds), plain(model).run(None, feeds)
                self.assertEqual([a.shape for a in ours], [b.shape for b in theirs])
                self.assertLessEqual(error(ours, theirs), bound)
        return report


class UnknownRank(Claims):
    """The graph says nothing of the input's shape: the weights do."""

    inputs = (info("x", [1, 8, 20, 20]), info("s", ["n"], TensorProto.INT64))
    feeds: ClassVar[Feeds] = {"x": values(1, 8, 20, 20), "s": np.array([1, 8, 20, 20], np.int64)}

    def test_behind_a_reshape(self) -> None:
        nodes = [node("Reshape", ["x", "s"], ["r"]), node("Conv", ["r", "w"], ["y"], "c")]
        self.check(model_of(nodes, list(self.inputs), {"w": values(16, 8, 3, 3)}), self.feeds)

    def test_a_chain_with_a_residual_and_pooling(self) -> None:
        nodes = [
            node("Reshape", ["x", "s"], ["r"]),
            node("Conv", ["r", "w"], ["a"], "c1", pads=[1] * 4),
            node("Relu", ["a"], ["b"]),
            node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", ["c", "w"], ["d"], "c2", pads=[1] * 4),
            node("Add", ["d", "c"], ["e"]),
            node("Sigmoid", ["e"], ["f"]),
            node("ConvTranspose", ["f", "v"], ["y"], "c3", strides=[2, 2]),
        ]
        constants = {"w": values(8, 8, 3, 3), "v": values(8, 3, 2, 2)}
        self.check(model_of(nodes, list(self.inputs), constants), self.feeds, 3)

    def test_a_sum_with_a_value_of_another_rank(self) -> None:
        nodes = [
            node("Reshape", ["x", "s"], ["r"]),
            node("Conv", ["r", "w"], ["a"], "c1", pads=[1] * 4),
            node("ReduceMax", ["r"], ["m"], keepdims=0),
            node("Add", ["a", "m"], ["b"]),
            node("Relu", ["b"], ["y"]),
        ]
        self.check(model_of(nodes, list(self.inputs), {"w": values(8, 8, 3, 3)}), self.feeds)

    def test_one_pixel_for_all_that_is_known(self) -> None:
        nodes = [
            node("Reshape", ["x", "s"], ["r"]),
            node("Conv", ["r", "w"], ["a"], "c1"),
            node("GlobalAveragePool", ["a"], ["b"]),
            node("Conv", ["b", "w"], ["c"], "c2"),
            node("Mul", ["a", "c"], ["d"]),
            node("Conv", ["d", "w"], ["y"], "c3"),
        ]
        self.check(model_of(nodes, list(self.inputs), {"w": values(8, 8, 1, 1)}), self.feeds, 3)


class Inside(Claims):
    """In the graphs of If, Loop and Scan."""

    def test_in_both_branches_of_an_if(self) -> None:
        def branch(name: str, weights: str) -> onnx.GraphProto:
            nodes = [node("Conv", ["x", weights], [f"{name}a"], name), node("Relu", [f"{name}a"], [f"{name}y"])]
            return helper.make_graph(nodes, name, [], [info(f"{name}y", None)])

        nodes = [node("If", ["p"], ["y"], then_branch=branch("then", "w"), else_branch=branch("else", "v"))]
        model = model_of(
            nodes,
            [info("x", ["n", 8, "h", "w"]), info("p", [], TensorProto.BOOL)],
            {"w": values(16, 8, 3, 3), "v": values(16, 8, 3, 3)},
        )
        for which in (True, False):
            self.check(model, {"x": values(2, 8, 14, 15), "p": np.array(which)}, 2)

    def test_in_a_loop(self) -> None:
        body = helper.make_graph(
            [
                node("Conv", ["v", "w"], ["a"], "in loop", pads=[1] * 4),
                node("Tanh", ["a"], ["b"]),
                node("Identity", ["c"], ["d"]),
            ],
            "body",
            [info("i", [], TensorProto.INT64), info("c", [], TensorProto.BOOL), info("v", None)],
            [info("d", [], TensorProto.BOOL), info("b", None)],
        )
        model = model_of(
            [node("Loop", ["m", "", "x"], ["y"], body=body)],
            [info("x", ["n", 8, "h", "w"]), info("m", [], TensorProto.INT64)],
            {"w": values(8, 8, 3, 3) / 8},
        )
        self.check(model, {"x": values(1, 8, 9, 11), "m": np.array(3, np.int64)})

    def test_in_a_scan(self) -> None:
        body = helper.make_graph(
            [node("Conv", ["v", "w"], ["a"], "in scan", pads=[1] * 2), node("Identity", ["a"], ["b"])],
            "body",
            [info("v", None)],
            [info("b", None)],
        )
        model = model_of(
            [node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)],
            [info("x", [3, 1, 8, 21])],
            {"w": values(8, 8, 3)},
        )
        self.check(model, {"x": values(3, 1, 8, 21)})


class OpenSizes(Claims):
    """Sizes that a run tells, under kernels that reach over many positions."""

    def test_long_kernels(self) -> None:
        for kernel in (56, 57, 128, 512):
            with self.subTest(kernel):
                strides = [kernel // 4]
                nodes = [node("Conv", ["x", "w"], ["y"], "c", strides=strides)]
                model = models.small(nodes, {"w": values(64, 1, kernel) / kernel}, ("b", 1, "n"))
                self.check(model, {"x": values(2, 1, 4000)})

    def test_wide_dilations(self) -> None:
        nodes = [node("Conv", ["x", "w"], ["y"], "c", dilations=[32, 32])]
        self.check(models.small(nodes, {"w": values(4, 3, 3, 3)}, ("b", 3, "h", "w")), {"x": values(1, 3, 100, 90)})

    def test_the_assumed_size_is_in_no_message(self) -> None:
        nodes = [node("Conv", ["x", "w"], ["y"], "c", dilations=[32, 32])]
        made = session(models.small(nodes, {"w": values(4, 3, 3, 3)}, ("b", 3, "h", "w")))
        with self.assertRaises(Exception) as refused:
            made.run(None, {"x": values(1, 3, 64, 100)})
        self.assertRegex(str(refused.exception), r"c: .*in_height = 64")

    def test_depthwise_kernels_on_maps_of_every_size(self) -> None:
        """Maps on which the algorithm of usual ones may not compute."""
        for kernel, spatial in ((3, 1), (31, 1), (9, 2), (3, 3), (5, 3), (7, 3)):
            for operator in ("Conv", "ConvTranspose"):
                for stride in (1, 2, 5):
                    nodes = [node(operator, ["x", "w"], ["y"], "c", strides=[stride] * spatial, group=16)]
                    constants = {"w": values(16, 1, *[kernel] * spatial)}
                    made = models.small(nodes, constants, ("n", 16, *"hwd"[:spatial]))
                    on_convlow, other = session(made), plain(made)
                    for size in (kernel, kernel + 9, (20_000, 150, 30)[spatial - 1]):
                        feeds = {"x": values(1, 16, *[kernel] * (spatial - 1), size)}
                        with self.subTest(operator=operator, kernel=kernel, spatial=spatial, stride=stride, size=size):
                            self.assertLessEqual(error(on_convlow.run(None, feeds), other.run(None, feeds)), 1e-5)


class WeightsBehindNodes(Claims):
    """Constants that nodes make of constants."""

    def check_weights(self, before: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> None:
        nodes = [*before, node("Conv", ["x", "w"], ["a"], "c", pads=[1] * 4), node("Relu", ["a"], ["y"])]
        model = models.small(nodes, constants, ("n", 8, 12, 13))
        self.check(model, {"x": values(2, 8, 12, 13)})
        # All of it is one node.
        made = session(model, as_written=True)
        self.assertEqual(sorted(assigned(made)), sorted(node.op_type for node in nodes))

    def test_identity(self) -> None:
        self.check_weights([node("Identity", ["v"], ["w"])], {"v": values(16, 8, 3, 3)})

    def test_transpose(self) -> None:
        self.check_weights([node("Transpose", ["v"], ["w"], perm=[2, 3, 0, 1])], {"v": values(3, 3, 16, 8)})
        self.check_weights([node("Transpose", ["v"], ["w"])], {"v": values(3, 3, 8, 16)})

    def test_reshape(self) -> None:
        shape = np.array([16, 8, 3, -1], np.int64)
        self.check_weights([node("Reshape", ["v", "s"], ["w"])], {"v": values(16, 72), "s": shape})

    def test_dequantised(self) -> None:
        rng = np.random.default_rng(1)
        for dtype in (np.int8, np.uint8):
            bounds = np.iinfo(dtype)
            weights = rng.integers(bounds.min, bounds.max, (16, 8, 3, 3), dtype)
            scales = np.abs(values(16)) / 100
            zeros = rng.integers(bounds.min, bounds.max, 16, dtype)
            for scale, zero in ((scales, zeros), (scales[0], zeros[0])):
                constants = {"v": weights, "scale": np.array(scale), "zero": np.array(zero)}
                axis = {"axis": 0} if np.ndim(scale) else {}
                self.check_weights([node("DequantizeLinear", ["v", "scale", "zero"], ["w"], **axis)], constants)
                self.check_weights([node("DequantizeLinear", ["v", "scale"], ["w"], **axis)], constants)

    def test_one_behind_the_other(self) -> None:
        nodes = [
            node("DequantizeLinear", ["v", "scale"], ["q"]),
            node("Transpose", ["q"], ["t"], perm=[2, 1, 0]),
            node("Reshape", ["t", "s"], ["w"]),
        ]
        constants = {
            "v": np.random.default_rng(2).integers(-100, 100, (9, 8, 16), np.int8),
            "scale": np.array(0.01, np.float32),
            "s": np.array([16, 8, 3, 3], np.int64),
        }
        self.check_weights(nodes, constants)

    def test_a_bias(self) -> None:
        nodes = [node("Identity", ["v"], ["b"]), node("Conv", ["x", "w", "b"], ["y"], "c")]
        model = models.small(nodes, {"w": values(16, 8, 3, 3), "v": values(16)}, ("n", 8, 12, 13))
        self.check(model, {"x": values(2, 8, 12, 13)})

    def check_shared(self, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], packed: int) -> None:
        """What the readers of one value compute, and that their weights are packed."""
        outputs = [output for node in nodes for output in node.output if output in "yz"]
        model = models.small(nodes, constants, ("n", 8, 12, 13), outputs=outputs)
        feeds = {"x": values(2, 8, 12, 13)}
        expected = plain(model).run(None, feeds)
        for as_written in (False, True):
            made = session(model, as_written=as_written)
            for _ in range(2):
                self.assertLessEqual(error(made.run(None, feeds), expected), 1e-5)
            self.assertEqual(sum(layer.packed_bytes > 0 for layer in convlow.report(made)), packed)

    def test_what_somebody_else_reads_too(self) -> None:
        transpose = node("Transpose", ["v"], ["w"], perm=[1, 0, 2, 3])
        nodes = [transpose, node("Conv", ["x", "w"], ["y"], "c"), node("ReduceMax", ["w"], ["z"])]
        self.check_shared(nodes, {"v": values(8, 16, 3, 3)}, 1)
        # The weights are an output of the model themselves.
        nodes = [node("Identity", ["v"], ["z"]), node("Conv", ["x", "z"], ["y"], "c")]
        self.check_shared(nodes, {"v": values(16, 8, 3, 3)}, 1)

    def test_two_convolutions_read_them(self) -> None:
        branches = [
            node("Conv", ["x", "w", "b"], ["y"], "first"),
            node("Conv", ["x", "w", "b"], ["z"], "second", pads=[1] * 4),
        ]
        constants = {"v": values(16, 8, 3, 3), "c": values(16)}
        before = [node("Identity", ["v"], ["w"]), node("Identity", ["c"], ["b"])]
        self.check_shared([*before, *branches], constants, 2)
        # Only the first of two nodes has two readers.
        before = [node("Identity", ["v"], ["u"]), node("Identity", ["u"], ["w"]), node("Identity", ["c"], ["b"])]
        other = node("Conv", ["x", "u", "b"], ["z"], "second", strides=[2, 2])
        self.check_shared([*before, branches[0], other], constants, 2)
        eight = np.random.default_rng(4).integers(-100, 100, (16, 8, 3, 3), np.int8)
        before = [node("DequantizeLinear", ["v", "scale"], ["w"]), node("Identity", ["c"], ["b"])]
        self.check_shared([*before, *branches], {**constants, "v": eight, "scale": np.array(0.01, np.float32)}, 2)

    def test_a_quantised_convolution_stays_one(self) -> None:
        nodes = [
            node("QuantizeLinear", ["x", "sx", "zx"], ["qx"]),
            node("DequantizeLinear", ["qx", "sx", "zx"], ["dx"]),
            node("DequantizeLinear", ["v", "sw", "zw"], ["w"]),
            node("Conv", ["dx", "w"], ["a"], "c"),
            node("QuantizeLinear", ["a", "sy", "zx"], ["qy"]),
            node("DequantizeLinear", ["qy", "sy", "zx"], ["y"]),
        ]
        constants: dict[str, np.ndarray] = {
            "sx": np.array(0.02, np.float32),
            "zx": np.array(128, np.uint8),
            "sw": np.array(0.01, np.float32),
            "zw": np.array(0, np.int8),
            "sy": np.array(0.1, np.float32),
            "v": np.random.default_rng(3).integers(-100, 100, (16, 8, 3, 3), np.int8),
        }
        model = models.small(nodes, constants, (1, 8, 12, 13))
        [layer] = convlow.report(session(model))
        self.assertIn("quantised", layer.reason)


class ComputedBias(Comparing):
    def test_behind_a_mean(self) -> None:
        for activation in ("Relu", "Sigmoid"):
            nodes = [
                node("ReduceMean", ["x"], ["b"], axes=[0, 2, 3], keepdims=0),
                node("Conv", ["x", "w", "b"], ["a"], "c", pads=[1] * 4),
                node("Add", ["a", "x"], ["d"]),
                node(activation, ["d"], ["y"]),
            ]
            model = models.small(nodes, {"w": values(4, 4, 3, 3)}, ("n", 4, 9, "w"))
            self.check(model, {"x": values(2, 4, 9, 9)})

    def test_before_a_batch_normalization(self) -> None:
        nodes = [
            node("ReduceMean", ["x"], ["b"], axes=[0, 2, 3], keepdims=0),
            node("Conv", ["x", "w", "b"], ["a"], "c"),
            node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["y"]),
        ]
        constants = {name: values(4) for name in ("scale", "shift", "mean")} | {"variance": np.abs(values(4)) + 1}
        constants |= {"w": values(4, 4, 3, 3)}
        model = models.small(nodes, constants, (1, 4, 9, 9))
        self.check(model, {"x": values(1, 4, 9, 9)})


class ComputedWeights(Comparing):
    """Weights that each run computes."""

    def test_of_every_kind(self) -> None:
        for operator, sizes, input_sizes, attributes in (
            ("Conv", (16, 8, 3, 3), ("n", 8, "h", "w"), {"pads": [1] * 4}),
            ("Conv", (64, 64, 3, 3), (1, 64, 14, 14), {"pads": [1] * 4, "strides": [2, 2]}),
            ("Conv", (16, 1, 3, 3), ("n", 16, "h", "w"), {"group": 16}),
            ("Conv", (300, 128, 3, 3), (1, 128, 7, 7), {}),
            ("ConvTranspose", (8, 5, 2, 2), ("n", 8, "h", "w"), {"strides": [2, 2]}),
            ("Conv", (16, 8, 5), ("n", 8, "w"), {"dilations": [2]}),
        ):
            with self.subTest(operator=operator, sizes=sizes):
                nodes = [
                    node("ReduceMean", ["x"], ["m"], keepdims=0),
                    node("Mul", ["w0", "m"], ["w"]),
                    node(operator, ["x", "w"], ["a"], "c", **attributes),
                    node("Relu", ["a"], ["y"]),
                ]
                model = models.small(nodes, {"w0": values(*sizes)}, input_sizes)
                runs = [size if isinstance(size, int) else 11 for size in input_sizes]
                feeds = {"x": values(*runs) + 1}
                for math in ("exact", "fast"):
                    report = self.check(model, feeds, 1e-4, math=math)
                    self.assertEqual([layer.packed_bytes for layer in report], [0])

    def test_within_a_limit_of_workspace(self) -> None:
        """A limit that leaves no room for one output channel's weights leaves the convolution to ONNX Runtime."""
        model = model_of(
            [node("Conv", ["x", "w"], ["y"], "c")], [info("x", ["n", 8, "h", "w"]), info("w", [16, 8, 3, 3])], {}
        )
        feeds = {"x": values(1, 8, 20, 90), "w": values(16, 8, 3, 3)}
        expected = plain(model).run(None, feeds)
        for limit, claimed in ((0, 0), (4096, 1), (1 << 20, 1)):
            made = session(model, max_workspace_bytes=limit)
            report = convlow.report(made)
            self.assertEqual(report.claimed, claimed, limit)
            self.assertLessEqual(error(made.run(None, feeds), expected), 1e-5)
            if not claimed:
                self.assertIn("max_workspace_bytes = 0", next(iter(report)).reason)

    def test_of_another_convolution(self) -> None:
        """What a convolution writes and another reads as its weights lies as ONNX says."""
        nodes = [
            node("Conv", ["x", "v"], ["a"], "weights", pads=[1] * 4),
            node("Conv", ["x", "u"], ["b"], "input", pads=[1] * 4),
            node("Conv", ["b", "a"], ["y"], "c"),
        ]
        constants = {"v": values(8, 8, 3, 3), "u": values(8, 8, 3, 3)}
        self.check(models.small(nodes, constants, (4, 8, 3, 3)), {"x": values(4, 8, 3, 3)}, 1e-4)

    def test_they_may_change_from_run_to_run(self) -> None:
        nodes = [node("Conv", ["x", "w"], ["y"], "c")]
        model = model_of(nodes, [info("x", [1, 8, 9, 9]), info("w", [16, 8, 3, 3])], {})
        made, other = session(model), plain(model)
        self.assertTrue(convlow.report(made).claimed)
        for _ in range(3):
            feeds = {"x": values(1, 8, 9, 9), "w": values(16, 8, 3, 3)}
            self.assertLessEqual(error(made.run(None, feeds), other.run(None, feeds)), 1e-5)


class SharedWeights(unittest.TestCase):
    """Weights of one content are packed once: within a model, and over sessions."""

    def test_two_branches_and_two_sessions(self) -> None:
        def resident() -> int:
            return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        weights = values(512, 512, 3, 3)
        plain_bytes = weights.nbytes
        nodes = [
            node("Conv", ["x", "w"], ["a"], "left", pads=[1] * 4),
            node("Conv", ["z", "w"], ["b"], "right", pads=[1] * 4),
            node("Sub", ["a", "b"], ["y"]),
        ]
        model = model_of(nodes, [info("x", [1, 512, 8, 8]), info("z", [1, 512, 8, 8])], {"w": weights})
        feeds = {"x": values(1, 512, 8, 8), "z": values(1, 512, 8, 8)}
        expected = plain(model).run(None, feeds)
        # Sessions of a model in memory keep its bytes.
        folder = tempfile.TemporaryDirectory(prefix="claims-")
        self.addCleanup(folder.cleanup)
        file = f"{folder.name}/shared.onnx"
        onnx.save(model, file)

        def made() -> ort.InferenceSession:
            return ort.InferenceSession(file, convlow.use(ort.SessionOptions()))

        kept = [made()]
        kept[0].run(None, feeds)
        gc.collect()
        begin = resident()
        for _ in range(3):
            kept.append(made())
            self.assertLessEqual(error(kept[-1].run(None, feeds), expected), 1e-5)
        gc.collect()
        self.assertLess(resident() - begin, plain_bytes, "three more sessions pack nothing")
        # The others still have them when the first is gone.
        del kept[0]
        self.assertLessEqual(error(kept[0].run(None, feeds), expected), 1e-5)

    def test_a_convolution_and_its_transpose_read_them_otherwise(self) -> None:
        nodes = [
            node("Conv", ["x", "w"], ["a"], "c", pads=[1] * 4),
            node("ConvTranspose", ["a", "w"], ["y"], "t", pads=[1] * 4),
        ]
        model = models.small(nodes, {"w": values(8, 8, 3, 3)}, (1, 8, 9, 9))
        feeds = {"x": values(1, 8, 9, 9)}
        self.assertLessEqual(error(session(model).run(None, feeds), plain(model).run(None, feeds)), 1e-5)

    def test_other_weights_of_the_same_shape_are_others(self) -> None:
        first, second = values(32, 8, 3, 3), values(32, 8, 3, 3)
        nearly = first.copy()
        nearly[-1, -1, -1, -1] += 1
        feeds = {"x": values(1, 8, 9, 9)}
        kept = []
        for weights in (first, second, nearly, first):
            model = models.small([node("Conv", ["x", "w"], ["y"], "c")], {"w": weights}, (1, 8, 9, 9))
            kept.append(session(model))
            self.assertLessEqual(error(kept[-1].run(None, feeds), plain(model).run(None, feeds)), 1e-5)


if __name__ == "__main__":
    unittest.main()
