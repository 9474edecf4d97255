// What the check-up found, beside the images that it is about, and fixes with one click.

import { get, places, post } from "./api.js";
import { cancelButton } from "./cancel.js";
import { button, h, setText, show } from "./dom.js";
import { heard, on, state } from "./state.js";
import { texts } from "./texts.js";
import { failed } from "./undo.js";

const AT_ONCE = 12;
const MOST_IMAGES = 4;
const words = texts.checkup;

/**
 * `fixed(told, text)` is called after a fix, `filter(kind)` to show the images of one kind,
 * `changed()` when there are other findings of the same images.
 */
export function checkupPanel({ fixed, filter, changed }) {
  const element = h("section", { class: "checkup panel", hidden: true, "aria-label": words.title });
  const press = button(words.start, start);
  const about = h("p", { class: "soft" });
  const cancel = cancelButton();
  const starter = h("div", { class: "checkup-start", hidden: true }, press, " ", cancel.element, about);
  const chip = button("", () => choose(""), { class: "filter", hidden: true });
  let findings = [];
  let open = "";
  let shown = AT_ONCE;
  let seen = null;
  let last = null; // the version of the project
  let known;
  const ready = new Promise((resolve) => (known = resolve)); // the panel has its height

  function filtered(to) {
    chip.hidden = !to;
    if (to) show(chip, texts.kind(to), " ×");
    chip.setAttribute("aria-label", to ? words.showAll(texts.kind(to)) : "");
  }

  function choose(to) {
    filtered(to);
    filter(to);
  }

  async function load() {
    try {
      ({ findings } = await get("/api/checkup"));
      draw();
    } catch (error) {
      failed(error);
    }
  }

  async function start() {
    press.disabled = true;
    try {
      heard((await post("/api/checkup")).job);
    } catch (error) {
      failed(error);
    } finally {
      drawStarter();
    }
  }

  async function fix(finding, chosen) {
    try {
      const told = await post("/api/checkup/fix", {
        finding: finding.id,
        action: chosen.action,
        ids: chosen.ids,
      });
      findings = findings.filter((one) => one !== finding);
      draw();
      fixed(told, words.fixed(chosen.title));
    } catch (error) {
      failed(error);
    }
  }

  function card(finding) {
    const images = finding.images.slice(0, MOST_IMAGES).map((id) =>
      h("img", { src: places.thumbnail(id), alt: "", loading: "lazy", width: 64, height: 64 }),
    );
    const fixes = finding.fixes.map((one) =>
      button(one.title, () => fix(finding, one), { class: one.action === "delete" ? "danger" : "" }),
    );
    const body = h("div", {}, h("p", {}, finding.evidence), h("div", { class: "fixes" }, fixes));
    return h("li", {}, images.length ? h("div", { class: "views" }, images) : null, body);
  }

  function group(name, some) {
    const first = some[0];
    const isOpen = open === name;
    const press = button(
      [first.title, h("span", { class: "count" }, texts.number(some.length))],
      () => {
        open = isOpen ? "" : name;
        shown = AT_ONCE;
        draw();
      },
      { class: "kind", "aria-expanded": String(isOpen) },
    );
    if (!isOpen) return h("li", {}, press);
    const withImages = some.some((one) => one.images.length);
    const more = button(words.more(some.length - shown), () => {
      shown += AT_ONCE;
      draw();
    });
    return h(
      "li",
      {},
      press,
      h("p", { class: "soft" }, first.advice),
      withImages ? button(words.only, () => choose(name), { class: "quiet" }) : null,
      h("ul", { class: "found" }, some.slice(0, shown).map(card)),
      some.length > shown ? more : null,
    );
  }

  function draw() {
    const focused = document.activeElement?.closest?.(".kind")?.firstChild?.textContent;
    const kinds = new Map();
    for (const one of findings) {
      if (!kinds.has(one.kind)) kinds.set(one.kind, []);
      kinds.get(one.kind).push(one);
    }
    element.hidden = findings.length === 0;
    show(
      element,
      h("h3", {}, findings.length ? words.found(findings.length) : words.clean),
      h("ul", { class: "kinds" }, [...kinds].map(([name, some]) => group(name, some))),
    );
    if (!focused) return;
    for (const one of element.querySelectorAll(".kind")) {
      if (one.firstChild.textContent === focused) one.focus();
    }
  }

  function drawStarter() {
    const { checkup, images } = state.project;
    const running = checkup.state === "running";
    const job = [...state.jobs.values()].findLast((one) => one.kind === "checkup");
    setText(press, running ? words.running : words.start);
    press.disabled = running || images === 0;
    const now = running && job?.state === "running" ? job : null;
    cancel.draw(now);
    const known = checkup.state === "done" && (checkup.outdated ? words.outdated : words.done);
    const end = job?.state === "failed" || job?.state === "interrupted" ? job.error : null;
    const going = now?.cancelling ? texts.ship.cancelling : now && texts.stage(now);
    setText(about, going || end || known || words.why);
    starter.hidden = false;
  }

  on("project", (project) => {
    const { checkup, version } = project;
    drawStarter();
    const newVersion = version !== last;
    last = version;
    const key = `${checkup.state} ${version} ${checkup.findings}`;
    if (checkup.state === "done" && key !== seen) {
      seen = key;
      load().then(() => {
        element.hidden = findings.length === 0 && checkup.outdated;
        known();
        if (!newVersion) changed();
      });
    } else if (checkup.state !== "done") {
      if (checkup.state === "none") element.hidden = true;
      known();
    }
  });
  on("job", (job) => {
    if (job.kind === "checkup" && state.project) drawStarter();
  });
  return { element, starter, filter: chip, filtered, ready };
}
