// The files to take away: of each format what is ready, what is being made, and what went wrong.

import { get, places, post } from "./api.js";
import { cancelButton } from "./cancel.js";
import { button, h, setText, show } from "./dom.js";
import { heard, on, state } from "./state.js";
import { texts } from "./texts.js";
import { failed } from "./undo.js";

const words = texts.ship;
const FORMATS = ["bundle", "onnx", "openvino", "litert", "keras", "saved_model", "hub"];
const SMALLER = new Set(["onnx", "openvino", "litert"]); // those that can have 8-bit weights
const BROKEN = new Set(["failed", "interrupted"]);

// Each version has a part of its own, of which only the newest is seen.
let take = () => {};
on("job", (job) => job.kind === "export" && take(job));

/** The formats of a version, once it is known what is ready: nothing moves later. */
export async function exportsPart(model) {
  const rows = FORMATS.map((format) => exportRow(model, format));
  const other = otherVersion(model);
  let files = [];
  const draw = () => {
    const jobs = [...state.jobs.values()].filter((one) => one.kind === "export");
    const running = jobs.find((one) => one.state === "running");
    other.draw(running);
    for (const row of rows) row.draw(files, jobs, running);
  };
  const load = async () => {
    try {
      const told = await get(places.model(model.id, "exported"));
      for (const job of told.jobs) if (!state.jobs.has(job.id)) state.jobs.set(job.id, job);
      ({ files } = told);
    } catch (error) {
      failed(error);
    }
    draw();
  };
  take = (job) => (job.state === "running" ? draw() : load());
  await load();
  return h(
    "section",
    { "aria-label": words.exports },
    h("h2", {}, words.exports),
    h("p", { class: "soft" }, words.exportsHow),
    other.element,
    h("ul", { class: "exports" }, rows.map((row) => row.element)),
  );
}

/** What is told of an export of another version, which has to end first. */
function otherVersion(model) {
  const said = h("span", { role: "status" });
  const cancel = cancelButton();
  const element = h("p", { class: "export-other", hidden: true }, said, " ", cancel.element);
  const draw = (running) => {
    const other = running && running.export.model !== model.id ? running : null;
    element.hidden = !other;
    cancel.draw(other);
    if (other) setText(said, words.other(words.formats[other.export.to].title));
  };
  return { element, draw };
}

function exportRow(model, format) {
  const { title, what } = words.formats[format];
  const small = SMALLER.has(format) ? h("input", { type: "checkbox" }) : null;
  const told = h("span", { class: "export-state", role: "status" });
  const stage = h("span", { class: "export-state soft" });
  const ready = h("span", { class: "export-state" });
  const cancel = cancelButton(title);
  const make = button(words.make, start, { "aria-label": words.makeOf(title) });

  async function start() {
    make.disabled = true;
    try {
      const body = { to: format, int8: Boolean(small?.checked) };
      heard((await post(places.model(model.id, "export"), body)).job);
    } catch (error) {
      make.disabled = false;
      show(told, h("span", { class: "error" }, error.message));
    }
  }

  let key = "";
  function draw(files, jobs, running) {
    const isOurs = (one) => one?.export.model === model.id && one.export.to === format;
    const last = jobs.filter(isOurs).sort((one, next) => one.made - next.made).at(-1);
    const now = isOurs(running) ? running : null;
    make.disabled = Boolean(running);
    cancel.draw(now);
    setText(stage, now && !now.cancelling ? texts.stage(now) : "");
    const links = files.filter((one) => one.to === format);
    const state = `${last?.id} ${last?.state} ${now?.cancelling} ${links.map((one) => one.file)}`;
    if (state === key) return;
    key = state;
    const error = BROKEN.has(last?.state) ? (last.error ?? words.failed) : null;
    show(told, now ? (now.cancelling ? words.cancelling : words.making) : null,
      error && h("span", { class: "error" }, error));
    show(ready, now ? null : links.map(({ file }) => link(model, file)));
  }

  const element = h(
    "li",
    {},
    h("div", {}, h("strong", {}, title), h("p", { class: "soft" }, what)),
    h("div", { class: "export-do" },
      small && h("label", { class: "check" }, small, words.int8), make, cancel.element),
    told,
    stage,
    ready,
  );
  return { element, draw };
}

function link(model, file) {
  const href = places.file(model.id, file);
  return h("a", { class: "as-button main", href, download: file }, words.download(file));
}
