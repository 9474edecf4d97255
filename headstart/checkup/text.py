"""The check-up as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headstart.checkup.finding import ADVICE, KINDS, TITLES, Finding
from headstart.scan import printable

_PLURAL = {"class": "classes"}
_SHOWN, _FILES = 5, 3  # findings of a kind, files of a finding


def paragraphs(findings: Sequence[Finding]) -> Iterator[str]:
    """Lines with a paragraph a kind: how many, the surest with their evidence, and what to do."""
    if not findings:
        yield "Nothing was found that is worth a look."
    for kind in KINDS:
        own = [one for one in findings if one.kind == kind.name]
        if own:
            yield ""
            yield f"{headline(kind.name, own)}. {ADVICE[kind.name]}"
            yield from _examples(own)


def headline(kind: str, findings: Sequence[Finding]) -> str:
    """What kind, and how many images, or findings where these are not about images."""
    files = {file for one in findings for file in one.files}
    count = len(files) or len(findings)
    noun = "image" if files else "class" if kind == "imbalance" else "finding"
    return f"{TITLES[kind]}: {count} {noun if count == 1 else _PLURAL.get(noun, f'{noun}s')}"


def _examples(findings: Sequence[Finding]) -> Iterator[str]:
    for one in findings[:_SHOWN]:
        names = [printable(name) for name in one.files[:_FILES]]
        rest = f" and {len(one.files) - _FILES} more" if len(one.files) > _FILES else ""
        where = f"{' = '.join(names)}{rest}: " if names else ""
        yield f"  {where}{printable(one.evidence)}"
    if len(findings) > _SHOWN:
        yield f"  ... and {len(findings) - _SHOWN} more; --json lists all"
