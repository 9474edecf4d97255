"""Results as text for the terminal."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.checkup.text import headline
from headstart.console import displayable
from headstart.evaluation import summary
from headstart.reporting.material import PAGE
from headstart.trust_figures import trust_lines

if TYPE_CHECKING:
    from headstart.backbones import BackboneInfo
    from headstart.cache import Entry
    from headstart.ranking import Ranking
    from headstart.run import Run

_MOST_SKIPPED = 5
_MOST_OTHERS = 3
# Kinds of findings worth a line; the others are in the bundle. Broken files are listed by name.
_TOLD_KINDS = frozenset({"leak", "two_labels", "label", "shortcut", "copy", "outlier"})


def run_summary(run: Run) -> str:
    """What came out of `headstart fit`."""
    images, seconds, classifier = run.images, run.seconds, run.classifier
    height, width = classifier.image_size
    stages = ", ".join(
        f"{name} {value:.1f}"
        for name, value in seconds.items()
        if name != "total" and value >= 0.05
    )
    computed = f"{run.computed} computed" if run.computed else "all kept from before"
    lines = [
        f"{len(classifier.class_names)} classes; {images['train']} images to train, "
        f"{images['validation']} to validate, {images['test']} to test; "
        f"{len(run.skipped)} files skipped.",
        f"{classifier.prefix.identity.backbone}, {run.recipe.depth}, at {height} x {width}, "
        f"{run.recipe.resize}; {classifier.head.kind} head.",
        *_choice_lines(run.choice),
        *_tuning_lines(run.fine_tuning),
        *_skipped(run),
        *(f"Note: {displayable(text)}" for text in run.warnings),
        *_checkup_lines(run),
        "",
        displayable(summary(run.evaluation)),
        "",
        *(displayable(line) for line in trust_lines(run.trust)),
        *([] if run.cross_validation is None else [run.cross_validation.summary()]),
        "",
        f"{seconds['total']:.1f} seconds ({stages}); features: {computed}.",
    ]
    return "\n".join(lines)


def _checkup_lines(run: Run) -> Iterator[str]:
    """What kinds of things were found in the images, in one line."""
    told = [
        headline(kind, run.checkup.of(kind)) for kind in run.checkup.counts if kind in _TOLD_KINDS
    ]
    if told:
        yield f"Check-up. {'. '.join(told)}. headstart check shows them."


def _choice_lines(found: Mapping[str, Any] | None) -> Iterator[str]:
    """Which network was chosen, why, what the next best was, and what the choice cost."""
    if found is None:
        return
    best, seconds = found["best"], found["seconds"]
    cost = seconds.get("rank", 0.0) + seconds.get("measure", 0.0)
    yield f"Chosen in {cost:.0f} seconds: {displayable(found['reason'])}"
    if resize := found.get("resize"):
        tried = ", ".join(f"{one['resize']} {one['accuracy']:.3f}" for one in resize["tried"])
        yield f"Resize: {resize['best']}; {resize['reason']}{f' ({tried})' if tried else ''}."
    others = [one for one in found["candidates"] if one != best and one["accuracy"] is not None]
    told = [
        f"{displayable(one['backbone'])} at {one['image_size']} {one['accuracy']:.3f} "
        f"({one['images']} images, {one['status']})"
        for one in others[:_MOST_OTHERS]
    ]
    if told:
        yield f"Next: {'; '.join(told)}."


def _tuning_lines(found: Mapping[str, Any] | None) -> list[str]:
    """What fine-tuning did and what it tried."""
    lines = list(training_lines(found))
    if found is not None and found.get("tried"):
        lines += ["", table(found["tried"])]
    return lines


def training_lines(found: Mapping[str, Any] | None) -> Iterator[str]:
    """What fine-tuning did, as `Run.fine_tuning` says; nothing where there was none."""
    if found is None:
        return
    if "epochs" not in found:
        yield f"All layers stay frozen: {_ending(found.get('stopped'))}."
        return
    line = (
        f"Fine-tuned {found['epochs']} epochs (best: {found['best_epoch']}, ended by "
        f"{_ending(found['stopped'])}), learning rate {found['learning_rate']:.2g}"
    )
    if found.get("share") == 0:
        yield f"{line}; not better on validation than frozen, which was kept."
        return
    yield f"{line}; the weights lie {found['share']:.0%} of the way from start to best epoch."
    if found.get("search_ended"):
        yield f"No deeper: {_ending(found['search_ended'])}."
    moved, frozen = len(found["moved"]), len(found["frozen"])
    yield f"Behind the cut {moved} layers moved, and {frozen} stayed bit for bit the same."
    if found.get("before") and found.get("after"):
        before, after = found["before"]["accuracy"], found["after"]["accuracy"]
        yield f"Validation accuracy: {before:.3f} frozen, {after:.3f} fine-tuned."


def _ending(stopped: object) -> str:
    """Why fine-tuning ended, and after Ctrl-C how it goes on."""
    if stopped == "interrupted":
        return "Ctrl-C; the same command goes on"
    return displayable(str(stopped))


def _skipped(run: Run) -> list[str]:
    shown = [
        f"  skipped {displayable(one.path)}: {displayable(one.reason)}"
        for one in run.skipped[:_MOST_SKIPPED]
    ]
    rest = Counter(one.reason.split(":")[0] for one in run.skipped[_MOST_SKIPPED:])
    if rest:
        shown.append(
            "  and "
            + ", ".join(f"{count} x {displayable(reason)}" for reason, count in rest.most_common())
        )
    return shown


def next_commands(run: Run, example: Path | None = None) -> str:
    """Where the bundle is and what to type next."""
    if run.bundle is None:
        return ""
    bundle = shlex.quote(displayable(str(run.bundle)))
    if example and example.is_relative_to(Path.cwd()):
        example = example.relative_to(Path.cwd())  # shorter to read
    image = shlex.quote(displayable(str(example))) if example else "IMAGE_OR_FOLDER"
    place = json.dumps(str(run.bundle), ensure_ascii=False)
    code = f"import headstart; print(headstart.load({place}).class_names)"
    return "\n".join(
        [
            f"The classifier is in {bundle}{_report_line(run)}. Next:",
            f"  headstart predict {bundle} {image}",
            f"  headstart evaluate {bundle} NEW_LABELLED_IMAGES",
            f"  python -c {shlex.quote(displayable(code))}",
        ]
    )


def _report_line(run: Run) -> str:
    assert run.bundle is not None
    there = (run.bundle / PAGE).is_file()
    return (
        f", and its report in {shlex.quote(displayable(str(run.bundle / PAGE)))}" if there else ""
    )


def backbone_rows(found: Sequence[tuple[BackboneInfo, bool]]) -> list[dict[str, Any]]:
    """The catalogue as rows for a table or for JSON."""
    return [
        {
            "name": info.name,
            "parameters": info.parameters,
            "image_size": info.image_size,
            "features": info.features,
            "top1": info.top1,
            "licence": info.licence,
            "weights_here": here,
        }
        for info, here in found
    ]


def cache_rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The cache as rows for a table or for JSON."""
    return [
        {"kind": one.kind, "name": one.name, "bytes": one.size, "images": one.records}
        for one in entries
    ]


def cache_summary(rows: Sequence[Mapping[str, Any]], *, removed: bool) -> str:
    """What is kept, or what was removed."""
    total = sum(row["bytes"] for row in rows)
    if not rows:
        return "Nothing is kept."
    if removed:
        return f"{table(rows)}\nRemoved {total / 1e6:.1f} MB."
    return f"{table(rows)}\n{total / 1e6:.1f} MB in all."


def ranking_text(ranking: Ranking) -> str:
    """The table of candidates and the recommended one."""
    rows = [
        {
            "backbone": one.backbone,
            "size": one.image_size,
            "accuracy": one.accuracy,
            "95% interval": "-" if one.low is None else f"{one.low:.3f} to {one.high:.3f}",
            "images": one.images,
            "H-score": one.h_score,
            "LogME": one.log_me,
            "images/s": None if one.images_per_second is None else round(one.images_per_second),
            "model MB": _megabytes(one.model_bytes),
            "memory MB": _megabytes(one.memory_bytes),
            "status": one.status,
        }
        for one in ranking.rows
    ]
    best, seconds = ranking.best, ranking.seconds
    backbone = shlex.quote(displayable(best.backbone))
    return "\n".join(
        [
            table(rows),
            "",
            *(f"Note: {displayable(text)}" for text in ranking.warnings),
            f"Recommended: {displayable(ranking.reason)}",
            f"  --backbone {backbone} --image-size {best.image_size}",
            f"{ranking.images} images to train on; accuracy of a linear head on frozen features, "
            f"cross-validated; {seconds['total']:.1f} seconds.",
        ]
    )


def _megabytes(size: int | None) -> int | None:
    return None if size is None else round(size / 1e6)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned columns, with a header; numbers to the right."""
    if not rows:
        return ""
    names = list(rows[0])
    cells = [names] + [[_cell(row[name]) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    right = [
        isinstance(rows[0][name], int | float) and not isinstance(rows[0][name], bool)
        for name in names
    ]
    lines = []
    for line in cells:
        parts = [
            cell.rjust(width) if side else cell.ljust(width)
            for cell, width, side in zip(line, widths, right, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else displayable(str(value))
