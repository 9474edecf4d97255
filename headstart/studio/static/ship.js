// Ship: files to take away, commands and code to copy, and two versions side by side.

import { get, places } from "./api.js";
import { button, choice, field, h, set, show } from "./dom.js";
import { exportsPart } from "./exports.js";
import { on, state } from "./state.js";
import { texts } from "./texts.js";
import { failed, notice } from "./undo.js";
import { noModel, offerVersions, versionPicker, withModel } from "./versions.js";

const words = texts.ship;
const CODE = ["python", "curl", "javascript"];

/** Fill the view into its section. */
export function shipView(section) {
  const body = h("div", { class: "ship" });
  section.append(h("div", { class: "column wide" }, versionPicker(), body));
  let wanted = null;
  withModel(async (model) => {
    wanted = model;
    if (!model) return show(body, noModel(words.nothing));
    const files = await exportsPart(model);
    if (wanted !== model) return undefined;
    const usage = h("section", { class: "usage", "aria-label": words.usage });
    return show(body, files, fillUsage(usage, model), comparePart(model));
  });
  return {};
}

function copyBlock(title, code) {
  const press = button(words.copy, async () => {
    try {
      await navigator.clipboard.writeText(code);
      notice(words.copied);
    } catch (error) {
      failed(error);
    }
  }, { "aria-label": words.copyOf(title) });
  const block = h("pre", { tabindex: "0", "aria-label": title }, h("code", {}, code));
  return h("div", { class: "copy" }, h("div", { class: "copy-top" }, h("h3", {}, title), press), block);
}

function fillUsage(element, model) {
  get(places.model(model.id, "usage"))
    .then((usage) => {
      const code = h("div", {});
      const tabs = CODE.filter((one) => usage[one]).map((one) =>
        button(words.languages[one], () => open(one), { "data-code": one }),
      );
      const open = (chosen) => {
        for (const tab of tabs) set(tab, "aria-pressed", tab.dataset.code === chosen);
        show(code, copyBlock(words.client, usage[chosen]));
      };
      show(
        element,
        h("h2", {}, words.usage),
        h("p", { class: "soft" }, words.usageHow),
        copyBlock(words.serve, usage.serve),
        h("div", { class: "tabs", role: "group", "aria-label": words.language }, tabs),
        code,
      );
      if (tabs.length) open(tabs[0].dataset.code);
    })
    .catch(failed);
  return element;
}

// Each version has a part of its own, of which only the newest is seen.
let drawOthers = () => {};
on("project", () => drawOthers());

function comparePart(model) {
  const others = () => (state.project?.models ?? []).filter((one) => one.id !== model.id);
  const result = h("div", { role: "status" });
  const select = choice([], () => show(result));
  const go = button(words.compare, async () => {
    go.disabled = true;
    show(result, h("p", { class: "soft" }, words.comparing));
    try {
      const told = await get(places.compare(model.id, select.value));
      show(result, compared(told, model, others().find((one) => one.id === select.value)));
    } catch (error) {
      show(result, h("p", { class: "error" }, error.message));
    } finally {
      go.disabled = false;
    }
  });
  const form = h("div", { class: "compare-form" }, field(words.with, select), go);
  const alone = h("p", { class: "soft" }, words.alone);
  drawOthers = () => {
    const found = others();
    form.hidden = found.length === 0;
    alone.hidden = found.length > 0;
    offerVersions(select, found);
  };
  drawOthers();
  return h("section", { "aria-label": words.compareTitle }, h("h2", {}, words.compareTitle), alone,
    form, result);
}

function compared(told, model, other) {
  const rows = [[told.a, model], [told.b, other]].map(([side, one]) =>
    h("tr", {}, h("th", { scope: "row" }, one ? texts.versions.name(one) : ""),
      h("td", { class: "number" }, texts.percent(side.accuracy)),
      h("td", { class: "number" }, texts.between(side.low, side.high))),
  );
  const head = words.compareColumns.map((one) => h("th", { scope: "col" }, one));
  return [
    h("p", { class: "lead" }, told.words),
    h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
    h("p", { class: "soft" }, words.onImages(told.images)),
  ];
}
