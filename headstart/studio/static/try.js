// Try: an image that is dropped, pasted or chosen, or the webcam live.

import { predict } from "./api.js";
import { bar, button, h, name, setText, show } from "./dom.js";
import { pastedImage } from "./drop.js";
import { texts } from "./texts.js";
import { failed } from "./undo.js";
import { noModel, versionPicker, withModel } from "./versions.js";
import { Webcam } from "./webcam.js";

const words = texts.tryIt;
const SIDE = 384; // pixels of a webcam image's longer side
const MOST = 12; // bars
const BUSY = 503; // the server has too much to do: ask again

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Fill the view into its section. */
export function tryView(section) {
  const answers = answerPanel();
  const webcam = new Webcam();
  const still = h("img", { class: "seen", alt: "", hidden: true });
  const map = h("img", { class: "seen", alt: texts.understand.mapAlt, hidden: true });
  const hint = h("p", {}, words.hint);
  const frame = h("div", { class: "try-frame" }, hint, still, webcam.video, map);
  const rate = h("p", { class: "soft rate" });
  const picker = h("input", {
    type: "file",
    accept: "image/*,.heic,.tif,.tiff",
    class: "spoken",
    tabindex: "-1",
    "aria-hidden": "true",
    id: "try-file",
    onchange: (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) ask(file);
    },
  });
  const choose = button(words.choose, () => picker.click(), { class: "main" });
  const camera = button(words.camera, () => (webcam.on ? stopCamera() : startCamera()));
  const mapButton = button(words.map, () => toggleMap(), { disabled: true });
  const left = h("div", {}, frame, h("div", { class: "adders" }, choose, camera,
    mapButton, picker), rate);
  const both = h("div", { class: "try" }, left, answers.element);
  const empty = h("div", {}, noModel(words.nothing));
  section.append(h("div", { class: "column wide" }, versionPicker(), empty, both));

  let model = null;
  let image = null; // the blob that is shown
  let url = null;
  let mapOn = false;
  let turn = 0;
  let mapOf = 0; // the turn whose map is here

  webcam.video.hidden = true;

  function look() {
    webcam.video.hidden = !webcam.on;
    still.hidden = webcam.on || !url || mapOn;
    map.hidden = !mapOn || (webcam.on && mapOf !== turn);
    hint.hidden = webcam.on || Boolean(url);
    setText(camera, webcam.on ? words.cameraOff : words.camera);
    setText(mapButton, mapOn ? words.hideMap : words.map);
    mapButton.disabled = !model || !(webcam.on || image);
  }

  async function ask(blob) {
    if (!model) return;
    stopCamera();
    turn += 1;
    const mine = turn;
    mapOn = false;
    image = blob;
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(blob);
    still.src = url;
    still.alt = words.alt;
    look();
    try {
      const told = await predict(model.id, blob);
      if (mine === turn) answers.draw(told, true);
    } catch (error) {
      if (mine === turn) answers.clear(error.message);
    }
  }

  async function toggleMap() {
    mapOn = !mapOn;
    if (!mapOn || mapOf === turn || webcam.on) return look();
    const mine = turn;
    try {
      const told = await predict(model.id, image, { map: true });
      if (mine !== turn || !mapOn) return undefined;
      if (!told.map) throw new Error(words.noMap);
      map.src = told.map;
      mapOf = mine;
    } catch (error) {
      mapOn = false;
      failed(error);
    }
    return look();
  }

  async function startCamera() {
    try {
      if (!(await webcam.start())) return;
    } catch (error) {
      failed(error);
      return;
    }
    turn += 1;
    mapOn = false;
    look();
    live(turn);
  }

  function stopCamera() {
    const seen = webcam.on;
    webcam.stop(); // also where it was only asked for
    if (!seen) return;
    turn += 1;
    mapOn = false;
    setText(rate, "");
    answers.clear();
    look();
  }

  /** Frame after frame for as long as the camera is on, the next when the last is answered. */
  async function live(mine) {
    let times = [];
    while (mine === turn && webcam.on && model) {
      try {
        const blob = await webcam.frame(SIDE);
        if (!blob) {
          await pause(50);
          continue;
        }
        const told = await predict(model.id, blob, { map: mapOn });
        if (mine !== turn) return;
        answers.draw(told, false);
        if (told.map) drawLive(told.map);
      } catch (error) {
        if (error.status === BUSY) {
          await pause(200);
          continue;
        }
        failed(error);
        stopCamera();
        return;
      }
      times = [...times, performance.now()].slice(-20);
      const each = (times.at(-1) - times[0]) / (times.length - 1);
      if (times.length > 2) setText(rate, words.rate(1000 / each));
    }
  }

  /** The map lies over the frame that it is of, so both always belong together. */
  function drawLive(drawn) {
    map.src = drawn;
    mapOf = turn;
    look();
  }

  withModel((given) => {
    model = given;
    empty.hidden = Boolean(model);
    both.hidden = !model;
    if (!model) stopCamera();
    else if (image && !webcam.on) ask(image);
    look();
  });
  both.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer.files;
    if (file) ask(file);
  });
  window.addEventListener("paste", (event) => {
    if (section.hidden) return;
    const found = pastedImage(event);
    if (found) ask(found);
  });
  return { leave: stopCamera };
}

function answerPanel() {
  const verdict = h("h2", { class: "answer" }, words.waiting);
  const told = h("p", { class: "soft" });
  const list = h("ul", { class: "probabilities" });
  const spoken = h("p", { class: "spoken", role: "status" });
  const element = h("div", { class: "try-answer" }, verdict, told, list, spoken);
  const rows = new Map();
  let order = "";

  function row(className) {
    if (!rows.has(className)) {
      const share = h("span", { class: "count" });
      const meter = bar(0);
      const item = h("li", {}, h("span", { class: "class-top" }, name(className), share), meter);
      rows.set(className, { item, share, inside: meter.firstChild });
    }
    return rows.get(className);
  }

  function clear(error = "") {
    setText(verdict, error || words.waiting);
    verdict.classList.toggle("error", Boolean(error));
    setText(told, "");
    show(list);
    order = "";
    rows.clear();
  }

  function draw(found, aloud) {
    verdict.classList.remove("error");
    const unknown = found.unknown || found.candidates?.length === 0;
    show(verdict, unknown ? words.none : name(found.label));
    const several = !unknown && (found.candidates?.length ?? 0) > 1 ? found.candidates : null;
    setText(told, unknown ? words.noneWhy(found.label) : several ? words.several(several)
      : words.sure(found.probability));
    const shown = found.classes.slice(0, MOST);
    // Bars that jump are hard to read: live, each class keeps its place.
    const names = aloud ? shown.map((one) => one.name) : shown.map((one) => one.name).sort();
    if (names.join("\n") !== order) {
      rows.clear();
      show(list, names.map((one) => row(one).item));
      order = names.join("\n");
    }
    for (const one of shown) {
      const { share, inside, item } = row(one.name);
      setText(share, texts.percent(one.probability));
      inside.style.width = `${one.probability * 100}%`;
      item.classList.toggle("first", one.name === found.label && !unknown);
    }
    if (aloud) setText(spoken, `${verdict.textContent}. ${told.textContent}`);
  }
  return { element, draw, clear };
}
