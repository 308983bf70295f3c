"""ONNX Runtime: a model of one Conv, weights as initialiser, input and output bound to our memory."""

from __future__ import annotations

import numpy as np
import onnxruntime
from base import Engine, Floats, Spec, Tensors, Unsupported, aligned, serve
from onnx import TensorProto, helper, numpy_helper


def model(spec: Spec, weights: Floats) -> bytes:
    node = helper.make_node(
        "ConvTranspose" if spec.tr else "Conv",
        ["src", "weights"],
        ["dst"],
        group=spec.g,
        kernel_shape=spec.axes(spec.kd, spec.kh, spec.kw),
        strides=spec.axes(spec.sd, spec.sh, spec.sw),
        dilations=spec.axes(spec.dd, spec.dh, spec.dw),
        pads=spec.axes(spec.pf, spec.pt, spec.pl) + spec.axes(spec.pk, spec.pb, spec.pr),
        **({"output_padding": spec.axes(spec.opd, spec.oph, spec.opw)} if spec.tr else {}),
    )
    graph = helper.make_graph(
        [node],
        "convolution",
        [helper.make_tensor_value_info("src", TensorProto.FLOAT, spec.src_shape)],
        [helper.make_tensor_value_info("dst", TensorProto.FLOAT, spec.dst_shape)],
        [numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(made.SerializeToString())


class OnnxRuntime(Engine):
    version = onnxruntime.__version__
    implementation = "CPUExecutionProvider"

    def __init__(self, spec: Spec, tensors: Tensors) -> None:
        if spec.nhwc:
            raise Unsupported("ONNX Runtime's Conv is NCHW")
        src, weights = tensors.src, tensors.weights
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = spec.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(model(spec, weights), options, providers=["CPUExecutionProvider"])
        self.src = src
        self.dst = aligned(spec, spec.dst_shape, np.nan)
        self.tensor_bytes = self.dst.nbytes + weights.nbytes
        self.binding = self.session.io_binding()
        self.binding.bind_input("src", "cpu", 0, np.float32, src.shape, src.ctypes.data)
        self.binding.bind_output("dst", "cpu", 0, np.float32, self.dst.shape, self.dst.ctypes.data)

    def run(self) -> None:
        self.session.run_with_iobinding(self.binding)

    def result(self) -> Floats:
        return self.dst


serve(OnnxRuntime)
