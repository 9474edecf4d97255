// Train: a time, one button, and what happens after it, in every tab that is open.

import { get, post } from "./api.js";
import { cancelButton } from "./cancel.js";
import { drawCurve } from "./curve.js";
import { choice, field, h, set, setText, show } from "./dom.js";
import { heard, on, state } from "./state.js";
import { texts } from "./texts.js";
import { failed } from "./undo.js";

const words = texts.train;
const TIMES = ["quick", "good", "best"];
const LEAST = 2; // classes with images
const MOST_REMARKS = 4;

function times() {
  const options = TIMES.map((time, place) =>
    h(
      "label",
      { class: "time" },
      h("input", { type: "radio", name: "time", value: time, checked: place === 0 }),
      h("span", {}, h("strong", {}, words.times[time].name), h("small", {}, words.times[time].what)),
    ),
  );
  return h("fieldset", { class: "times" }, h("legend", {}, words.howLong), options);
}

const OFFERS = [
  ["backbone", "backbones", words.backbone, words.backboneNote],
  ["image_size", "image_sizes", words.size, words.sizeNote],
  ["unfreeze", "unfreezes", words.unfreeze, words.unfreezeNote],
  ["augment", "augments", words.augment, words.augmentNote],
];

function advanced() {
  const selects = new Map();
  const fields = OFFERS.map(([option, , title, note]) => {
    const select = choice([["", words.offers.auto]]);
    selects.set(option, select);
    return field(title, select, note);
  });
  const element = h(
    "details",
    { class: "advanced", ontoggle: () => element.open && fill(selects) },
    h("summary", {}, words.advanced),
    h("div", { class: "fields" }, fields),
  );
  const options = () => {
    const given = [...selects].map(([option, select]) => [option, select.value]);
    return Object.fromEntries(given.filter(([, value]) => value !== ""));
  };
  return { element, options };
}

/** Ask the server what can be chosen; what is chosen stays so. */
async function fill(selects) {
  try {
    const offered = await get("/api/choices");
    for (const [option, list] of OFFERS) {
      const select = selects.get(option);
      const before = select.value;
      const made = offered[list].map((one) =>
        h("option", { value: one === "auto" ? "" : one }, words.offers[one] ?? texts.offer(one)),
      );
      show(select, made);
      select.value = before;
    }
  } catch (error) {
    failed(error);
  }
}

/** Fill the view into its section. */
export function trainView(section) {
  const choices = advanced();
  const go = h("button", { type: "submit", class: "main big" }, words.go);
  const why = h("p", { class: "soft" });
  const form = h("form", { class: "train-form" }, times(), choices.element, go, why);
  const job = jobPanel();
  const title = h("h2", {}, words.title);
  section.append(h("div", { class: "column" }, title, form, job.element));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      const time = new FormData(form).get("time");
      heard((await post("/api/train", { time, options: choices.options() })).job);
    } catch (error) {
      failed(error);
    } finally {
      draw();
    }
  });

  function draw() {
    const { project } = state;
    if (!project) return;
    const running = project.training?.state === "running";
    const filled = project.classes.filter((one) => one.images > 0);
    go.disabled = running || filled.length < LEAST;
    const said = filled.length < LEAST ? words.needsClasses : words.ready(project.images, filled.length);
    setText(why, running ? words.busy : said);
    job.draw(project.training);
  }

  on("project", draw);
  on("job", draw);
  return { enter: draw };
}

function jobPanel() {
  const stage = h("h3", {});
  const left = h("p", { class: "left" });
  const meter = h("progress", { max: 1, "aria-label": words.progress });
  const stages = h("ol", { class: "stages" });
  const remarks = h("ul", { class: "soft" });
  const curve = h("div", { class: "curves" });
  const spoken = h("p", { class: "spoken", role: "status" });
  const after = h("div", {});
  const cancel = cancelButton();
  const head = h("div", { class: "job-head" }, h("div", {}, stage, left), cancel.element);
  const element = h("div", { class: "job panel", hidden: true }, head, meter, stages, remarks);
  element.append(after, curve);
  element.append(spoken);

  let epochs = "";
  function draw(job) {
    element.hidden = !job;
    if (!job) return;
    const running = job.state === "running";
    element.dataset.state = job.state;
    setText(stage, running ? texts.stageName(job.stage) : words.states[job.state]);
    setText(spoken, stage.textContent);
    const now = job.cancelling ? words.cancelling : texts.left(job);
    setText(left, running ? now : texts.took(job));
    cancel.draw(running ? job : null);
    meter.hidden = !running;
    if (running && job.total) meter.value = job.done / job.total;
    else meter.removeAttribute("value");
    drawStages(stages, job);
    const key = `${job.id} ${job.curve?.length ?? 0}`;
    if (key !== epochs) drawCurve(curve, job.curve ?? []);
    epochs = key;
    drawAfter(after, job);
    const said = (job.remarks ?? []).slice(-MOST_REMARKS);
    if (said.length !== remarks.childElementCount || said.at(-1) !== remarks.lastChild?.textContent) {
      show(remarks, said.map((one) => h("li", {}, one)));
    }
  }
  return { element, draw };
}

function drawStages(list, job) {
  const all = job.stages ?? [];
  while (list.children.length > all.length) list.lastChild.remove();
  all.forEach((one, place) => {
    const item = list.children[place] ?? list.appendChild(h("li", {}));
    const now = job.state === "running" && !one.finished && one.name === job.stage;
    set(item, "class", one.finished ? "finished" : now ? "now" : "open");
    const count = one.total && !one.finished && now ? ` ${texts.part(one)}` : "";
    setText(item, `${texts.stageName(one.name)}${count}`);
  });
}

function drawAfter(element, job) {
  const key = `${job.id} ${job.state} ${job.model} ${job.error}`;
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  const failedWith = job.error ? h("p", { class: "error", role: "alert" }, job.error) : null;
  const seen =
    job.model && job.state !== "running"
      ? h("p", {}, h("a", { class: "as-button main", href: "#understand" }, words.see), " ",
          h("a", { class: "as-button", href: "#try" }, words.tryIt))
      : null;
  show(element, failedWith, seen);
}
