"""Random models, sound and broken ones, in ONNX Runtime with and without the provider.

A sound model gives the same with both; of a broken one, in which what a file may hold has been changed at random, the provider
refuses no more than ONNX Runtime does by itself, and nothing ends the process.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime as ort
from comparing import Feeds, assigned, error, plain, session
from onnx import helper, numpy_helper, shape_inference

#: Of the process that tries the models; what asks for more fails.
MOST_BYTES = 8 << 30
#: Outputs that are larger tell no more.
MOST_ELEMENTS = 1 << 20
#: Beyond it sums of float32 are no longer compared.
LARGEST = 1e6
#: What may stand in a field for a number.
NUMBERS = (-(1 << 62), -(1 << 31), -1, 0, 1, 2, 3, 7, 64, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 63) - 1)

Random = np.random.Generator


class Graph:
    """A model that grows by nodes that fit."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.rank = int(rng.choice([1, 2, 2, 2, 3]))
        self.dtype = np.float64 if rng.random() < 0.03 else np.float32
        sizes = [int(rng.integers(1, 4)), int(rng.choice([1, 3, 4, 6, 8, 16]))]
        most = {1: 40, 2: 20, 3: 9}[self.rank]
        self.sizes: dict[str, list[int]] = {"x": sizes + [int(size) for size in rng.integers(1, most, self.rank)]}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def one_of(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def value(self) -> str:
        """One that there is, the last ones rather than others."""
        names = list(self.sizes)
        return names[max(0, len(names) - 1 - int(self.rng.exponential(1.2)))]

    def constant(self, sizes: tuple[int, ...], positive: bool = False) -> str:
        name = f"k{len(self.constants)}"
        values = self.rng.standard_normal(sizes).astype(self.dtype)
        self.constants[name] = np.abs(values) + self.dtype(0.5) if positive else values
        return name

    def add(self) -> None:
        """A node, if the standard has it for these sizes."""
        often = [self.convolution, self.activation, self.arithmetic] * 4
        made = self.one_of(
            *often, self.transposed, self.norm, self.pool, self.whole, self.joined, self.enlarged, self.odd
        )()
        made.output.append(f"v{len(self.nodes)}")
        used = {name: self.constants[name] for name in made.input if name in self.constants}
        read = {name: self.sizes[name] for name in made.input if name in self.sizes}
        inputs = [helper.make_tensor_value_info(name, self.element(), sizes) for name, sizes in read.items()]
        output = helper.make_tensor_value_info(made.output[0], self.element(), None)
        tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in used.items()]
        graph = helper.make_graph([made], "one", inputs, [output], tensors)
        try:
            known = shape_inference.infer_shapes(
                helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), strict_mode=True, data_prop=True
            )
        except onnx.shape_inference.InferenceError:
            return
        dims = known.graph.output[0].type.tensor_type.shape.dim
        sizes = [dim.dim_value for dim in dims]
        if len(sizes) == self.rank + 2 and min(sizes) > 0 and int(np.prod(sizes)) <= MOST_ELEMENTS:
            self.nodes.append(made)
            self.sizes[made.output[0]] = sizes

    def element(self) -> int:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype)))

    def several(self, low: int, high: int, count: int | None = None) -> list[int]:
        return [int(size) for size in self.rng.integers(low, high, count or self.rank)]

    def window(self, most_pad: int = 2) -> dict[str, Any]:
        """Strides, dilations and pads, some of which are left out."""
        attributes: dict[str, Any] = {}
        if self.rng.random() < 0.5:
            attributes["strides"] = self.several(1, 4)
        if self.rng.random() < 0.6:
            attributes["pads"] = self.several(0, most_pad + 1, 2 * self.rank)
        elif self.rng.random() < 0.4:
            attributes["auto_pad"] = self.one_of("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
        # ONNX Runtime dilates nothing that it pads by itself.
        if "auto_pad" not in attributes and self.rng.random() < 0.3:
            attributes["dilations"] = self.several(1, 4)
        return attributes

    def groups(self, channels: int) -> int:
        return int(
            self.one_of(1, 1, 1, channels, *[count for count in range(1, channels + 1) if channels % count == 0])
        )

    def convolution(self) -> onnx.NodeProto:
        x = self.value()
        channels = self.sizes[x][1]
        groups = self.groups(channels)
        outputs = groups * int(self.one_of(1, 1, 2, 3, 5))
        kernel = self.several(1, 2) if self.rng.random() < 0.3 else self.several(1, 5)
        inputs = [x, self.constant((outputs, channels // groups, *kernel))]
        if self.rng.random() < 0.6:
            inputs.append(self.constant((outputs,)))
        shown = {"kernel_shape": kernel} if self.rng.random() < 0.5 else {}
        return helper.make_node("Conv", inputs, [], group=groups, **shown, **self.window())

    def transposed(self) -> onnx.NodeProto:
        x = self.value()
        channels = self.sizes[x][1]
        groups = self.groups(channels)
        outputs = int(self.one_of(1, 1, 2, 4))
        kernel = self.several(1, 5)
        inputs = [x, self.constant((channels, outputs, *kernel))]
        if self.rng.random() < 0.5:
            inputs.append(self.constant((groups * outputs,)))
        return helper.make_node("ConvTranspose", inputs, [], group=groups, **self.window())

    def activation(self) -> onnx.NodeProto:
        name = self.one_of("Relu", "LeakyRelu", "HardSigmoid", "HardSwish", "Sigmoid", "Tanh", "Elu", "Clip", "PRelu")
        inputs = [self.value()]
        if name == "Clip":
            bounds = self.one_of([self.constant(())], [self.constant(()), self.constant((), positive=True)])
            inputs += bounds
        if name == "PRelu":
            channels = self.sizes[inputs[0]][1]
            inputs.append(self.constant(self.one_of((1,), (channels, *[1] * self.rank))))
        alpha = {"alpha": float(self.rng.random())} if name in ("LeakyRelu", "HardSigmoid", "Elu") else {}
        return helper.make_node(name, inputs, [], **alpha)

    def arithmetic(self) -> onnx.NodeProto:
        """With a constant, or with another value, which may be one that is broadcast."""
        x = self.value()
        name = self.one_of("Add", "Mul", "Sub", "Div", "Add", "Mul", "Sum")
        if name != "Div" and self.rng.random() < 0.5:
            other = self.value()
        else:
            channels, ones = self.sizes[x][1], [1] * self.rank
            sizes = self.one_of((), (1,), (channels, *ones), (1, channels, *ones), tuple(self.sizes[x]))
            other = self.constant(sizes, positive=name == "Div")
        inputs = [x, other]
        if name != "Div" and self.rng.random() < 0.5:
            inputs.reverse()
        return helper.make_node(name, inputs, [])

    def norm(self) -> onnx.NodeProto:
        x = self.value()
        channels = (self.sizes[x][1],)
        scale, shift, mean = (self.constant(channels) for _ in range(3))
        return helper.make_node(
            "BatchNormalization", [x, scale, shift, mean, self.constant(channels, positive=True)], []
        )

    def pool(self) -> onnx.NodeProto:
        kernel = self.several(1, 4)
        attributes = self.window(most_pad=min(kernel) - 1)
        name = self.one_of("MaxPool", "AveragePool")
        if name == "AveragePool":
            attributes.pop("dilations", None)
            attributes["count_include_pad"] = self.one_of(0, 1)
        return helper.make_node(
            name, [self.value()], [], kernel_shape=kernel, ceil_mode=self.one_of(0, 0, 1), **attributes
        )

    def whole(self) -> onnx.NodeProto:
        return helper.make_node(self.one_of("GlobalAveragePool", "GlobalMaxPool"), [self.value()], [])

    def joined(self) -> onnx.NodeProto:
        return helper.make_node("Concat", [self.value() for _ in range(int(self.rng.integers(1, 4)))], [], axis=1)

    def enlarged(self) -> onnx.NodeProto:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.array([1, 1, *self.several(1, 3)], np.float32)
        return helper.make_node("Resize", [self.value(), "", name], [], mode=self.one_of("nearest", "linear"))

    def odd(self) -> onnx.NodeProto:
        """What the provider does not know, so that values leave it and come back."""
        x = self.value()
        if self.rng.random() < 0.5:
            return helper.make_node("Softmax", [x], [], axis=self.one_of(1, -1))
        order = list(range(2, self.rank + 2))
        return helper.make_node("Transpose", [x], [], perm=[0, 1, *[int(axis) for axis in self.rng.permutation(order)]])

    def model(self) -> onnx.ModelProto:
        read = {name for node in self.nodes for name in node.input}
        names = [f"v{at}" for at in range(len(self.nodes))]
        # Now and then one that nobody reads.
        outputs = [name for name in names if self.rng.random() < (0.15 if name in read else 0.95)] or names[-1:]
        constants = {name: value for name, value in self.constants.items() if name in read}
        sizes: list[int | str] = [
            f"size{axis}" if self.rng.random() < 0.4 else size for axis, size in enumerate(self.sizes["x"])
        ]
        sizes[1] = self.sizes["x"][1]
        return models.small(self.nodes, constants, sizes, self.dtype, outputs=tuple(outputs))


def sound(seed: int) -> tuple[onnx.ModelProto, Feeds]:
    """A model that the standard allows, and an input."""
    rng = np.random.default_rng([seed, 0])
    while True:
        graph = Graph(rng)
        for _ in range(int(rng.integers(2, 14))):
            graph.add()
        if any(node.op_type in ("Conv", "ConvTranspose") for node in graph.nodes):
            return graph.model(), {"x": rng.standard_normal(graph.sizes["x"]).astype(graph.dtype)}


def broken(seed: int) -> bytes:
    """That model with some fields changed, or some bytes of its file."""
    rng = np.random.default_rng([seed, 1])
    model, _ = sound(seed)
    graph = model.graph
    for _ in range(int(rng.integers(1, 4))):
        _break(rng, graph)
    data = bytearray(model.SerializeToString())
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 6))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
    return bytes(data)


def _break(rng: Random, graph: onnx.GraphProto) -> None:
    """One change of a graph."""
    node = _any_of(rng, graph.node)
    attribute, tensor = _any_of(rng, node.attribute), _any_of(rng, graph.initializer)
    change = int(rng.integers(8))
    if change == 0 and attribute is not None:
        _change(rng, attribute)
    elif change == 1 and attribute is not None:
        node.attribute.remove(attribute)
    elif change == 2:
        _exchange(rng, node.input)
    elif change == 3 and node.input:
        node.input.pop()
    elif change == 4 and node.input:
        node.input.append(node.input[0])
    elif change == 5 and tensor is not None:
        _reshape(rng, tensor)
    elif change == 6:
        _exchange(rng, graph.input[0].type.tensor_type.shape.dim)
    else:
        node.op_type = str(rng.choice(["Conv", "ConvTranspose", "Relu", "Concat"]))


def _any_of(rng: Random, repeated: Any) -> Any:
    return repeated[int(rng.integers(len(repeated)))] if repeated else None


def _change(rng: Random, attribute: onnx.AttributeProto) -> None:
    """One number of an attribute, or how many there are."""
    number = int(rng.choice(np.array(NUMBERS, dtype=object)))
    if attribute.type == onnx.AttributeProto.INTS:
        change = int(rng.integers(4))
        if change == 0 or not attribute.ints:
            attribute.ints.append(number)
        elif change == 1:
            attribute.ints.pop()
        else:
            attribute.ints[int(rng.integers(len(attribute.ints)))] = number
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = number
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = float(rng.choice([0, -1, 1e30, np.inf, np.nan]))
    else:
        attribute.s = bytes(rng.choice([b"", b"SAME", b"NOTSET", b"\xff\xfe", b"SAME_UPPER"]))


def _exchange(rng: Random, repeated: Any) -> None:
    """Puts one element of a repeated field in the place of another."""
    if repeated:
        first, second = (int(rng.integers(len(repeated))) for _ in range(2))
        if isinstance(repeated[first], str):
            repeated[first] = repeated[second]
        else:
            repeated[first].CopyFrom(repeated[second])


def _reshape(rng: Random, tensor: onnx.TensorProto) -> None:
    if not tensor.dims:
        tensor.dims.append(int(rng.choice([0, 1, 2])))
    elif rng.random() < 0.5:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = int(rng.choice([0, 1, 2, 3, 1 << 20]))
    else:
        tensor.dims.pop()


def outcome(run: Callable[[], list[np.ndarray]]) -> list[np.ndarray] | str:
    """What it gives, or why not."""
    try:
        return run()
    except Exception as refused:
        return f"{type(refused).__name__}: {refused}"


def attempt(seed: int, with_convlow: bool) -> str:
    """Tries both models of a seed. What became of them, in a word each."""
    model, feeds = sound(seed)
    theirs = outcome(lambda: plain(model).run(None, feeds))
    words = [_sound(seed, model, feeds, theirs)] if with_convlow else []
    data = broken(seed)
    theirs = outcome(lambda: _plain_of(data).run(None, feeds))
    if with_convlow:
        ours = outcome(lambda: session(_Serialized(data), math="exact").run(None, feeds))
        if isinstance(ours, str) and not isinstance(theirs, str):
            raise AssertionError(f"seed {seed}: convlow refuses a broken model that ONNX Runtime computes: {ours}")
        if not isinstance(ours, str) and not isinstance(theirs, str):
            _compare(seed, ours, theirs, 1e-4)
        words.append("broken and refused" if isinstance(theirs, str) else "broken and computed")
    return ", ".join(words)


def _sound(seed: int, model: onnx.ModelProto, feeds: Feeds, theirs: list[np.ndarray] | str) -> str:
    # Of some there is no kernel, such as float64's pools.
    if isinstance(theirs, str):
        outcome(lambda: session(model).run(None, feeds))
        return "without a kernel"
    for math, bound in (("exact", 1e-4), ("fast", 1e-3)):
        made = session(model, math=math)
        _compare(seed, made.run(None, feeds), theirs, bound)
        claimed = sum(operator in ("Conv", "ConvTranspose") for operator in assigned(made))
        there = sum(node.op_type in ("Conv", "ConvTranspose") for node in model.graph.node)
        # What leads to no output ONNX Runtime has left out; two alike it has made one.
        if claimed > there:
            raise AssertionError(f"seed {seed}: {claimed} convolutions are claimed, but there are {there}")
    return "sound"


def _compare(seed: int, ours: list[np.ndarray], theirs: list[np.ndarray], bound: float) -> None:
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        raise AssertionError(f"seed {seed}: {[a.shape for a in ours]} in place of {[b.shape for b in theirs]}")
    if all(np.isfinite(b).all() and np.abs(b).max(initial=0) < LARGEST for b in theirs):
        difference = error(ours, theirs)
        if not difference <= bound:
            raise AssertionError(f"seed {seed}: differs by {difference:.2e} of the largest output")


class _Serialized:
    """A file as it is, in place of a model."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def SerializeToString(self) -> bytes:  # noqa: N802, the name that a model has
        return self.data


def _plain_of(data: bytes) -> ort.InferenceSession:
    return plain(_Serialized(data))


def work(first: int, count: int, with_convlow: bool) -> None:
    """Tries seeds, and prints of each that it begins and what became of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    ort.set_default_logger_severity(4)
    for seed in range(first, first + count):
        print(f"begin {seed}", flush=True)
        print(f"end {attempt(seed, with_convlow)}", flush=True)


def run_worker(first: int, count: int, with_convlow: bool, until: float) -> tuple[list[str], int | None, str]:
    """What became of the seeds, the one that ended the process if one did, and the last words."""
    command = [sys.executable, __file__, "--first", str(first), "--work", str(count)]
    worker = subprocess.Popen(
        command + ([] if with_convlow else ["--plain"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    assert worker.stdout is not None and worker.stderr is not None
    ends, current = [], None
    for line in worker.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "begin":
            current = int(rest)
        elif word == "end":
            ends.append(rest)
            current = None
            if time.monotonic() > until:
                worker.terminate()
                break
    words = worker.stderr.read()
    worker.wait()
    return ends, current if len(ends) < count and time.monotonic() <= until else None, words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long to go on")
    parser.add_argument("--count", type=int, default=1 << 40, help="at most so many seeds")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.first, arguments.work, not arguments.plain)
        return 0
    until = time.monotonic() + arguments.seconds
    counts: Counter[str] = Counter()
    seed, last, failures = arguments.first, arguments.first + arguments.count, 0
    while seed < last and time.monotonic() < until:
        ends, died, words = run_worker(seed, min(200, last - seed), True, until)
        for end in ends:
            counts.update(end.split(", "))
        seed += len(ends)
        if died is not None:
            # Perhaps it ends ONNX Runtime without convlow, too.
            _, alone, _ = run_worker(died, 1, False, until + 60)
            counts["ending ONNX Runtime by itself" if alone == died else "failed"] += 1
            if alone != died:
                failures += 1
                print(f"seed {died}:\n{words[-2000:]}", file=sys.stderr)
            seed = died + 1
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"models: {seed - arguments.first} seeds from {arguments.first} on: {told}")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
