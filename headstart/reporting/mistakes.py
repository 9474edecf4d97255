"""The worst images: wrong answers that were given with the highest probability."""

from __future__ import annotations

from headstart.reporting.blocks import Section, image, note
from headstart.reporting.html import Child, Markup, cut, is_image, join, name, tag
from headstart.reporting.material import Material, Values
from headstart.reporting.wording import count, sure

MOST = 12


def mistakes(material: Material) -> Section | None:
    """The wrong test images, surest first, with a map where there is one."""
    found = material.extra.get("worst")
    found = material.trust.get("worst") if found is None else found
    if found is None:
        return None
    test = material.test
    wrong = round(test["images"] * (1 - test["accuracy"]))
    if not found:
        body: Child = tag("p", "No test image was named wrong.")
    else:
        shown = list(found)[:MOST]
        maps = any(is_image(one.get("map")) for one in shown)
        body = [
            tag("p", _told(wrong, len(shown), maps)),
            tag("ul.cards.double" if maps else "ul.cards", [_card(one) for one in shown]),
            note(
                "A wrong answer that is this sure is often a wrong label, or something in the "
                "image that the classes do not tell. Look at these first."
            ),
        ]
    return Section("mistakes", "Where it is wrong", "Mistakes", join([body]))


def _told(wrong: int, shown: int, maps: bool) -> str:
    text = f"{count(wrong, 'test image was', 'test images were')} named wrong. "
    text += "This is it." if shown == wrong == 1 else f"Here are the {shown} surest."
    if shown == wrong > 1:
        text = text.replace(f"Here are the {shown} surest", "Here they are, the surest first")
    if maps:
        text += " Beside each, in warm colours, what spoke for the answer."
    return text


def _card(one: Values) -> Markup:
    views = [image(_shown(one.get("image")), f"Test image of {cut(one['true'])}")]
    if is_image(one.get("map")):
        views.append(image(one["map"], f"Map of what spoke for {cut(one['answer'])}"))
    told: list[Child] = [f"{sure(one['probability'])} sure"]
    if one.get("given_to_true") is not None:
        told += [f"; {sure(one['given_to_true'])} for ", name(one["true"])]
    return tag(
        "li",
        tag("div.views", views),
        tag("p", tag("span.soft", "is "), tag("strong", name(one["true"]))),
        tag("p", tag("span.soft", "answered "), tag("strong.wrong", name(one["answer"]))),
        tag("p.soft", told),
        tag("p.file", name(one["file"])),
    )


def _shown(value: object) -> str | None:
    return str(value) if is_image(value) else None
