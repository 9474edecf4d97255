// Take images of a class with the webcam: as long as the button, or the space bar on it, is held.

import { button, h, setText } from "./dom.js";
import { state } from "./state.js";
import { texts } from "./texts.js";
import { failed } from "./undo.js";
import { send } from "./upload.js";
import { Webcam } from "./webcam.js";

const EVERY = 125; // milliseconds between two images
const AT_ONCE = 24; // images that are sent while others are still taken
const SIDE = 640; // pixels of an image's longer side

/** The panel, closed at first. */
export function cameraPanel() {
  const webcam = new Webcam();
  const count = h("p", { class: "camera-count", role: "status" });
  const hold = button(texts.camera.hold, () => {}, { class: "main hold" });
  const element = h("div", { class: "camera panel", hidden: true });
  const shut = button(texts.camera.close, () => close());
  const controls = h("div", { class: "camera-controls" }, h("p", {}, texts.camera.how), hold, count);
  controls.append(shut);
  element.append(webcam.video, controls);

  let taken = [];
  let timer = null;
  let series = 0;

  async function take() {
    const blob = await webcam.frame(SIDE);
    if (!blob) return;
    const stamp = new Date().toISOString().replace(/[:.]/g, "-");
    taken.push({ file: blob, name: `camera-${stamp}.jpg` });
    series += 1;
    setText(count, texts.camera.taken(series));
    // A frame may come after the button was let go.
    if (taken.length >= AT_ONCE || timer === null) pass();
  }

  function pass() {
    const files = taken.map((one) => ({ ...one, className: state.className }));
    taken = [];
    send(files, state.className);
  }

  function start(event) {
    if (timer !== null || !webcam.on) return;
    event.preventDefault();
    hold.classList.add("held");
    taken = [];
    take();
    timer = setInterval(take, EVERY);
  }

  function end() {
    if (timer === null) return;
    clearInterval(timer);
    timer = null;
    hold.classList.remove("held");
    pass();
  }

  hold.addEventListener("pointerdown", start);
  hold.addEventListener("contextmenu", (event) => event.preventDefault());
  for (const kind of ["pointerup", "pointercancel", "blur"]) window.addEventListener(kind, end);
  hold.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") start(event);
  });
  hold.addEventListener("keyup", end);

  async function open() {
    try {
      if (!(await webcam.start())) return;
      series = 0;
      setText(count, texts.camera.taken(0));
      element.hidden = false;
      hold.focus();
    } catch (error) {
      failed(error);
    }
  }

  function close() {
    end();
    webcam.stop();
    element.hidden = true;
  }

  return { element, close, toggle: () => (webcam.on ? close() : open()) };
}
