"""PyTorch, whose convolutions take plain weights at each run.

option=default    whatever PyTorch takes by itself: oneDNN in float32, unless the layer is small
option=im2col     without oneDNN: the whole of im2col, then one GEMM on the BLAS
"""

from __future__ import annotations

import numpy as np
import torch
from base import Engine, Floats, Spec, Tensors, Unsupported, serve


def pads_alike(spec: Spec) -> bool:
    """Whether PyTorch, which pads alike before and behind, has this output."""
    before, behind = spec.axes(spec.pf, spec.pt, spec.pl), spec.axes(spec.pk, spec.pb, spec.pr)
    if spec.tr:
        return before == behind
    # What is behind the last step of the kernel changes nothing.
    sizes, outputs = spec.axes(spec.id, spec.ih, spec.iw), spec.axes(spec.od, spec.oh, spec.ow)
    kernel, stride = spec.axes(spec.kd, spec.kh, spec.kw), spec.axes(spec.sd, spec.sh, spec.sw)
    dilation = spec.axes(spec.dd, spec.dh, spec.dw)
    axes = zip(sizes, outputs, kernel, stride, dilation, before, strict=True)
    return all((size + 2 * pad - (taps - 1) * gap - 1) // step + 1 == out for size, out, taps, step, gap, pad in axes)


class Torch(Engine):
    version = torch.__version__

    def __init__(self, spec: Spec, tensors: Tensors) -> None:
        if not pads_alike(spec):
            raise Unsupported("PyTorch pads alike before and behind")
        torch._C._set_mkldnn_enabled(spec.option == "default")
        torch.set_num_threads(spec.threads)
        torch.set_grad_enabled(False)
        self.nhwc = bool(spec.nhwc)
        self.channels_last = (torch.channels_last, torch.channels_last_3d)[spec.volume]
        src, weights = self.of_images(tensors.src), torch.from_numpy(tensors.weights)
        copied = 0
        if self.nhwc:
            weights = weights.contiguous(memory_format=self.channels_last)
            copied = tensors.weights.nbytes
        stride, dilation = spec.axes(spec.sd, spec.sh, spec.sw), spec.axes(spec.dd, spec.dh, spec.dw)
        before, added = spec.axes(spec.pf, spec.pt, spec.pl), spec.axes(spec.opd, spec.oph, spec.opw)
        sizes = (stride, before, dilation, bool(spec.tr), added, spec.g)
        self.implementation = torch._C._select_conv_backend(src, weights, None, *sizes).name
        if spec.propagation == "forward":
            assert tensors.dst is None
            self.compute, self.result_at = torch.convolution, None
            self.arguments: tuple[object, ...] = (src, weights, None, *sizes)
            written = int(np.prod(spec.dst_shape)) * spec.dtype.itemsize
        else:
            assert tensors.dst is not None
            self.compute = torch.ops.aten.convolution_backward
            self.result_at = ("backward-data", "backward-weights").index(spec.propagation)
            mask = [at == self.result_at for at in range(3)]
            self.arguments = (self.of_images(tensors.dst), src, weights, None, *sizes, mask)
            written = (tensors.src, tensors.weights)[self.result_at].nbytes
        self.computed: torch.Tensor | None = None
        self.tensor_bytes = written + copied

    def of_images(self, array: Floats) -> torch.Tensor:
        """The tensor of PyTorch's axes, in the same memory."""
        tensor = torch.from_numpy(array)
        return tensor.movedim(-1, 1) if self.nhwc else tensor

    def run(self) -> None:
        self.computed = None  # Not two at a time.
        computed = self.compute(*self.arguments)
        self.computed = computed if self.result_at is None else computed[self.result_at]

    def result(self) -> Floats:
        computed = self.computed
        assert computed is not None
        if self.nhwc and self.result_at != 1:
            computed = computed.movedim(1, -1)
        floats: Floats = computed.contiguous().numpy()
        return floats


serve(Torch)
