// A notice at the foot of the window: what was done, and a button that takes it back.

import { post } from "./api.js";
import { button, h, show } from "./dom.js";
import { texts } from "./texts.js";

const STAYS = 12000; // milliseconds
const steps = []; // what can be taken back, newest last
const box = h("div", { class: "toast", hidden: true });

/** The place of the notices; a screen reader says what comes into it. */
export const undoRegion = h("div", { class: "toasts", role: "status", "aria-live": "polite" }, box);

let timer = null;

function hide() {
  box.hidden = true;
}

/** Say something; `wrong` marks that it failed. */
export function notice(text, { wrong = false, more = null } = {}) {
  clearTimeout(timer);
  box.classList.toggle("wrong", wrong);
  show(box, h("p", {}, text), more, button("×", hide, { class: "quiet", "aria-label": texts.close }));
  box.hidden = false;
  if (!wrong) timer = setTimeout(hide, STAYS);
}

/** Tell an error; anything but one that the server or the browser told is a defect. */
export function failed(error) {
  if (error?.name === "AbortError") return;
  notice(error?.message ?? String(error), { wrong: true });
}

/** Say what was done and offer to take it back. */
export function done(text, undo) {
  if (!undo) return notice(text);
  const step = { text, undo };
  steps.push(step);
  return notice(text, { more: button(texts.undo, () => takeBack(step), { class: "undo" }) });
}

async function takeBack(step) {
  const place = steps.indexOf(step);
  if (place < 0) return;
  steps.splice(place, 1);
  try {
    await post("/api/undo", { undo: step.undo });
    notice(texts.undone(step.text));
  } catch (error) {
    failed(error);
  }
}

/** Take back the last thing that was done here. */
export function undoLast() {
  if (steps.length) takeBack(steps.at(-1));
}
