// One image, large: what is known of it, and the way to the one before and after.

import { places } from "./api.js";
import { dialog } from "./dialogs.js";
import { button, h, name, show } from "./dom.js";
import { texts } from "./texts.js";

/** Show an image of a list and let the user go through the list. */
export function preview(list, image, describe) {
  let index = Math.max(0, list.place(image.id));
  const figure = h("img", { alt: "", class: "preview-image" });
  const words = h("p", { class: "preview-words" });
  const found = h("p", { class: "preview-findings" });

  function draw(one) {
    figure.removeAttribute("src");
    figure.src = places.full(one.id);
    figure.alt = describe(one);
    show(words, name(one.name), " · ", name(one.class));
    show(found, one.findings.map((kind) => h("span", { class: "mark" }, texts.kind(kind))));
  }

  async function step(by) {
    const to = index + by;
    if (to < 0 || to >= list.total) return;
    const [next] = await list.range(to, to);
    if (!next) return;
    index = to;
    draw(next);
  }

  draw(image);
  return dialog(
    texts.collect.preview,
    (done) => [
      h("div", { class: "preview-frame" }, figure),
      words,
      found,
      h(
        "div",
        { class: "dialog-buttons" },
        button(texts.before, () => step(-1)),
        button(texts.after, () => step(1)),
        button(texts.close, () => done(null), { class: "main" }),
      ),
    ],
    {
      class: "preview",
      onkeydown: (event) => {
        if (event.key === "ArrowLeft") step(-1);
        if (event.key === "ArrowRight") step(1);
      },
    },
  );
}
