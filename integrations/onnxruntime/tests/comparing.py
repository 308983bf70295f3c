"""Sessions on convlow and on ONNX Runtime's own provider, and what tells them apart."""

from __future__ import annotations

import subprocess
import sys
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    model: onnx.ModelProto, of_host: int = 1, only_convlow: bool = False, as_written: bool = False, **options: Any
) -> ort.InferenceSession:
    """A session on convlow, which must not fall back to another provider as a whole. As it is written, a model is none that
    ONNX Runtime has changed first."""
    settings = ort.SessionOptions()
    if as_written:
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
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


def in_a_process(script: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that may import what lies beside this file."""
    words = [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n{script}"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


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


def network(sizes: Sequence[int | str] = ("n", 8, "h", "w")) -> onnx.ModelProto:
    """Convolutions, and what stands between them."""
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
