// Ship: files to take away, commands and code to copy, and two versions side by side.

import { get, places, post } from "./api.js";
import { button, choice, field, h, set, show } from "./dom.js";
import { on, state } from "./state.js";
import { texts } from "./texts.js";
import { failed, notice } from "./undo.js";
import { noModel, offerVersions, versionPicker, withModel } from "./versions.js";

const words = texts.ship;
const FORMATS = ["bundle", "onnx", "openvino", "litert", "keras", "saved_model"];
const SMALLER = new Set(["onnx", "openvino", "litert"]); // those that can have 8-bit weights
const CODE = ["python", "curl", "javascript"];

/** Fill the view into its section. */
export function shipView(section) {
  const body = h("div", { class: "ship" });
  section.append(h("div", { class: "column wide" }, versionPicker(), body));
  withModel((model) => {
    if (!model) return show(body, noModel(words.nothing));
    const usage = h("section", { class: "usage", "aria-label": words.usage });
    return show(body, exportsPart(model), fillUsage(usage, model), comparePart(model));
  });
  return {};
}

function exportsPart(model) {
  const rows = FORMATS.map((format) => exportRow(model, format));
  return h(
    "section",
    { "aria-label": words.exports },
    h("h2", {}, words.exports),
    h("p", { class: "soft" }, words.exportsHow),
    h("ul", { class: "exports" }, rows),
  );
}

// An export's jobs outlive the drawing of the list; one listener serves all rows.
const waiting = new Map();
on("job", (job) => waiting.get(job.id)?.(job));

function exportRow(model, format) {
  const { title, what } = words.formats[format];
  const small = SMALLER.has(format) ? h("input", { type: "checkbox" }) : null;
  const told = h("span", { class: "export-state", role: "status" });
  const make = button(words.make, start, { "aria-label": words.makeOf(title) });

  async function start() {
    make.disabled = true;
    show(told, words.making);
    try {
      const body = { to: format, int8: Boolean(small?.checked) };
      const { job } = await post(places.model(model.id, "export"), body);
      waiting.set(job.id, heard);
      const known = state.jobs.get(job.id);
      if (known) heard(known);
    } catch (error) {
      tellFailure(error.message);
    }
  }

  function heard(job) {
    if (job.state === "running") return;
    waiting.delete(job.id);
    make.disabled = false;
    if (job.state !== "done") {
      tellFailure(job.error ?? words.failed);
      return;
    }
    const href = places.file(model.id, job.file);
    show(told, h("a", { class: "as-button main", href, download: job.file },
      words.download(job.file)));
  }

  function tellFailure(text) {
    make.disabled = false;
    show(told, h("span", { class: "error" }, text));
  }

  return h(
    "li",
    {},
    h("div", {}, h("strong", {}, title), h("p", { class: "soft" }, what)),
    h("div", { class: "export-do" },
      small && h("label", { class: "check" }, small, words.int8), make),
    told,
  );
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
