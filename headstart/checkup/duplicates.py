"""Findings from copies: the same file twice, nearly the same image, two labels, two sides."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from headstart.checkup.finding import Finding
from headstart.checkup.neighbours import Neighbours
from headstart.metrics import Rows

# Two images are nearly the same where they are this much nearer than the sixth nearest of one of
# them. Of 150 images of trashnet, and as many of ants-bees, all mirrored copies lie below it, and
# 98% of those cropped to 90%; 83% and 97% of those turned by 5 degrees.
NEARER = 0.4
_CHANCE = 1.0  # such pairs expected by chance in a data set


def copy_findings(
    names: Sequence[str],
    classes: Sequence[str],
    digests: Sequence[bytes],
    groups: Rows,
    leaks: Sequence[Sequence[int]],
) -> Iterator[Finding]:
    """One finding for each group of copies, two where it has two labels and lies on two sides.

    Args:
        names: n files.
        classes: n labels.
        digests: n digests of the files' bytes.
        groups: (n,) the same number for copies.
        leaks: Rows of the groups that lie on more than one given side of the split.
    """
    leaking = {int(groups[rows[0]]) for rows in leaks}
    for rows in leaks:
        text = f"{_how(rows, digests)}; on both sides of the split that was given"
        yield _finding("leak", rows, names, classes, text)
    for rows in _members(groups):
        labels = sorted({classes[row] for row in rows})
        if len(labels) > 1:
            text = f"{_how(rows, digests)}, labelled {' and '.join(labels)}"
            yield _finding("two_labels", rows, names, classes, text)
        elif int(groups[rows[0]]) not in leaking:
            same = len({digests[row] for row in rows}) == 1
            kind = "copy" if same else "near_copy"
            yield _finding(kind, rows, names, classes, _how(rows, digests))


def alike_findings(
    names: Sequence[str],
    classes: Sequence[str],
    parts: Sequence[int],
    groups: Rows,
    neighbours: Neighbours,
) -> Iterator[Finding]:
    """Pairs of images that are no copies by their thumbnails and have nearly equal features.

    Args:
        names: n files.
        classes: n labels.
        parts: On which given side each lies, -1 for none.
        groups: (n,) the same number for copies.
        neighbours: Of the n images.
    """
    if not neighbours.complete:
        return
    distance = 1 - neighbours.cosines
    near = distance < _nearer(neighbours) * distance[:, -1:]
    seen: set[tuple[int, int]] = set()
    for row, place in zip(*np.nonzero(near), strict=True):
        one, two = sorted((int(row), int(neighbours.rows[row, place])))
        pair = int(groups[one]), int(groups[two])
        if pair in seen:
            continue
        seen.add(pair)
        share = float(distance[row, place] / distance[row, -1])
        yield from _alike(
            (names[one], names[two]),
            (classes[one], classes[two]),
            -1 < parts[one] != parts[two] > -1,
            share,
        )


def _nearer(neighbours: Neighbours) -> float:
    """Below which part of the distance to the last neighbour two images are nearly the same.

    At most `NEARER`, and so little that among images of which none are copies one such pair is
    expected. That depends on the intrinsic dimension m, which the median tells (after Facco et al.
    2017, doi:10.1038/s41598-017-11873-y): where points lie evenly, the share of the nearest of k
    below r times the last is 1 - (1 - r^m)^(k - 1).
    """
    distance = 1 - neighbours.cosines.astype(np.float64)
    known = (neighbours.rows[:, -1] >= 0) & (distance[:, -1] > 0)
    others = distance.shape[1] - 1
    if not known.any() or not others:
        return 0.0
    usual = float(np.median(distance[known, 0] / distance[known, -1]))
    if not 0 < usual < 1:
        return 0.0
    dimension = math.log(1 - 0.5 ** (1 / others)) / math.log(usual)
    return float(min(NEARER, (_CHANCE / (others * len(distance))) ** (1 / dimension)))


def _alike(
    files: tuple[str, str], labels: tuple[str, str], divided: bool, share: float
) -> Iterator[Finding]:
    text = (
        f"their features lie {share:.2f} times as far apart as is usual here: mirrored, cropped, "
        "or the same thing again"
    )
    if divided:
        yield Finding("leak", files, labels, f"{text}; on both sides of the split", 1 - share)
    if labels[0] != labels[1]:
        told = f"{text}; labelled {labels[0]} and {labels[1]}"
        yield Finding("two_labels", files, labels, told, 1 - share)
    elif not divided:
        yield Finding("near_copy", files, labels, text, 1 - share)


def _members(groups: Rows) -> Iterator[list[int]]:
    """The rows of each group of two or more."""
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[int(group)].append(row)
    yield from (rows for rows in members.values() if len(rows) > 1)


def _how(rows: Sequence[int], digests: Sequence[bytes]) -> str:
    distinct = len({digests[row] for row in rows})
    if distinct == 1:
        return "the very same file" if len(rows) == 2 else f"{len(rows)} times the very same file"
    return f"{len(rows)} images that show nearly the same"


def _finding(
    kind: str, rows: Sequence[int], names: Sequence[str], classes: Sequence[str], evidence: str
) -> Finding:
    files, labels = tuple(names[row] for row in rows), tuple(classes[row] for row in rows)
    return Finding(kind, files, labels, evidence, float(len(rows)))
