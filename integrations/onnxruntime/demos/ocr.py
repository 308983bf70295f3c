"""Reads a photograph of text with rapidocr in ONNX Runtime, on its own provider and on convlow: the same text."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import models
import numpy as np
import work
from convlow_onnxruntime.compare import Measured, Task, session_options, take_turns
from PIL import Image


class Reader:
    """rapidocr, whose sessions have these options of convlow, or none."""

    def __init__(self, pixels: np.ndarray, threads: int, options: dict[str, Any] | None) -> None:
        import convlow_onnxruntime as convlow
        import onnxruntime as ort
        from rapidocr_onnxruntime import RapidOCR
        from rapidocr_onnxruntime.utils import infer_engine

        self.sessions: list[ort.InferenceSession] = []

        def session(path: str, **_: object) -> ort.InferenceSession:
            settings = session_options(threads)
            if options is not None:
                convlow.use(settings, **options)
            providers = ["CPUExecutionProvider"] if options is None else None
            self.sessions.append(ort.InferenceSession(path, settings, providers=providers))
            return self.sessions[-1]

        # rapidocr makes its sessions itself.
        infer_engine.InferenceSession = session
        infer_engine.OrtInferSession._verify_providers = lambda _: None
        self.reader, self.pixels, self.is_convlow = RapidOCR(), pixels, options is not None

    def __call__(self) -> list[str]:
        lines, _ = self.reader(self.pixels)
        return [text for _, text, _ in lines or []]

    def notes(self) -> list[tuple[int, int]] | None:
        import convlow_onnxruntime as convlow

        if not self.is_convlow:
            return None
        reports = [convlow.report(session) for session in self.sessions]
        return [(sum(layer.claimed for layer in report), len(report)) for report in reports]


def read(threads: int, rounds: int, enlarged: int, maths: tuple[str, ...]) -> dict[str, Measured]:
    """The photograph's text and what it took, on each provider."""
    page = Image.fromarray(models.photograph())
    page = page.resize((page.width * enlarged, page.height * enlarged), Image.Resampling.BICUBIC)
    pixels = np.asarray(page.convert("RGB"))
    tasks: dict[str, Task] = {"ONNX Runtime's own provider": partial(Reader, pixels, threads, None)}
    for math in maths:
        tasks[f"convlow, {math}"] = partial(Reader, pixels, threads, {"math": math})
    return take_turns(tasks, rounds, warm_ups=2)


def main() -> int:
    given = work.arguments(__doc__, enlarged=3)
    measured = read(given.threads, given.rounds, given.enlarged, ("exact", "fast"))
    texts = [one.output for one in measured.values()]
    print("\n".join(texts[0]), "\n")
    print(work.table(measured))
    counts = next(one.notes for one in measured.values() if one.notes)
    print("convolutions computed by convlow:", ", ".join(f"{claimed} of {all_}" for claimed, all_ in counts))
    same = all(text == texts[0] for text in texts)
    print("the same text" if same else f"the texts differ: {texts}")
    return 0 if same and texts[0] else 1


if __name__ == "__main__":
    sys.exit(main())
