"""Each rule of tools/check_shape.py sees what it is for, and lets pass what is allowed."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from textwrap import dedent

import check_shape
import pytest
from check_shape import Source

ORDER = ["errors", "images", "backbones", "training", "__main__"]


def source(text: str, path: str = "headstart/images.py") -> Source:
    place = Path(path).with_suffix("")
    module = ".".join(place.parts[:-1] if place.name == "__init__" else place.parts)
    code = dedent(text)
    package = path.startswith("headstart")
    return Source(path, code, ast.parse(code), module if package else "")


def function(lines: int, docstring: int = 0, parameters: str = "") -> str:
    text = [f"def f({parameters}):"]
    if docstring:
        text += ['    """x', *["    x"] * (docstring - 2), '    """']
    return "\n".join([*text, *["    a = 1"] * lines]) + "\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = 1\n" * 301, "301 lines, at most 300"),
        (function(40), "f has 41 lines without its docstring, at most 40"),
        (function(40, docstring=5), "f has 41 lines without its docstring"),
        (function(1, parameters="a, b, /, c, d, *e, f, g"), "f has 7 parameters, at most 6"),
        ("def f(**rest):\n    g(**rest)\n", r"f passes its \*\* parameter on"),
        ("async def f(**rest):\n    g(1, a=2, **rest)\n", r"f passes its \*\* parameter on"),
    ],
)
def test_budgets(text: str, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        assert not list(check_shape.check_file(source(text)))


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\n" * 300,
        function(39),
        function(39, docstring=30),
        function(1, parameters="a, b, c, d, e, f"),
        "class A:\n    def f(self, a, b, c, d, e, f): ...\n",
        "def f(**rest):\n    return rest\n",
        "def f(rest):\n    g(**rest)\n",
        "@functools.wraps(g)\ndef f(**rest):\n    g(**rest)\n",
    ],
)
def test_within_budget(text: str) -> None:
    assert list(check_shape.check_file(source(text))) == []


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "base"])
def test_names_that_say_nothing(name: str) -> None:
    (problem,) = check_shape.check_file(source("", f"headstart/heads/{name}.py"))
    assert "says nothing" in problem


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        ("images", "from headstart.training import fit", ":1: images imports training, which"),
        ("images", "from headstart import training", "images imports training"),
        ("images", "import headstart.training as t", "images imports training"),
        ("images", "def f():\n    from headstart.training import fit", ":2: images imports"),
        ("images", "if TYPE_CHECKING:\n    from headstart.training import Run", ":2: images"),
        ("images", "from .training import fit", "images imports training"),
        ("images", "from . import training", "images imports training"),
        ("backbones/tiny", "from ..training import fit", "backbones imports training"),
        ("images", "from headstart.backbones.tiny import x", "images imports backbones"),
        ("training", "from headstart.extra_module import x", "training imports extra_module"),
        ("training", "import headstart", "imports the package: name the module"),
        ("training", "from headstart import fit", "imports the package: name the module"),
        ("nowhere", "", "nowhere has no place in tools/module_order.txt"),
    ],
)
def test_order(path: str, text: str, problem: str) -> None:
    others = [source("", f"headstart/{name}.py") for name in ("training", "errors")]
    sources = [source(text, f"headstart/{path}.py"), *others]
    found = list(check_shape.check_order(sources, ORDER))
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("training", "from headstart import errors\nfrom headstart.backbones import tiny"),
        ("training", "from headstart import __version__"),
        ("training", "import numpy\nfrom headstartle import training"),
        ("backbones/__init__", "from headstart.backbones import tiny\nfrom . import tiny"),
        ("__init__", "from headstart.training import fit"),
    ],
)
def test_order_is_kept(path: str, text: str) -> None:
    files = ["training", "errors", "backbones/tiny"]
    sources = [source("", f"headstart/{name}.py") for name in files]
    sources.append(source(text, f"headstart/{path}.py"))
    assert list(check_shape.check_order(sources, ORDER)) == []


def test_cycles() -> None:
    sources = [
        source("from headstart.backbones import b", "headstart/backbones/a.py"),
        source("def f():\n    from headstart.backbones.a import x", "headstart/backbones/b.py"),
    ]
    (problem,) = check_shape.check_cycles(sources)
    assert "headstart.backbones.a -> headstart.backbones.b" in problem
    assert list(check_shape.check_cycles(sources[:1])) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("import keras", True),
        ("import numpy, tensorflow.io", True),
        ("from keras.layers import Dense", True),
        ("def f():\n    import keras", False),
        ("if TYPE_CHECKING:\n    import keras", False),
        ("import numpy", False),
    ],
)
def test_frameworks_at_the_top(text: str, *, wrong: bool) -> None:
    assert bool(list(check_shape.check_top_level(source(text)))) is wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("class A: ...\nclass B(A): ...", True),
        ("class A: ...\nclass B(images.A): ...", True),
        ("class A(Generic[T]): ...\nclass B(A[int]): ...", True),
        ("class A(Unknown): ...\nclass B(A): ...", True),
        ("class A(ABC): ...\nclass B(A): ...", False),
        ("class A(metaclass=ABCMeta): ...\nclass B(A): ...", False),
        ("class A(Protocol[T]): ...\nclass B(A[int]): ...", False),
        ("class BadImage(ValueError): ...\nclass B(BadImage): ...", False),
        ("class BadImage(OurError): ...\nclass OurError(ValueError): ...", False),
        ("class B(dict): ...", False),
    ],
)
def test_inheritance(text: str, *, wrong: bool) -> None:
    assert bool(list(check_shape.check_inheritance([source(text)]))) is wrong


def test_what_an_import_loads(tmp_path: Path) -> None:
    (tmp_path / "headstart.py").write_text("import keras\n", encoding="utf-8")
    (tmp_path / "keras.py").write_text("", encoding="utf-8")
    assert check_shape.loaded_frameworks(root=tmp_path) == ["keras"]
    assert check_shape.loaded_frameworks("import json", tmp_path) == []
    with pytest.raises(subprocess.CalledProcessError):
        check_shape.loaded_frameworks("import no_such_module", tmp_path)


def test_the_whole_and_its_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("headstart", "tools"):
        (tmp_path / name).mkdir()
    (tmp_path / "tools" / "module_order.txt").write_text("# a comment\nerrors\nimages\n")
    (tmp_path / "headstart" / "__init__.py").write_text("")
    (tmp_path / "headstart" / "images.py").write_text("from headstart import errors\n")
    (tmp_path / "headstart" / "errors.py").write_text("")
    assert check_shape.check_all(tmp_path) == []
    (tmp_path / "headstart" / "errors.py").write_text("from headstart import images\n")
    problems = check_shape.check_all(tmp_path)
    assert any("errors imports images" in problem for problem in problems)
    assert any("import cycle" in problem for problem in problems)
    monkeypatch.setattr(check_shape, "check_all", lambda: problems)
    assert check_shape.main() == 1
    assert "errors imports images" in capsys.readouterr().out
