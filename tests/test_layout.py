"""The house: which room may know which, and that nothing in it grows beyond what one can read."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import etm_app

ROOT = Path(etm_app.__file__).parent
LOW = ("errors", "files")  # everybody may know them
DATA, NN, METRICS = "data", "nn", "metrics"
MODEL = ("model", "editing", "evaluation", "topic_model", "topic_names", "seeds", "start", "going_on", "checkpoint")
# Each room, with the others that it may know. `cli` may know all.
KNOWS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "files": (),
    DATA: (),
    NN: ("data.batch",),
    METRICS: (),
    **dict.fromkeys(MODEL, (*MODEL, NN, METRICS, DATA)),
    "estimator": (*MODEL, DATA),
    "report": (*MODEL, NN, METRICS, DATA),
    "sweep": ("report", *MODEL, METRICS, DATA),
    "callbacks": ("report", *MODEL, METRICS, DATA),
    "cli": ("callbacks", "sweep", "report", *MODEL, METRICS, DATA),
    "__main__": ("cli",),
}
MAX_CLASS = 250  # lines, with docstrings


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:  # the package itself only names what can be had from it
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def known_by(tree: ast.Module) -> set[str]:
    """The modules of this package that a module imports when it is run; not for types, and in functions as well."""
    types = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and id(node) not in types]
    return {
        str(node.module).removeprefix("etm_app").lstrip(".")
        for node in found
        if f"{node.module}.".startswith("etm_app.")
    }


def is_of(module: str, room: str) -> bool:
    return f"{module}.".startswith(f"{room}.")


def test_no_room_knows_one_above_it() -> None:
    upward = []
    for name, tree in modules():
        room = name.partition(".")[0]
        allowed = (room, *LOW, *KNOWS[room])
        strangers = [other for other in known_by(tree) - {""} if not any(is_of(other, of) for of in allowed)]
        upward += [f"{name} knows {other}" for other in strangers]
    assert not upward


def test_no_modules_know_each_other_in_a_circle() -> None:
    assert len([*TopologicalSorter({name: known_by(tree) - {""} for name, tree in modules()}).static_order()]) > 60


def test_no_class_is_too_long_to_be_read() -> None:
    sizes = {
        f"{name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    assert not {name for name, size in sizes.items() if size > MAX_CLASS}


def test_benchmarks_import_what_there_is() -> None:
    asked = [
        (path.name, node.module, alias.name)
        for path in sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("etm_app")
        for alias in node.names
    ]
    assert len(asked) > 50
    assert not [of for of in asked if not hasattr(import_module(of[1] or ""), of[2])]
