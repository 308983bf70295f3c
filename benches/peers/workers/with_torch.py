"""PyTorch without oneDNN: the whole of im2col, then one GEMM on the BLAS."""

from __future__ import annotations

import numpy as np
import torch
from base import Engine, Floats, Spec, Unsupported, serve


class Torch(Engine):
    version = torch.__version__
    implementation = "im2col"

    def __init__(self, spec: Spec, src: Floats, weights: Floats) -> None:
        torch._C._set_mkldnn_enabled(False)
        torch.set_num_threads(spec.threads)
        torch.set_grad_enabled(False)
        stride, dilation = spec.axes(spec.sd, spec.sh, spec.sw), spec.axes(spec.dd, spec.dh, spec.dw)
        before = spec.axes(spec.pf, spec.pt, spec.pl)
        self.convolve = (torch.conv2d, torch.conv3d)[spec.volume]
        self.sizes: tuple[object, ...] = (stride, before, dilation, spec.g)
        if spec.tr:
            if before != spec.axes(spec.pk, spec.pb, spec.pr):
                raise Unsupported("PyTorch pads alike before and behind")
            self.convolve = (torch.conv_transpose2d, torch.conv_transpose3d)[spec.volume]
            added = spec.axes(spec.opd, spec.oph, spec.opw)
            self.sizes = (stride, before, added, spec.g, dilation)
        self.nhwc = bool(spec.nhwc)
        self.src = torch.from_numpy(src)
        self.weights = torch.from_numpy(weights)
        if self.nhwc:
            self.src = self.src.movedim(-1, 1)
            channels_last = (torch.channels_last, torch.channels_last_3d)[spec.volume]
            self.weights = self.weights.contiguous(memory_format=channels_last)
        self.dst: torch.Tensor | None = None
        copied = weights.nbytes if self.nhwc else 0
        self.dst_shape = spec.dst_shape
        self.tensor_bytes = int(np.prod(spec.dst_shape)) * src.itemsize + copied

    def run(self) -> None:
        self.dst = None  # Not two at a time.
        self.dst = self.convolve(self.src, self.weights, None, *self.sizes)

    def result(self) -> Floats:
        assert self.dst is not None
        dst = self.dst.movedim(1, -1) if self.nhwc else self.dst
        if tuple(dst.shape) != self.dst_shape:
            # It pads alike on both sides, and what is too much behind made another output.
            raise Unsupported("PyTorch pads alike before and behind")
        floats: Floats = dst.contiguous().numpy()
        return floats


serve(Torch)
