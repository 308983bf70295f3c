"""Models and convolutions of every kind, in ONNX Runtime with and without the provider: python -m unittest discover tests"""

from __future__ import annotations

import itertools
import tempfile
import unittest
import warnings
from pathlib import Path
from typing import Any

import convlow_onnxruntime as convlow
import models
import numpy as np
import onnx
import onnxruntime as ort
from comparing import Comparing, assigned, error, node, plain, session, values


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
            "PRelu and arithmetic": (
                [node("PRelu", ["a", "slopes"], ["b"]), node("Mul", ["b", "two"], ["y"])],
                {"slopes": values(8, 1, 1), "two": np.float32(2)},
            ),
            "PRelu twice": (
                [node("PRelu", ["a", "slope"], ["b"]), node("PRelu", ["b", "slopes"], ["y"])],
                {"slope": values(1), "slopes": values(8, 1, 1)},
            ),
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


if __name__ == "__main__":
    unittest.main()
