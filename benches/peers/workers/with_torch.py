"""PyTorch without oneDNN: the whole of im2col, then one GEMM on the BLAS."""

from __future__ import annotations

import numpy as np
import torch

from base import Engine, Floats, Spec, Unsupported, serve


class Torch(Engine):
    version = torch.__version__
    implementation = "im2col"

    def __init__(self, spec: Spec, src: Floats, weights: Floats) -> None:
        if spec.tr or spec.volume:
            raise Unsupported("only plain convolutions are compared with PyTorch")
        torch._C._set_mkldnn_enabled(False)
        torch.set_num_threads(spec.threads)
        torch.set_grad_enabled(False)
        # PyTorch pads alike on both sides; what it pads too much behind must not make another output.
        for size, kernel, stride, dilation, pad, output in (
            (spec.ih, spec.kh, spec.sh, spec.dh, spec.pt, spec.oh),
            (spec.iw, spec.kw, spec.sw, spec.dw, spec.pl, spec.ow),
        ):
            if (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 != output:
                raise Unsupported("PyTorch pads alike before and behind")
        self.nhwc = bool(spec.nhwc)
        self.src = torch.from_numpy(src)
        self.weights = torch.from_numpy(weights)
        if self.nhwc:
            self.src = self.src.permute(0, 3, 1, 2)
            self.weights = self.weights.contiguous(memory_format=torch.channels_last)
        self.stride, self.padding = (spec.sh, spec.sw), (spec.pt, spec.pl)
        self.dilation, self.groups = (spec.dh, spec.dw), spec.g
        self.dst: torch.Tensor | None = None
        copied = weights.nbytes if self.nhwc else 0
        self.tensor_bytes = int(np.prod(spec.dst_shape)) * 4 + copied

    def run(self) -> None:
        self.dst = None  # Not two at a time.
        self.dst = torch.conv2d(
            self.src, self.weights, None, self.stride, self.padding, self.dilation, self.groups
        )

    def result(self) -> Floats:
        assert self.dst is not None
        dst = self.dst.permute(0, 2, 3, 1) if self.nhwc else self.dst
        return dst.contiguous().numpy()


serve(Torch)
