"""ncnn: a net of one Convolution in float32, its own packed layouts allowed, memory of pools that keep it.

option=winograd   ncnn chooses, Winograd allowed
option=exact      without Winograd
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ncnn
import numpy as np
from base import Engine, Floats, Spec, Tensors, Unsupported, serve

# For as long as the process lives: a pool must outlive every net and tensor that draws on it.
BLOBS = ncnn.PoolAllocator()
WORKSPACE = ncnn.PoolAllocator()


def parameters(spec: Spec) -> str:
    layer = "Convolution" if spec.g == 1 else "ConvolutionDepthWise"
    numbers = {
        0: spec.oc,
        1: spec.kw,
        11: spec.kh,
        2: spec.dw,
        12: spec.dh,
        3: spec.sw,
        13: spec.sh,
        4: spec.pl,
        15: spec.pr,
        14: spec.pt,
        16: spec.pb,
        6: spec.oc * (spec.ic // spec.g) * spec.kh * spec.kw,
    }
    if spec.g > 1:
        numbers[7] = spec.g
    said = " ".join(f"{key}={value}" for key, value in numbers.items())
    return f"7767517\n2 2\nInput src 0 1 src\n{layer} conv 1 1 src dst {said}\n"


class Ncnn(Engine):
    version = ncnn.__version__

    def __init__(self, spec: Spec, tensors: Tensors) -> None:
        if spec.nhwc:
            raise Unsupported("ncnn's tensors are NCHW")
        if spec.mb > 1:
            raise Unsupported("ncnn has no batch")
        if spec.tr or spec.volume:
            raise Unsupported("only plain convolutions are compared with ncnn")
        src, weights = tensors.src, tensors.weights
        self.implementation = spec.option
        self.net = ncnn.Net()
        opt = self.net.opt
        opt.num_threads = spec.threads
        opt.use_vulkan_compute = False
        opt.use_winograd_convolution = spec.option == "winograd"
        opt.use_packing_layout = True
        opt.use_fp16_packed = opt.use_fp16_storage = opt.use_fp16_arithmetic = False
        opt.use_bf16_packed = opt.use_bf16_storage = False
        opt.blob_allocator = BLOBS
        opt.workspace_allocator = WORKSPACE
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "weights.bin")
            with file.open("wb") as out:
                out.write(b"\0\0\0\0")  # float32 as they are
                out.write(weights.tobytes())
            if self.net.load_param_mem(parameters(spec)) != 0 or self.net.load_model(str(file)) != 0:
                raise RuntimeError("ncnn cannot load the net")
        self.src = ncnn.Mat(src[0]).clone()
        self.dst: ncnn.Mat | None = None
        self.tensor_bytes = self.src.total() * 4 + int(np.prod(spec.dst_shape)) * 4 + weights.nbytes

    def run(self) -> None:
        self.dst = None  # Its memory goes back to the pool first.
        extractor = self.net.create_extractor()
        extractor.input("src", self.src)
        status, self.dst = extractor.extract("dst")
        if status != 0:
            raise RuntimeError(f"ncnn: extract gives {status}")

    def result(self) -> Floats:
        return np.array(self.dst)


serve(Ncnn)
