"""What the check-up found in the images, kind by kind, and which files were not used."""

from __future__ import annotations

from headstart.checkup.finding import TITLES
from headstart.reporting.blocks import Column, Section, image, note, table, unfold
from headstart.reporting.html import Child, Markup, cut, is_image, join, name, tag
from headstart.reporting.material import Material, Values, labels_judged, part
from headstart.reporting.wording import count

MOST_OF_KIND, MOST_FILES = 6, 3
_MOST_SKIPPED, _LONGEST = 20, 300


def findings(material: Material) -> Section | None:
    """The check-up, files that were not used, and remarks on the data."""
    found, extra = material.checkup, material.extra
    skipped = extra.get("skipped") or []
    if not found and not skipped and not extra.get("warnings"):
        return None
    body: list[Child] = []
    if found:
        body += _checked(material)
    if extra.get("warnings"):
        body.append(tag("ul.remarks", [tag("li", str(one)) for one in extra["warnings"]]))
    if skipped:
        total = material.data.get("skipped") or len(skipped)
        body.append(unfold(f"{count(total, 'file')} not used", _skipped(skipped, total)))
    return Section("checkup", "What is in the images", "Check-up", join(body))


def _checked(material: Material) -> list[Child]:
    found = material.checkup
    counts = {kind: number for kind, number in part(found, "counts").items() if number}
    looked = f"{count(found['images'], 'image')} in {count(found['classes'], 'class', 'classes')}"
    body: list[Child] = []
    if not labels_judged(material):
        told = "There was no time to judge labels and to look at every image. headstart check does."
        body.append(tag("p", tag("strong", told)))
    if not counts:
        return [tag("p.verdict", f"Nothing conspicuous was found in {looked}."), *body]
    order = [*(kind for kind in TITLES if kind in counts), *sorted(set(counts) - set(TITLES))]
    told = f"{looked} were looked at. Nothing was changed: each finding says what to do."
    return [tag("p", told), *body, *(_kind(material, kind, counts[kind]) for kind in order)]


def _kind(material: Material, kind: str, number: int) -> Markup:
    every = [one for one in material.checkup["findings"] if one["kind"] == kind]
    shown = every[:MOST_OF_KIND]
    left = max(number, len(every)) - len(shown)
    files = part(material.extra, "files")
    advice = {str(one.get("advice") or "") for one in shown}
    shared = advice.pop() if len(advice) == 1 else ""  # told once, not beside each
    return tag(
        "div.kind",
        tag("h3", TITLES.get(kind, kind), " ", tag("span.count", f"{number:,}")),
        tag("p.soft", cut(shared, _LONGEST)) if shared else None,
        tag("ul.found", [_finding(one, files, shared) for one in shown]),
        note(f"{left:,} more: headstart check lists all.") if left > 0 else None,
    )


def _finding(one: Values, files: Values, shared: str) -> Markup:
    names = list(one.get("files") or ())
    views = [image(files[file], "") for file in names[:MOST_FILES] if is_image(files.get(file))]
    more = len(names) - MOST_FILES
    what: list[Child] = []
    for number, file in enumerate(names[:MOST_FILES]):
        what += [", " if number else None, name(file)]
    if not names:
        for number, label in enumerate((one.get("classes") or ())[:MOST_FILES]):
            what += [", " if number else None, name(label)]
    return tag(
        "li",
        tag("div.views", views) if views else None,
        tag(
            "div",
            tag("p.file", what, f" and {more:,} more" if more > 0 else None) if what else None,
            tag("p", cut(str(one.get("evidence") or ""), _LONGEST)),
            None if shared else tag("p.soft", cut(str(one.get("advice") or ""), _LONGEST)),
        ),
    )


def _skipped(skipped: list[Values], total: int) -> Markup:
    shown = skipped[:_MOST_SKIPPED]
    rows = [(name(one["path"]), str(one["reason"])) for one in shown]
    left = total - len(shown)
    return join(
        [
            table("Files not used", [Column("file"), Column("why")], rows),
            note(f"{left:,} more are left out.") if left > 0 else None,
        ]
    )
