"""Hold the shape of the code: budgets of files and functions, order of modules, inheritance.

`check_file` looks at one file of any folder, `check_package` at the package as a whole, and
`loaded_frameworks` at what `import headstart` really loads. Problems are lines, `path:line: what`.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "headstart"
FOLDERS = (PACKAGE, "tests", "tools", "benchmarks")
FILE_LINES = 300
FUNCTION_LINES = 40
PARAMETERS = 6
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "base"})
FRAMEWORKS = frozenset({"tensorflow", "keras", "openvino", "sklearn"})
SLOW_FRAMEWORKS = frozenset({"tensorflow", "keras"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One parsed file; `path` is for display, `module` its dotted name ("" outside the package)."""

    path: str
    text: str
    tree: ast.Module
    module: str = ""


@dataclass(frozen=True)
class Import:
    """One imported module, by its dotted name, and the line it stands on."""

    target: str
    line: int


def read_source(path: Path, root: Path) -> Source:
    """Parse `path`; its module name is taken from where it lies below `root`.

    Raises:
        SyntaxError: It is no Python.
    """
    text = path.read_text(encoding="utf-8")
    place = path.relative_to(root)
    parts = place.with_suffix("").parts
    dotted = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    module = dotted if parts[0] == PACKAGE else ""
    return Source(place.as_posix(), text, ast.parse(text, str(path)), module)


def check_file(source: Source) -> Iterator[str]:
    """The budgets that hold for every file."""
    lines = len(source.text.splitlines())
    if lines > FILE_LINES:
        yield f"{source.path}:1: {lines} lines, at most {FILE_LINES}"
    if Path(source.path).stem in FORBIDDEN_NAMES:
        yield f"{source.path}:1: a module named so says nothing about what is in it"
    for node in ast.walk(source.tree):
        if isinstance(node, Function):
            problems = [*_size_problems(node)]
            if source.module and _passes_on(node):
                problems.append("passes its ** parameter on: name the parameters")
            yield from (f"{source.path}:{node.lineno}: {node.name} {one}" for one in problems)


def _size_problems(function: Function) -> Iterator[str]:
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    if length > FUNCTION_LINES:
        yield f"has {length} lines without its docstring, at most {FUNCTION_LINES}"
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    if arguments.vararg:
        names.append(arguments.vararg.arg)
    count = len([name for name in names if name not in ("self", "cls")])
    if count > PARAMETERS:
        yield f"has {count} parameters, at most {PARAMETERS}"


def _passes_on(function: Function) -> bool:
    """Whether it gives its own ** parameter to a call; what a decorator wraps must, and may."""
    wraps = any("wraps" in ast.unparse(decorator) for decorator in function.decorator_list)
    if function.args.kwarg is None or wraps:
        return False
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    starred = (word.value for call in calls for word in call.keywords if word.arg is None)
    name = function.args.kwarg.arg
    return any(isinstance(value, ast.Name) and value.id == name for value in starred)


def imports(source: Source, modules: frozenset[str]) -> Iterator[Import]:
    """Every module of the package that `source` imports: inside functions and for types too.

    Args:
        source: A module of the package.
        modules: The dotted names of all modules of the package.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = _absolute(node, source)
            names = [f"{start}.{alias.name}" for alias in node.names]
            targets = [name if name in modules else start for name in names]
            if start == PACKAGE and {alias.name for alias in node.names} <= {"__version__"}:
                continue
        else:
            continue
        for target in targets:
            if target.split(".")[0] == PACKAGE:
                yield Import(target, node.lineno)


def _absolute(node: ast.ImportFrom, source: Source) -> str:
    if not node.level:
        return node.module or ""
    parts = source.module.split(".")
    own_level = node.level - source.path.endswith("__init__.py")
    parts = parts[: len(parts) - own_level]
    return ".".join([*parts, node.module] if node.module else parts)


def _place(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def check_order(sources: Sequence[Source], order: Sequence[str]) -> Iterator[str]:
    """Each module imports only from those above it in `order`, or from its own folder."""
    rank = {name: number for number, name in enumerate(order)}
    modules = frozenset(source.module for source in sources)
    for source in sources:
        own = _place(source.module)
        if own == "":
            continue  # the package itself: all its names are lazy
        if own not in rank:
            yield f"{source.path}:1: {own} has no place in tools/module_order.txt"
            continue
        for found in imports(source, modules):
            other = _place(found.target)
            if other == "":
                yield f"{source.path}:{found.line}: imports the package: name the module"
            elif other != own and rank.get(other, len(rank)) >= rank[own]:
                yield f"{source.path}:{found.line}: {own} imports {other}, which is not above it"


def check_cycles(sources: Sequence[Source]) -> Iterator[str]:
    """No module imports itself by way of others; the package's own lazy names do not count."""
    modules = frozenset(source.module for source in sources)
    graph = {
        source.module: {
            found.target
            for found in imports(source, modules)
            if found.target not in (PACKAGE, source.module)
        }
        for source in sources
        if source.module != PACKAGE
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"{PACKAGE}: import cycle {' -> '.join(reversed(error.args[1]))}"


def check_top_level(source: Source) -> Iterator[str]:
    """TensorFlow and Keras are imported only inside functions, or for types."""
    for statement in source.tree.body:
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        names = (
            [alias.name for alias in statement.names]
            if isinstance(statement, ast.Import)
            else [statement.module or ""]
        )
        for name in names:
            if name.split(".")[0] in SLOW_FRAMEWORKS:
                yield f"{source.path}:{statement.lineno}: import {name} inside a function"


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _may_be_ours(base: ast.expr) -> bool:
    """Whether a base class can be one of the package: `keras.layers.Layer` cannot."""
    while isinstance(base, ast.Attribute | ast.Subscript):
        base = base.value
    return getattr(base, "id", "") not in SLOW_FRAMEWORKS


def _is_open(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether others may inherit from the class: it is abstract, a protocol, or an exception."""
    bases = [_last_name(base) for base in node.bases]
    marks = [*bases, *(_last_name(word.value) for word in node.keywords)]
    if any(name in ("ABC", "ABCMeta", "Protocol") for name in marks):
        return True
    if any(name.endswith(("Error", "Exception", "Warning")) for name in (*bases, node.name)):
        return True
    return any(_is_open(classes[name], classes) for name in bases if name in classes)


def check_inheritance(sources: Sequence[Source]) -> Iterator[str]:
    """No class inherits from a concrete class of the package; exceptions are free to."""
    found = [
        (source, node)
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    ]
    classes = {node.name: node for _, node in found}
    for source, node in found:
        for name in map(_last_name, filter(_may_be_ours, node.bases)):
            if name in classes and name != node.name and not _is_open(classes[name], classes):
                yield f"{source.path}:{node.lineno}: {node.name} inherits from the concrete {name}"


def check_package(sources: Sequence[Source], order: Sequence[str]) -> list[str]:
    """All that can be said about the package from its text."""
    problems = [*check_order(sources, order), *check_cycles(sources), *check_inheritance(sources)]
    for source in sources:
        problems += check_top_level(source)
    return problems


def loaded_frameworks(statement: str = f"import {PACKAGE}", root: Path = ROOT) -> list[str]:
    """The frameworks that a fresh interpreter has loaded after `statement`."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    return sorted(loaded & FRAMEWORKS)


def read_order(path: Path) -> list[str]:
    """The names in `path`, one a line; lines that start with # are comments."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def check_all(root: Path = ROOT) -> list[str]:
    """Every check on the repository at `root`."""
    places = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    sources = [read_source(path, root) for path in places]
    problems = [problem for source in sources for problem in check_file(source)]
    package = [source for source in sources if source.module]
    problems += check_package(package, read_order(root / "tools" / "module_order.txt"))
    problems += [f"import {PACKAGE} loads {name}" for name in loaded_frameworks(root=root)]
    return problems


def main() -> int:
    """Print what is wrong and give the exit status."""
    problems = check_all()
    print("\n".join(problems) or "The shape of the code is as agreed.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
