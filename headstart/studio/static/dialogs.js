// Small questions, each a <dialog>: the browser keeps the focus inside and gives it back.

import { button, field, h, show } from "./dom.js";
import { state } from "./state.js";
import { texts } from "./texts.js";

/** Show a dialog; resolves with what `done(value)` was called with, null when it is closed. */
export function dialog(title, build, attributes = {}) {
  return new Promise((resolve) => {
    let value = null;
    const heading = h("h2", { id: "dialog-title" }, title);
    const box = h("dialog", { "aria-labelledby": "dialog-title", ...attributes });
    const done = (given) => {
      value = given;
      box.close();
    };
    const form = h("form", { method: "dialog" });
    show(form, heading, build(done));
    box.append(form);
    box.addEventListener("close", () => {
      box.remove();
      resolve(value);
    });
    document.body.append(box);
    box.showModal();
  });
}

function buttons(go, accept) {
  return h(
    "div",
    { class: "dialog-buttons" },
    button(texts.cancel, () => accept(null)),
    h("button", { type: "submit", class: "main" }, go),
  );
}

/** Ask for a name; null where there is none. */
export async function askForName(title, go, { value = "", known = [] } = {}) {
  const input = h("input", { value, required: true, maxlength: 100, autocomplete: "off" });
  if (known.length) input.setAttribute("list", "known-classes");
  const given = await dialog(title, (done) => {
    queueMicrotask(() => {
      const form = input.closest("form");
      form?.addEventListener("submit", (event) => {
        event.preventDefault();
        if (input.value.trim()) done(input.value.trim());
      });
      input.select();
    });
    const options = known.map((each) => h("option", { value: each }));
    return [
      field(texts.collect.className, input),
      known.length ? h("datalist", { id: "known-classes" }, options) : null,
      buttons(go, done),
    ];
  });
  return given;
}

/** Which class do these files belong to? */
export function askForClass() {
  const known = (state.project?.classes ?? []).map((one) => one.name);
  return askForName(texts.collect.whichClass, texts.collect.add, { known });
}
