"""The engines: what each is, and how its worker is built and called."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
WORKERS = HERE / "workers"
INCLUDE = HERE.parents[1] / "include"


class Missing(Exception):
    """An engine that is not to be had here, and why."""


@dataclass(frozen=True)
class Place:
    """Where things lie on this machine."""

    build: Path
    torch_python: str


@dataclass(frozen=True)
class Engine:
    name: str
    #: "exact": every product of the definition; "winograd": transforms with other roundings allowed.
    math: str
    layouts: tuple[str, ...]
    command: tuple[str, ...]
    option: str
    #: Whether it computes float64, too.
    doubles: bool = False
    #: Whether it computes gradients, too.
    gradients: bool = False
    #: Variables of its worker's environment.
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def tolerance(self) -> float:
        """Largest difference that passes, relative to the largest output."""
        return 1e-4 if self.math == "exact" else 1e-3


BOTH = ("nchw", "nhwc")
NCHW = ("nchw",)


def compiled(place: Place, source: str, name: str, flags: list[str]) -> tuple[str, ...]:
    """Compiles a C++ worker unless what it is made of is as before."""
    command = ["g++", "-O2", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", str(WORKERS / source), *flags]
    parts = (WORKERS / source, WORKERS / "base.hpp", INCLUDE / "convlow.h", HERE / "requirements.txt")
    made_of = repr(command).encode() + b"".join(part.read_bytes() for part in parts)
    binary = place.build / f"{name}-{hashlib.sha256(made_of).hexdigest()[:16]}"
    if not binary.exists():
        # Another run may compile it at the same time.
        partial = binary.with_suffix(f".{os.getpid()}")
        try:
            done = subprocess.run([*command, "-o", str(partial)], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise Missing("there is no g++") from error
        if done.returncode != 0:
            complaint = re.search(r".*(?:error:|cannot find|undefined reference).*", done.stderr)
            raise Missing(f"its worker does not compile: {(complaint or [done.stderr.strip()])[0]}")
        partial.replace(binary)
    return (str(binary),)


def linked(folder: Path, library: str) -> list[str]:
    return [f"-L{folder}", f"-Wl,-rpath,{folder}", f"-l:{library}"]


def site_packages() -> Path:
    return Path(sysconfig.get_path("purelib"))


def convlow(place: Place, algorithm: str, reference: bool) -> Engine:
    library = place.build / "libconvlow.so"
    dynamic = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True)
    soname = re.search(r"SONAME.*\[(.*)\]", dynamic.stdout)
    folder = library.parent
    if soname and soname[1] != library.name:
        folder = place.build / "lib"
        folder.mkdir(exist_ok=True)
        link = folder / soname[1]
        link.unlink(missing_ok=True)
        link.symlink_to(library)
    flags = [f"-I{INCLUDE}", str(library), f"-Wl,-rpath,{folder}"]
    name = "convlow" if reference else f"convlow:{algorithm}"
    math = "winograd" if algorithm == "fast" or algorithm.startswith("winograd") else "exact"
    command = compiled(place, "convlow.cpp", "convlow", flags)
    return Engine(name, math, BOTH, command, algorithm, doubles=True, gradients=True)


def onednn(place: Place, name: str, option: str, layouts: tuple[str, ...], prefix: Path = Path(sys.prefix)) -> Engine:
    library = prefix / "lib"
    if not (library / "libdnnl.so.3").exists():
        raise Missing(f"no oneDNN is installed in {prefix}")
    flags = [f"-I{prefix / 'include'}", *linked(library, "libdnnl.so.3")]
    command = compiled(place, "onednn.cpp", "onednn", flags)
    # A build for SYCL finds its own libraries, and the processor as a device of OpenCL, by these.
    sycl = {"LD_LIBRARY_PATH": str(library), "OCL_ICD_FILENAMES": str(library / "libintelocl.so")}
    variables = tuple(sycl.items()) if (library / "libsycl.so").exists() else ()
    return Engine(name, "exact", layouts, command, option, variables=variables, gradients=option == "direct")


def onednn_winograd(place: Place, name: str) -> Engine:
    try:
        command = compiled(place, "onednn.cpp", "onednn-system", ["-DWINOGRAD", "-ldnnl"])
    except Missing as reason:
        raise Missing(f"the system's oneDNN 2 (Debian 12: libdnnl-dev) is not there; {reason}") from reason
    return Engine(name, "winograd", BOTH, command, "winograd")


def openvino(place: Place, name: str) -> Engine:
    package = site_packages() / "openvino"
    libraries = sorted((package / "libs").glob("libopenvino.so.*"))
    if not libraries:
        raise Missing("openvino is not installed")
    flags = [f"-isystem{package / 'include'}", *linked(package / "libs", libraries[0].name)]
    return Engine(name, "exact", NCHW, compiled(place, "openvino.cpp", "openvino", flags), "")


def script(python: str, source: str, needs: str) -> tuple[str, ...]:
    """A Python worker, once the interpreter is known to have what it imports."""
    command = [python, "-c", f"import {needs}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Missing(f"{python}: {error.strerror}") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"python ends with {done.returncode}"]
        raise Missing(f"{python} cannot import {needs}: {lines[-1]}")
    return (python, str(WORKERS / source))


def onnxruntime(_: Place, name: str) -> Engine:
    command = script(sys.executable, "with_onnxruntime.py", "numpy, onnx, onnxruntime")
    return Engine(name, "exact", NCHW, command, "")


def ncnn(name: str, math: str) -> Engine:
    command = script(sys.executable, "with_ncnn.py", "numpy, ncnn")
    return Engine(name, math, NCHW, command, math)


def torch(place: Place, name: str, option: str) -> Engine:
    command = script(place.torch_python, "with_torch.py", "numpy, torch")
    return Engine(name, "exact", BOTH, command, option, doubles=True, gradients=True)


#: Two gigabytes with what it needs: `run` installs it in an environment of its own where it is named.
NEWEST_ONEDNN = "onednn-3.13"

PEERS: dict[str, Callable[[Place, str], Engine]] = {
    "onednn": lambda place, name: onednn(place, name, "direct", BOTH),
    NEWEST_ONEDNN: lambda place, name: onednn(place, name, "direct", BOTH, Path(f"{sys.prefix}-onednn")),
    "onednn-blocked": lambda place, name: onednn(place, name, "blocked", NCHW),
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "ncnn-exact": lambda _, name: ncnn(name, "exact"),
    "torch": lambda place, name: torch(place, name, "default"),
    "torch-im2col": lambda place, name: torch(place, name, "im2col"),
    "onednn-winograd": onednn_winograd,
    "ncnn": lambda _, name: ncnn(name, "winograd"),
}


def environment(threads: int) -> dict[str, str]:
    """Of the person's own settings all stay, such as ONEDNN_MAX_CPU_ISA, but not the number of threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "DPCPP_CPU_NUM_CUS")
    return {**os.environ, **{name: str(threads) for name in names}}
