// Which trained version a view looks at: the same choice in every view.

import { choice, field, h, set, show } from "./dom.js";
import { chooseModel, currentModel, on, state } from "./state.js";
import { texts } from "./texts.js";

/** Put versions into a select, where they are others than those in it. */
export function offerVersions(select, models) {
  const key = models.map((one) => one.id).join();
  if (select.dataset.key === key) return;
  set(select, "data-key", key);
  show(select, models.map((one) => h("option", { value: one.id }, texts.versions.name(one))));
}

/** A select of the versions, newest first. */
export function versionPicker() {
  const select = choice([], () => chooseModel(select.value));
  const element = field(texts.versions.label, select);
  element.classList.add("version");
  const draw = () => {
    const models = state.project?.models ?? [];
    offerVersions(select, models);
    select.value = currentModel()?.id ?? "";
    element.hidden = models.length < 2;
  };
  on("project", draw);
  on("model", draw);
  return element;
}

/** Call `draw(model)` at first and whenever another version is to be shown; null is none. */
export function withModel(draw) {
  let shown;
  const look = () => {
    const model = currentModel();
    if (shown !== undefined && shown?.id === model?.id) return;
    shown = model;
    draw(model);
  };
  on("project", look);
  on("model", look);
}

/** What stands where there is no version yet. */
export function noModel(text) {
  return h(
    "div",
    { class: "empty" },
    h("p", {}, text),
    h("p", {}, h("a", { class: "as-button main", href: "#train" }, texts.train.go)),
  );
}
