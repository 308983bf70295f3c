"""Enlarges a photograph four times with Real-ESRGAN in ONNX Runtime, on its own provider and on convlow."""

from __future__ import annotations

import sys
from functools import partial

import models
import numpy as np
import onnx
import work
from convlow_onnxruntime.compare import ModelRun, take_turns
from PIL import Image


def main() -> int:
    given = work.arguments(__doc__, width=480, height=270)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "super-resolution.onnx"
    onnx.save(models.super_resolution(), path)
    photograph = Image.open(work.ROOT / "demo/astronaut.jpg").convert("RGB")
    # The middle of the photograph in the shape that is asked for.
    scale = max(given.width / photograph.width, given.height / photograph.height)
    resized = photograph.resize(
        (round(photograph.width * scale), round(photograph.height * scale)), Image.Resampling.LANCZOS
    )
    left = (resized.width - given.width) // 2
    small = resized.crop((left, 0, left + given.width, given.height))
    feeds = {"input": np.ascontiguousarray(np.asarray(small, np.float32).transpose(2, 0, 1)[None] / 255)}
    tasks = {"ONNX Runtime's own provider": partial(ModelRun, str(path), feeds, given.threads, None)}
    for math in ("exact", "fast"):
        tasks[f"convlow, {math}"] = partial(ModelRun, str(path), feeds, given.threads, {"math": math})
    measured = take_turns(tasks, given.rounds, warm_ups=2)
    outputs = {name: one.output[0] for name, one in measured.items()}
    own = outputs["ONNX Runtime's own provider"]
    print(f"{given.width} x {given.height} to {own.shape[3]} x {own.shape[2]} pixels\n")
    print(work.table(measured))
    failed = False
    for name, bound in (("convlow, exact", 1e-4), ("convlow, fast", 1e-3)):
        difference = float(np.abs(outputs[name] - own).max() / np.abs(own).max())
        failed |= difference > bound
        print(f"{name}: largest difference {difference:.1e} of the largest output")
    large = Image.fromarray((outputs["convlow, fast"][0].transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8))
    large.save(given.out / "upscaled.png")
    side_by_side(small, large).save(given.out / "upscaled-beside.jpg", quality=90)
    print(f"wrote {given.out / 'upscaled.png'}, and before and after side by side: {given.out / 'upscaled-beside.jpg'}")
    return int(failed)


def side_by_side(small: Image.Image, large: Image.Image) -> Image.Image:
    """A part of both in the same size: the left one as its pixels are, the right one enlarged by the network."""
    factor, side = large.width // small.width, min(small.size) // 2
    left, top = (small.width - side) // 2, small.height // 6
    before = small.crop((left, top, left + side, top + side)).resize((side * factor,) * 2, Image.Resampling.NEAREST)
    after = large.crop(tuple(edge * factor for edge in (left, top, left + side, top + side)))
    beside = Image.new("RGB", (2 * before.width + 8, before.height), "white")
    beside.paste(before, (0, 0))
    beside.paste(after, (before.width + 8, 0))
    return beside


if __name__ == "__main__":
    sys.exit(main())
