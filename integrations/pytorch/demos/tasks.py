"""What the demo computes: two networks that learn, and networks of torchvision with seeded weights.

Each task makes, from a seed, a function that computes one step: of training, which returns the loss, or of inference.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

#: Where Debian's package dataset-fashion-mnist lies.
FASHION = Path("/usr/share/datasets/fashion-mnist")
SEED = 20


class Block(nn.Module):  # type: ignore[misc] # PyTorch is not there where types are checked.
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        between = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(between)) + self.shortcut(x))


def small_resnet() -> nn.Module:
    blocks = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 32, 1), Block(32, 64, 2), Block(64, 64, 1)]
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )


class VolumeNet(nn.Module):  # type: ignore[misc] # as above
    """A U-Net of three dimensions and two scales."""

    def __init__(self) -> None:
        super().__init__()

        def pair(inputs: int, outputs: int) -> nn.Module:
            first, second = nn.Conv3d(inputs, outputs, 3, padding=1), nn.Conv3d(outputs, outputs, 3, padding=1)
            return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

        self.down, self.middle, self.up = pair(1, 8), pair(8, 16), pair(16, 8)
        self.enlarge, self.out = nn.ConvTranspose3d(16, 8, 2, 2), nn.Conv3d(8, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.down(x)
        coarse = self.enlarge(self.middle(functional.max_pool3d(fine, 2)))
        return self.out(self.up(torch.cat([fine, coarse], dim=1)))


def fashion(part: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images from 0 to 1 and their labels."""

    def read(kind: str, head: int) -> np.ndarray:
        with gzip.open(FASHION / f"{part}-{kind}-ubyte.gz") as file:
            return np.frombuffer(file.read()[head:], np.uint8)

    images = read("images-idx3", 16)[: count * 784].reshape(count, 1, 28, 28)
    return torch.tensor(images, dtype=torch.float32) / 255, torch.tensor(
        read("labels-idx1", 8)[:count].astype(np.int64)
    )


def balls(count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Volumes of noise in which balls are brighter, and where these are."""
    random = torch.Generator().manual_seed(SEED)
    axes = torch.stack(torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 3, indexing="ij"))
    inside = torch.zeros(count, 1, size, size, size, dtype=torch.float64)
    for volume in inside:
        for _ in range(4):
            centre = torch.rand(3, 1, 1, 1, generator=random, dtype=torch.float64) * size
            radius = 3 + 4 * torch.rand((), generator=random, dtype=torch.float64)
            volume[0][((axes - centre) ** 2).sum(0) < radius**2] = 1
    noise = torch.randn(inside.shape, generator=random, dtype=torch.float64)
    return inside + noise, inside


def training_of_images(steps: int) -> Callable[[int], float]:
    """The small ResNet on Fashion-MNIST, 64 images a step."""
    batch = 64
    images, labels = fashion("train", batch * steps)
    net = small_resnet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

    def step(at: int) -> float:
        some = slice(at * batch, (at + 1) * batch)
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(images[some]), labels[some])
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def training_of_volumes(_: int) -> Callable[[int], float]:
    """The U-Net of three dimensions in float64, two volumes of 32 × 32 × 32 a step."""
    volumes, inside = balls(2, 32)
    net = VolumeNet().double()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)

    def step(_: int) -> float:
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(net(volumes), inside)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def inference(name: str, *, last: bool) -> Callable[[int], float]:
    """A network of torchvision with seeded weights, one image of 224 × 224."""
    import torchvision

    models = torchvision.models
    makers = {
        "resnet18": models.resnet18,
        "resnet50": models.resnet50,
        "mobilenet_v2": models.mobilenet_v2,
        "vgg16": models.vgg16,
        "deeplab": lambda weights: models.segmentation.deeplabv3_resnet50(weights=weights, weights_backbone=None),
    }
    order = torch.channels_last if last else torch.contiguous_format
    net = makers[name](weights=None).eval().to(memory_format=order)
    image = torch.randn(1, 3, 224, 224).to(memory_format=order)

    def step(_: int) -> float:
        with torch.inference_mode():
            found = net(image)
        return float((found["out"] if isinstance(found, dict) else found).abs().mean())

    return step


#: The networks that learn: their titles, how they are made, and how many steps they take.
LEARNING = {
    "images": ("small ResNet on Fashion-MNIST, float32", training_of_images, 200),
    "volumes": ("3-D U-Net on volumes, float64", training_of_volumes, 20),
}
#: The networks that only infer.
INFERRING = ("resnet18", "resnet50", "mobilenet_v2", "vgg16", "deeplab")


def make(task: str, steps: int) -> Callable[[int], float]:
    """The function that computes a step of a task: of LEARNING, or one of INFERRING with /first or /last behind it."""
    torch.manual_seed(SEED)
    if task in LEARNING:
        return LEARNING[task][1](steps)
    name, order = task.split("/")
    return inference(name, last=order == "last")
