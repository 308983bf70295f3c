"""Holds the Rust sources to their structure: files and functions that are short, and imports that run one way.

Prints what is wrong and fails, or prints how much it has read. Tests are held to the length of files alone.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_LINES = 500
MOST_LINES_OF_FUNCTION = 60
PACKAGES = [Path("src"), *sorted(Path("crates").glob("*/src")), Path("cli/src")]

FUNCTION = re.compile(r'( *)(?:(?:pub(?:\([a-z ]+\))?|const|unsafe|extern "C") )*fn (\w+)')
MODULE = re.compile(r"^((?:#\[[^\n]*\n)*)(?:pub(?:\([a-z ]+\))? )?mod (\w+);", re.MULTILINE)
IMPORT = re.compile(r"^ *(?:pub(?:\([a-z ]+\))? )?use ((?:crate|super|self)::[^;]+);", re.MULTILINE)
PATH = re.compile(r"\b(?:crate|super)(?:::\w+)+")
MACRO = re.compile(r"^#\[macro_export\]\nmacro_rules! (\w+)", re.MULTILINE)


def long_functions(path: Path) -> Iterator[str]:
    """Functions of too many lines: from their `fn` to the brace at its indentation."""
    name, indent, start = "", "", 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not name:
            found = FUNCTION.match(line)
            if found and not line.endswith(("}", ";")):
                indent, name, start = found[1], found[2], number
        elif re.fullmatch(indent + r"(}|[^ ].*;)", line):
            lines = number - start + 1
            if lines > MOST_LINES_OF_FUNCTION:
                yield f"{path}:{start}: {name} has {lines} lines, more than {MOST_LINES_OF_FUNCTION}"
            name = ""


def leaves(tree: str) -> Iterator[str]:
    """The paths of a `use`, whose braces may be nested."""
    head, brace, rest = tree.partition("{")
    if not brace:
        yield re.sub(r" as \w+", "", tree).strip()
        return
    depth, part = 0, ""
    for char in rest[: rest.rindex("}")] + ",":
        if char == "," and depth == 0:
            if part.strip():
                yield from leaves(head.strip() + part.strip())
            part = ""
            continue
        depth += {"{": 1, "}": -1}.get(char, 0)
        part += char


class Package:
    """The files of a package and what they import of each other. A file is the path of its module."""

    def __init__(self, root: Path) -> None:
        self.files: dict[tuple[str, ...], Path] = {}
        self.texts: dict[tuple[str, ...], str] = {}
        self.macros: set[str] = set()
        for name in ("lib.rs", "main.rs"):
            if (root / name).exists():
                self.add((), root / name, root)

    def add(self, module: tuple[str, ...], path: Path, folder: Path) -> None:
        text = path.read_text()
        self.macros.update(MACRO.findall(text))
        self.files[module] = path
        self.texts[module] = re.sub(r"(?ms)^#\[cfg\([^\n]*\btest\b[^\n]*\nmod \w+ \{.*?^}", "", text)
        for attributes, name in MODULE.findall(text):
            if re.search(r"cfg\(.*\btest\b", attributes):
                continue
            named = re.findall(r'#\[path = "(.*)"\]', attributes)
            for child in [path.parent / other for other in named] or [folder / f"{name}.rs", folder / name / "mod.rs"]:
                if child.exists():
                    self.add((*module, name), child, folder / name)

    def imported(self, module: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The modules of its imports, and its own parts."""
        yield from (other for other in self.files if other[:-1] == module and other)
        text = re.sub(r"//[^\n]*", "", self.texts[module])
        for use in [*IMPORT.findall(text), *PATH.findall(IMPORT.sub("", text))]:
            for leaf in leaves(" ".join(use.split())):
                names = leaf.split("::")
                at = () if names[0] == "crate" else module
                for name in names:
                    if name == "super":
                        at = at[:-1]
                    elif (*at, name) in self.files:
                        at = (*at, name)
                    elif name not in ("crate", "self"):
                        break
                if at != module and not (at == () and names[-1] in self.macros):
                    yield at

    def circles(self) -> Iterator[str]:
        """Ways along imports from a file back to itself: short ones that have no file in common."""
        arrows = {module: set(self.imported(module)) for module in self.files}
        seen: set[tuple[str, ...]] = set()
        for first in self.files:
            before: dict[tuple[str, ...], tuple[str, ...]] = {}
            queue = [first]
            for module in queue:
                for other in sorted(arrows[module] - before.keys()):
                    before[other] = module
                    queue.append(other)
            if first not in before:
                continue
            way = [first]
            while (module := before[way[-1]]) != first:
                way.append(module)
            if not seen.isdisjoint(way):
                continue
            seen.update(way)
            yield "imports in a circle: " + " -> ".join(str(self.files[module]) for module in [first, *way[::-1]])


def main() -> int:
    wrong, files = [], 0
    for root in PACKAGES:
        for path in sorted(root.rglob("*.rs")):
            files += 1
            if len(path.read_text().splitlines()) > MOST_LINES:
                wrong.append(f"{path}: more than {MOST_LINES} lines")
            if "tests" not in (*path.parent.parts, path.stem):
                wrong.extend(long_functions(path))
        wrong.extend(Package(root).circles())
    print("\n".join(wrong) or f"structure: {files} files")
    return len(wrong) > 0


if __name__ == "__main__":
    sys.exit(main())
