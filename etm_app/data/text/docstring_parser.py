"""Docstrings of installed Python packages; standard library only, because worker processes import this module."""

import ast
import sysconfig
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from typing import NamedTuple

__all__ = ["Docstring", "package_root", "parse", "source_files"]

STDLIB = "stdlib"
SKIPPED_FOLDERS = {"site-packages", "tests", "test", "testing", "idlelib", "lib2to3", "__pycache__"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Docstring(NamedTuple):
    """A docstring with the name of its object and its label, library.subpackage."""

    id: str
    label: str
    text: str


def package_root(package: str) -> Path | None:
    """Folder of an installed package's sources, or of the standard library for ``stdlib``; None if there is none."""
    if package == STDLIB:
        return Path(sysconfig.get_paths()["stdlib"])
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:  # of the package around it
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def source_files(package: str, root: Path) -> list[tuple[str, str, Path]]:
    """The sources of a package without its tests, as (package, dotted module name, file), in sorted order."""
    found = []
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if SKIPPED_FOLDERS.isdisjoint(inside.parts):
            parts = [package, *inside.with_suffix("").parts]
            found.append((package, ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def parse(source: tuple[str, str, Path]) -> list[Docstring]:
    """The docstrings of one source file; none if this Python cannot parse it."""
    package, module, path = source
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates and code for another Python
        return []
    subpackage = module.split(".")[1:2]
    label = ".".join([package, *subpackage])
    found: list[Docstring] = []
    pending: list[tuple[str, ast.AST]] = [(module, tree)]
    while pending:
        name, node = pending.pop()
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node, clean=False)):
            found.append(Docstring(name, label, cleandoc(text)))
        for block in ("body", "orelse", "finalbody"):  # definitions are statements; expressions need no visit
            for child in getattr(node, block, ()):
                own_name = getattr(child, "name", None)
                pending.append((f"{name}.{own_name}" if own_name else name, child))
    found.sort()
    return found
