"""The promises of the execution provider, tested in ONNX Runtime: python -m unittest discover tests"""

from __future__ import annotations

import ctypes
import gc
import itertools
import resource
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import convlow_onnxruntime as convlow
import models
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

ort.set_default_logger_severity(3)
node = helper.make_node
rng = np.random.default_rng(0)
Feeds = dict[str, np.ndarray]


def session(
    model: onnx.ModelProto, of_host: int = 1, only_convlow: bool = False, **options: Any
) -> ort.InferenceSession:
    """A session on convlow, which must not fall back to another provider as a whole."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = of_host
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if only_convlow:
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    made = ort.InferenceSession(model.SerializeToString(), convlow.use(settings, **options), enable_fallback=False)
    made.disable_fallback()
    return made


def plain(model: onnx.ModelProto) -> ort.InferenceSession:
    """A session on ONNX Runtime's own provider."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def assigned(made: ort.InferenceSession) -> list[str]:
    """The operators that ONNX Runtime says convlow computes."""
    subgraphs = made.get_provider_graph_assignment_info()
    return [node.op_type for subgraph in subgraphs if subgraph.ep_name == "convlow" for node in subgraph.get_nodes()]


def error(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest difference, relative to the largest output."""
    return max(
        float(np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-30))
        for a, b in zip(ours, theirs, strict=True)
    )


def values(*sizes: int, dtype: type = np.float32) -> np.ndarray:
    return rng.standard_normal(sizes).astype(dtype)


class Comparing(unittest.TestCase):
    """Both providers compute the same, and convlow's computes every convolution of constant weights."""

    def check(
        self, model: onnx.ModelProto, feeds: Feeds, bound: float = 1e-5, between: Sequence[str] = (), **options: Any
    ) -> convlow.Report:
        made, other = session(model, **options), plain(model)
        ours, theirs = made.run(None, feeds), other.run(None, feeds)
        self.assertEqual([a.shape for a in ours], [b.shape for b in theirs])
        self.assertLessEqual(error(ours, theirs), bound)
        report = convlow.report(made)
        self.assertEqual([layer.reason for layer in report if not layer.claimed], [])
        operators = assigned(made)
        convolutions = sum(node.op_type in ("Conv", "ConvTranspose") for node in model.graph.node)
        self.assertEqual(sum(operator in ("Conv", "ConvTranspose") for operator in operators), convolutions)
        for operator in between:
            self.assertIn(operator, operators)
        return report


class Agreement(Comparing):
    """Models, and convolutions of every kind."""

    def test_models(self) -> None:
        for name in models.all_names():
            model, feeds = models.named(name)
            for math, bound in (("exact", 1e-4), ("fast", 1e-3)):
                with self.subTest(model=name, math=math):
                    report = self.check(model, feeds, bound, math=math)
                    self.assertTrue(all(layer.algorithm for layer in report))
                    self.assertFalse(math == "exact" and any("winograd" in layer.algorithm for layer in report))

    def test_fast_math_takes_winograd(self) -> None:
        report = convlow.report(session(models.light("vgg19"), math="fast"))
        self.assertGreaterEqual(sum("winograd" in layer.algorithm for layer in report), 14)

    def test_nodes_of_the_standard(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from onnx.backend.test.case.node import collect_testcases

            cases = [
                case for case in collect_testcases() if case.model.graph.node[0].op_type in ("Conv", "ConvTranspose")
            ]
        self.assertGreater(len(cases), 15)
        for case in cases:
            graph = case.model.graph
            if len(graph.node) > 1 or graph.input[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
                continue
            with self.subTest(case=case.name):
                for inputs, outputs in case.data_sets:
                    model = onnx.ModelProto()
                    model.CopyFrom(case.model)
                    # They have their weights as inputs.
                    for value, constant in list(zip(graph.input, inputs, strict=True))[1:]:
                        model.graph.initializer.append(onnx.numpy_helper.from_array(constant, value.name))
                    del model.graph.input[1:]
                    made = session(model, only_convlow=True)
                    self.assertEqual(assigned(made), [graph.node[0].op_type])
                    got = made.run(None, {graph.input[0].name: inputs[0]})
                    np.testing.assert_allclose(got[0], outputs[0], rtol=case.rtol, atol=1e-5)

    def test_convolutions_of_every_kind(self) -> None:
        axes = {1: (23,), 2: (13, 14), 3: (7, 8, 9)}
        attributes: list[dict[str, Any]] = [
            {},
            {"pads": 1},
            {"strides": 2, "pads": 1},
            {"dilations": 2, "pads": 2},
            {"auto_pad": "SAME_UPPER", "strides": 2},
            {"auto_pad": "SAME_LOWER"},
            {"auto_pad": "VALID"},
        ]
        for (rank, spatial), attribute, groups, dtype, operator in itertools.product(
            axes.items(), attributes, (1, 2, 8), (np.float32, np.float64), ("Conv", "ConvTranspose")
        ):
            with self.subTest(rank=rank, attributes=attribute, groups=groups, dtype=dtype.__name__, operator=operator):
                counts = {"pads": 2 * rank}
                written = {
                    name: [value] * counts.get(name, rank) if isinstance(value, int) else value
                    for name, value in attribute.items()
                }
                weights = values(
                    8, 16 // groups if operator == "ConvTranspose" else 8 // groups, *[3] * rank, dtype=dtype
                )
                bias = values(16 if operator == "ConvTranspose" else 8, dtype=dtype)
                convolution = node(operator, ["x", "w", "b"], ["y"], "c", group=groups, **written)
                model = models.small([convolution], {"w": weights, "b": bias}, (None, 8, *[None] * rank), dtype)
                try:
                    plain(model).run(None, {"x": values(2, 8, *spatial, dtype=dtype)})
                except Exception as refused:
                    # What ONNX Runtime has no kernel for is compared with what it makes of float32.
                    self.assertIn("NOT_IMPLEMENTED", str(refused))
                    feeds = values(2, 8, *spatial, dtype=dtype)
                    narrow = models.small(
                        [convolution],
                        {"w": weights.astype(np.float32), "b": bias.astype(np.float32)},
                        (None, 8, *[None] * rank),
                    )
                    theirs = plain(narrow).run(None, {"x": feeds.astype(np.float32)})
                    made = session(model)
                    self.assertEqual([layer.reason for layer in convlow.report(made)], [""])
                    self.assertLessEqual(error(made.run(None, {"x": feeds}), theirs), 1e-5)
                    continue
                self.check(model, {"x": values(2, 8, *spatial, dtype=dtype)})

    def test_output_shapes_of_transposed_convolutions(self) -> None:
        for attribute in (
            {"output_shape": [28, 29]},
            {"output_padding": [1, 1]},
            {"output_shape": [30, 28], "auto_pad": "SAME_UPPER"},
            # Here 3 taps are fewer than a stride.
            {"auto_pad": "SAME_UPPER", "strides": [4, 5]},
            {"auto_pad": "SAME_LOWER", "strides": [5, 2]},
        ):
            with self.subTest(attribute):
                convolution = node("ConvTranspose", ["x", "w"], ["y"], "c", **{"strides": [2, 2], **attribute})
                self.check(
                    models.small([convolution], {"w": values(4, 6, 3, 3)}, (1, 4, 14, 14)), {"x": values(1, 4, 14, 14)}
                )

    def test_what_follows_is_fused(self) -> None:
        ends: dict[str, tuple[list[onnx.NodeProto], models.Constants]] = {
            "Relu": ([node("Relu", ["a"], ["y"])], {}),
            "Clip": ([node("Clip", ["a", "low", "high"], ["y"])], {"low": np.float32(-1), "high": np.float32(2)}),
            "Clip from below": ([node("Clip", ["a", "low"], ["y"])], {"low": np.float32(0.5)}),
            "Add of a bias": ([node("Add", ["a", "shift"], ["y"])], {"shift": values(8, 1, 1)}),
            "Add of x": ([node("Add", ["a", "x"], ["s"]), node("Relu", ["s"], ["y"])], {}),
            "Add to x": ([node("Add", ["x", "a"], ["y"])], {}),
            "Sum": ([node("Sum", ["x", "a"], ["y"])], {}),
            "LeakyRelu": ([node("LeakyRelu", ["a"], ["y"], alpha=0.1)], {}),
            "PRelu": ([node("PRelu", ["a", "slopes"], ["y"])], {"slopes": values(8, 1, 1)}),
            "PRelu of one slope": ([node("PRelu", ["a", "slope"], ["y"])], {"slope": values(1)}),
            "HardSigmoid": ([node("HardSigmoid", ["a"], ["y"], alpha=0.3)], {}),
            "Relu and arithmetic": (
                [
                    node("Relu", ["a"], ["b"]),
                    node("Mul", ["two", "b"], ["c"]),
                    node("Sub", ["c", "two"], ["d"]),
                    node("Div", ["d", "two"], ["e"]),
                    node("Clip", ["e", "low"], ["f"]),
                    node("PRelu", ["f", "slopes"], ["y"]),
                ],
                {"two": np.array([2], np.float32), "low": np.float32(-0.5), "slopes": values(8, 1, 1)},
            ),
            "times its sigmoid": ([node("HardSigmoid", ["a"], ["b"]), node("Mul", ["b", "a"], ["y"])], {}),
            "times its bounds": (
                [
                    node("Add", ["x", "a"], ["s"]),
                    node("Add", ["s", "three"], ["b"]),
                    node("Clip", ["b", "low", "high"], ["c"]),
                    node("Mul", ["s", "c"], ["d"]),
                    node("Div", ["d", "high"], ["y"]),
                ],
                {"three": np.float32(3), "low": np.float32(0), "high": np.float32(6)},
            ),
        }
        for sizes in ((2, 8, 12, 13), (None, 8, None, None)):
            for name, (end, constants) in ends.items():
                with self.subTest(end=name, sizes=sizes):
                    convolution = node("Conv", ["x", "w"], ["a"], "c", pads=[1] * 4)
                    model = models.small([convolution, *end], {"w": values(8, 8, 3, 3), **constants}, sizes)
                    report = self.check(model, {"x": values(2, 8, 12, 13)})
                    # A constant is in the convolution's bias already.
                    fused = tuple(node.op_type for node in end if "shift" not in node.input)
                    self.assertEqual([layer.fused for layer in report], [fused])

    def test_what_others_read_is_not_swallowed(self) -> None:
        """Values inside of an activation that are outputs, or that another node reads."""
        activation = [
            node("Conv", ["x", "w"], ["a"], "c"),
            node("HardSigmoid", ["a"], ["b"]),
            node("Mul", ["a", "b"], ["y"]),
        ]
        w = {"w": values(8, 8, 3, 3)}
        for more in ("a", "b"):
            model = models.small(activation, w, (2, 8, 12, 13), outputs=("y", more))
            report = self.check(model, {"x": values(2, 8, 12, 13)})
            self.assertEqual([layer.fused for layer in report], [()])
        model = models.small([*activation, node("Abs", ["a"], ["z"])], w, (2, 8, 12, 13), outputs=("y", "z"))
        report = self.check(model, {"x": values(2, 8, 12, 13)})
        self.assertEqual([layer.fused for layer in report], [()])

    def test_what_is_done_by_channel_is_multiplied_into_the_weights(self) -> None:
        """Where it stands before what is not, and its constants are finite; ONNX Runtime does some of it itself."""
        constants = {name: np.abs(values(8, 1, 1)) + 0.5 for name in ("one", "two")}
        constants["three"] = np.array([3], np.float32)
        chain = [
            node("Mul", ["a", "one"], ["b"]),
            node("Sub", ["b", "two"], ["c"]),
            node("Div", ["c", "three"], ["d"]),
            node("Mul", ["three", "d"], ["e"]),
            node("Div", ["e", "one"], ["f"]),
            node("Relu", ["f"], ["y"]),
        ]
        for operator, w in (("Conv", values(8, 8, 3, 3)), ("ConvTranspose", values(8, 8, 3, 3))):
            with self.subTest(operator):
                model = models.small([node(operator, ["x", "w"], ["a"]), *chain], {"w": w, **constants}, (2, 8, 9, 7))
                (layer,) = self.check(model, {"x": values(2, 8, 9, 7)})
                self.assertEqual(layer.fused[-1], "Relu")
        constants["one"][3] = 0
        model = models.small([node("ConvTranspose", ["x", "w"], ["a"]), *chain], {"w": w, **constants}, (2, 8, 9, 7))
        (layer,) = convlow.report(session(model))
        self.assertNotIn("Relu", layer.fused)

    def test_batch_normalization_is_multiplied_into_the_weights(self) -> None:
        constants = {
            "w": values(8, 4, 3, 3),
            "s": values(8),
            "b": values(8),
            "m": values(8),
            "v": np.abs(values(8)) + 0.5,
        }
        for operator, shape in (("Conv", (8, 4, 3, 3)), ("ConvTranspose", (8, 4, 3, 3))):
            constants["w"] = values(*shape)
            groups = 2
            nodes = [
                node(operator, ["x", "w"], ["a"], "c", group=groups),
                node("BatchNormalization", ["a", "s", "b", "m", "v"], ["y"], epsilon=1e-3),
            ]
            with self.subTest(operator):
                self.check(models.small(nodes, constants, (1, 8, 9, 9)), {"x": values(1, 8, 9, 9)})

    def test_a_residual_may_be_broadcast(self) -> None:
        # Their sizes are not known before the run.
        convolution = node("Conv", ["x", "w"], ["a"], "c", pads=[1] * 4)
        means = node("ReduceMean", ["x"], ["r"], axes=[2], keepdims=1)
        nodes = [convolution, means, node("Add", ["a", "r"], ["s"]), node("Relu", ["s"], ["y"])]
        weights = {"w": values(8, 8, 3, 3)}
        named_sizes = ("n", 8, "h", "w")
        self.check(models.small(nodes, weights, named_sizes), {"x": values(2, 8, 5, 6)})
        self.check(models.small(nodes, weights, named_sizes), {"x": values(1, 8, 1, 6)})
        # The convolution's output is what is broadcast.
        short = [
            node("Conv", ["x", "w"], ["a"], "c", kernel_shape=[1, 1], strides=[9, 9]),
            node("Add", ["a", "x"], ["y"]),
        ]
        self.check(models.small(short, {"w": values(8, 8, 1, 1)}, named_sizes), {"x": values(2, 8, 5, 6)})

    def test_weights_may_lie_in_a_file_of_their_own_and_be_shared(self) -> None:
        nodes = [node("Conv", ["x", "w"], ["a"], "c", pads=[1] * 4), node("Conv", ["a", "w"], ["y"], "d")]
        model = models.small(nodes, {"w": values(32, 32, 3, 3)}, (1, 32, 9, 9))
        feeds = {"x": values(1, 32, 9, 9)}
        theirs = plain(model).run(None, feeds)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(model, path, save_as_external_data=True, size_threshold=0)
            settings = convlow.use(ort.SessionOptions())
            made = ort.InferenceSession(path, settings, enable_fallback=False)
            self.assertEqual([layer.reason for layer in convlow.report(made)], ["", ""])
            self.assertLessEqual(error(made.run(None, feeds), theirs), 1e-5)

    def test_no_images_and_one_pixel(self) -> None:
        nodes = [node("Conv", ["x", "w"], ["a"], "c"), node("Relu", ["a"], ["b"]), node("Conv", ["b", "w"], ["y"], "d")]
        model = models.small(nodes, {"w": values(8, 8, 1, 1)}, (None, 8, None, None))
        for sizes in ((0, 8, 5, 5), (1, 8, 1, 1), (3, 8, 1, 1), (1, 8, 40, 1)):
            with self.subTest(sizes):
                self.check(model, {"x": values(*sizes)})


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
            constants = {
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
        nodes[2] = node("ReduceSum", ["a"], ["z"], keepdims=0)
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


class Options(unittest.TestCase):
    model = models.small(
        [node("Conv", ["x", "w"], ["y"], "c", pads=[1] * 4)], {"w": values(64, 64, 3, 3)}, (1, 64, 56, 56)
    )

    def test_unknown_values_are_refused_with_what_there_is(self) -> None:
        for options in ({"math": "quick"}, {"threads": -1}, {"max_workspace_bytes": "much"}, {"min_macs": 1.5}):
            with self.subTest(options), self.assertRaisesRegex(Exception, "exact or fast"):
                session(self.model, **options)

    def test_unknown_names_are_refused_with_what_there_is(self) -> None:
        settings = ort.SessionOptions()
        settings.add_session_config_entry("ep.convlow.maths", "fast")
        with self.assertRaisesRegex(Exception, "no option maths = fast: there are math"):
            ort.InferenceSession(self.model.SerializeToString(), convlow.use(settings))
        with self.assertRaisesRegex(TypeError, "no option maths: there are math"):
            convlow.use(ort.SessionOptions(), maths="fast")

    def test_a_limit_of_memory_is_kept(self) -> None:
        feeds = {"x": values(1, 64, 56, 56)}
        [free] = convlow.report(session(self.model, math="fast"))
        self.assertGreater(free.workspace_bytes, 4096)
        for limit in (0, 4096, 65536):
            made = session(self.model, math="fast", max_workspace_bytes=limit)
            made.run(None, feeds)
            [layer] = convlow.report(made)
            self.assertLessEqual(layer.workspace_bytes, limit)

    def test_small_layers_can_be_left_to_onnxruntime(self) -> None:
        made = session(self.model, min_macs=10**9)
        [layer] = convlow.report(made)
        self.assertFalse(layer.claimed)
        self.assertIn("fewer than min_macs = 1000000000", layer.reason)
        self.assertEqual(assigned(made), [])
        self.assertTrue(next(iter(convlow.report(session(self.model, min_macs=10**8)))).claimed)

    def test_options_serve_once(self) -> None:
        settings = convlow.use(ort.SessionOptions())
        with self.assertRaisesRegex(ValueError, "already"):
            convlow.use(settings)

    def test_a_report_needs_options_of_convlow(self) -> None:
        with self.assertRaisesRegex(ValueError, "convlow_onnxruntime.use"):
            convlow.report(plain(self.model))

    def test_a_report_is_a_table(self) -> None:
        lines = str(convlow.report(session(self.model))).splitlines()
        self.assertRegex(lines[0], r"^node\s+algorithm\s+workspace\s+packed\s+fused, or why not claimed$")
        self.assertRegex(lines[1], r"^c\s+kn2row-register\s+[\d,]+\s+[\d,]+")

    def test_verbose_tells_what_becomes_of_every_node(self) -> None:
        script = (
            "import sys; sys.path[:0] = [sys.argv[1]]\n"
            "import test_provider as t\n"
            "t.ort.set_default_logger_severity(2)\n"
            "settings = t.ort.SessionOptions()\n"
            "t.ort.InferenceSession(t.Options.model.SerializeToString(), t.convlow.use(settings, verbose=True, min_macs=10**9))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent)], capture_output=True, text=True, check=True
        )
        self.assertIn("convlow leaves c to ONNX Runtime: it has 115605504 multiplications", done.stderr)


class Refusals(unittest.TestCase):
    """What is not claimed runs all the same, and says why."""

    def check(self, model: onnx.ModelProto, feeds: Feeds, reason: str) -> None:
        made = session(model)
        [layer] = [layer for layer in convlow.report(made) if not layer.claimed]
        self.assertIn(reason, layer.reason)
        self.assertLessEqual(error(made.run(None, feeds), plain(model).run(None, feeds)), 1e-6)

    def test_weights_that_are_computed(self) -> None:
        nodes = [node("Mul", ["w", "x"], ["v"]), node("Conv", ["x", "v"], ["y"], "c")]
        model = models.small(nodes, {"w": values(1, 1, 3, 3)}, (1, 1, 3, 3))
        self.check(model, {"x": values(1, 1, 3, 3)}, "its weights are no constants")

    def test_a_bias_that_is_computed(self) -> None:
        nodes = [
            node("ReduceMean", ["x"], ["b"], axes=[0, 2, 3], keepdims=0),
            node("Conv", ["x", "w", "b"], ["y"], "c"),
        ]
        model = models.small(nodes, {"w": values(4, 4, 3, 3)}, (1, 4, 9, 9))
        self.check(model, {"x": values(1, 4, 9, 9)}, "its bias is no constant")

    def test_what_nobody_reads(self) -> None:
        nodes = [node("Conv", ["x", "w"], ["a"], "c"), node("MaxPool", ["a"], ["b"], kernel_shape=[1, 1])]
        for unread in (nodes[:1], nodes):
            model = models.small([*unread, node("Relu", ["x"], ["y"])], {"w": values(5, 5, 1, 1)}, (1, 5, 4, 4))
            made = session(model)
            if len(unread) == 1:
                self.assertEqual([layer.reason for layer in convlow.report(made)], ["nobody reads what it computes"])
            feeds = {"x": values(1, 5, 4, 4)}
            self.assertEqual(error(made.run(None, feeds), plain(model).run(None, feeds)), 0)

    def test_an_input_that_does_not_fit_fails_the_run_alone(self) -> None:
        model = models.small([node("Conv", ["x", "w"], ["y"], "c")], {"w": values(4, 4, 3, 3)}, (None, 4, None, None))
        made = session(model)
        for _ in range(2):
            with self.assertRaises(Exception) as refused:
                made.run(None, {"x": values(1, 4, 2, 2)})
            self.assertIn("in_height", str(refused.exception))
            made.run(None, {"x": values(1, 4, 3, 3)})

    def test_an_older_onnxruntime(self) -> None:
        with (
            mock.patch.object(ort, "__version__", "1.22.1"),
            mock.patch.object(convlow, "_registered", False),
            self.assertRaisesRegex(RuntimeError, "needs onnxruntime 1.23 or newer, but this is 1.22.1"),
        ):
            convlow.use(ort.SessionOptions())

    def test_a_missing_library(self) -> None:
        with (
            mock.patch.object(convlow, "__file__", "/nowhere/__init__.py"),
            mock.patch.object(convlow, "_registered", False),
            self.assertRaisesRegex(FileNotFoundError, "/nowhere/libconvlow_onnxruntime.so is missing"),
        ):
            convlow.use(ort.SessionOptions())


class Runs(unittest.TestCase):
    """Many runs, threads and sessions."""

    def network(self, sizes: Sequence[int | str] = ("n", 8, "h", "w")) -> onnx.ModelProto:
        nodes = [
            node("Conv", ["x", "w0"], ["a"], "first", pads=[1] * 4),
            node("Relu", ["a"], ["b"]),
            node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", ["c", "w1"], ["d"], "second", pads=[1] * 4),
            node("Add", ["d", "c"], ["e"]),
            node("Relu", ["e"], ["f"]),
            node("ConvTranspose", ["f", "w2"], ["y"], "third", strides=[2, 2]),
        ]
        weights = {"w0": values(24, 8, 3, 3), "w1": values(24, 24, 3, 3), "w2": values(24, 5, 2, 2)}
        return models.small(nodes, weights, sizes)

    def test_results_do_not_depend_on_threads(self) -> None:
        for name in ("squeezenet", "shufflenet", "super-resolution", "ocr-detector"):
            model, feeds = models.named(name)
            # Only the nodes of convlow: the others are ONNX Runtime's, which makes no such promise.
            for math in ("exact", "fast"):
                with self.subTest(model=name, math=math):
                    first = None
                    settings: list[dict[str, Any]] = [{"threads": 1}, {"threads": 2}, {"threads": 4}, {}]
                    for options in settings:
                        for of_host in (1, 2, 4):
                            got = session(model, of_host, math=math, **options).run(None, feeds)
                            first = first or got
                            self.assertTrue(all((a == b).all() for a, b in zip(first, got, strict=True)))

    def test_a_thousand_runs_of_changing_shapes_do_not_grow(self) -> None:
        made = session(self.network(), 2, math="fast")
        made_sizes = [(1 + at % 3, 8, 6 + at * 7 % 40, 6 + at * 11 % 36) for at in range(1000)]
        feeds = [{"x": values(*sizes)} for sizes in made_sizes]
        for feed in feeds[:300]:
            made.run(None, feed)
        before = memory_in_use()
        for feed in feeds:
            made.run(None, feed)
        self.assertLess(memory_in_use() - before, 4 << 20)

    def test_plans_are_made_once_for_each_size(self) -> None:
        made = session(self.network())
        feeds = {"x": values(1, 8, 20, 20)}
        first = made.run(None, feeds)
        for _ in range(20):
            made.run(None, {"x": values(1, 8, 8, 8 + 2 * _)})
        self.assertTrue((made.run(None, feeds)[0] == first[0]).all())

    def test_threads_share_a_session_and_sessions_a_process(self) -> None:
        model = self.network()
        shared, second = session(model, 2, math="fast"), session(model, threads=2)
        inputs = [{"x": values(1, 8, 10 + 2 * at, 12)} for at in range(8)]
        expected = {made: [made.run(None, feed)[0] for feed in inputs] for made in (shared, second)}
        wrong = []

        def work(made: ort.InferenceSession, first: int) -> None:
            for turn in range(60):
                at = (first + turn) % len(inputs)
                if not (made.run(None, inputs[at])[0] == expected[made][at]).all():
                    wrong.append(at)

        workers = [threading.Thread(target=work, args=(made, 2 * at)) for made in (shared, second) for at in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(wrong, [])

    def test_sessions_come_and_go(self) -> None:
        model, feeds = self.network(), {"x": values(1, 8, 20, 20)}
        for at in range(200):
            session(model, threads=at % 3).run(None, feeds)
            if at == 50:
                gc.collect()
                before = memory_in_use()
        gc.collect()
        self.assertLess(memory_in_use() - before, 8 << 20)

    def test_the_library_can_be_unregistered_at_the_end(self) -> None:
        script = (
            "import sys, gc; sys.path[:0] = [sys.argv[1]]\n"
            "import test_provider as t\n"
            "made = t.session(t.Options.model)\n"
            "made.run(None, {'x': t.values(1, 64, 56, 56)})\n"
            "del made; gc.collect()\n"
            "t.ort.unregister_execution_provider_library('convlow')\n"
            "print('unregistered', [device.ep_name for device in t.ort.get_ep_devices()])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent)], capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("unregistered", done.stdout)
        self.assertNotIn("convlow", done.stdout)


def memory_in_use() -> int:
    """Bytes that lie in memory now."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    unittest.main()
