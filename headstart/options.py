"""Options of commands as dataclasses: defined once, one option for each field."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from headstart.errors import HeadstartError

Command = Callable[..., None]


def with_options(kind: Any) -> Callable[[Command], Command]:
    """Let a command take a dataclass as its last parameter `options`, from one option a field."""

    def wrap(command: Command) -> Command:
        hints = get_type_hints(kind, include_extras=True)
        own = [
            value
            for name, value in inspect.signature(command, eval_str=True).parameters.items()
            if name != "options"
        ]
        shared = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
                annotation=hints[field.name],
            )
            for field in fields(kind)
        ]

        @functools.wraps(command)
        def taking(**values: Any) -> None:
            options = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            command(**values, options=options)

        parameters = [*own, *shared]
        taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        taking.__annotations__ = {one.name: one.annotation for one in parameters}
        return taking

    return wrap


def split_list(text: str) -> list[str]:
    """The parts of `a,b, c`; none is empty.

    Raises:
        HeadstartError: There is none.
    """
    parts = [one.strip() for one in text.split(",") if one.strip()]
    if not parts:
        raise HeadstartError(
            f"There is nothing in the list '{text}'. Expected values with commas between. Give at "
            "least one."
        )
    return parts


def whole_number(text: str, option: str, words: Sequence[str] = ()) -> int:
    """The number that a text is.

    Args:
        text: What was given.
        option: The option that it was given for.
        words: What could have been given as well.

    Raises:
        HeadstartError: It is something else.
    """
    if not (text.isascii() and text.isdigit()):
        others = "".join(f" or '{word}'" for word in words)
        raise HeadstartError(
            f"{option} cannot be '{text}'. Expected a whole number, such as 224{others}. Write one "
            "like that."
        )
    return int(text)
