// Files on their way to the server, a chunk at a time, with what was refused and why.

import { ApiError, upload } from "./api.js";
import { bar, button, h, name, show } from "./dom.js";
import { isArchive } from "./drop.js";
import { askForClass } from "./dialogs.js";
import { refresh, state } from "./state.js";
import { texts } from "./texts.js";
import { failed } from "./undo.js";

const MOST_FILES = 25; // in one request
const MOST_BYTES = 24 * 2 ** 20;
const REFUSALS = new Set([400, 413, 415, 422]); // of these files, not of all
const MOST_REFUSED = 200; // told one by one

const queue = []; // {files, className}
const refused = [];
let sent = 0;
let wanted = 0;
let added = 0;
let merged = false; // whether some came from the test part of a split, which is not kept
let running = null;

const line = h("p", { class: "upload-line" });
const meter = h("div", { class: "upload-bar" });
const list = h("ul", { class: "refused" });
const details = h("details", { hidden: true }, h("summary", {}), list);
const close = button("×", finish, { class: "quiet", "aria-label": texts.close });

/** Where the progress of uploads is shown. */
export const uploadPanel = h(
  "div",
  { class: "upload panel", hidden: true },
  h("div", { class: "upload-top" }, line, h("span", {}, stop(), close)),
  meter,
  details,
);
const spoken = h("p", { class: "spoken", role: "status" });
uploadPanel.append(spoken);

function stop() {
  return button(texts.stop, () => running?.abort(), { class: "stop" });
}

function finish() {
  uploadPanel.hidden = true;
  refused.length = 0;
}

/** Files in the order they came, each chunk of one class and of a size that soon comes through. */
function chunks(files) {
  const made = [];
  for (const one of files) {
    const last = made.at(-1);
    const fits =
      last?.className === one.className &&
      last.files.length < MOST_FILES &&
      last.bytes + one.file.size <= MOST_BYTES;
    if (fits) {
      last.files.push(one);
      last.bytes += one.file.size;
    } else made.push({ className: one.className, files: [one], bytes: one.file.size });
  }
  return made;
}

/** Send files into the class that is shown, unless folders name several classes. */
export function sendHere(files) {
  const several = new Set(files.map((one) => one.className).filter(Boolean)).size > 1;
  return send(files, several ? "" : state.className);
}

/** Send files into a class; with "" their folders, or the user, say which. */
export async function send(files, className) {
  if (!files.length) return;
  const isLoose = (one) => !className && one.className === null;
  const loose = files.filter(isLoose);
  const named = await withClass(files.filter((one) => !isLoose(one)), className);
  if (!named) return;
  if (!running && !queue.length) begin();
  refused.push(...loose.map(({ name }) => ({ name, reason: texts.upload.loose })));
  queue.push(...chunks(named));
  wanted += named.length;
  merged ||= named.some((one) => one.aside);
  draw();
  if (!running) await work();
}

/** Each file with its class; null where the user thought better of it. */
async function withClass(files, className) {
  if (className) return files.map((one) => ({ ...one, className }));
  // An archive may have folders of its own.
  const needs = files.some((one) => !one.className && !isArchive(one));
  const rest = needs ? await askForClass() : "";
  if (rest === null) return null;
  return files.map((one) =>
    one.className || isArchive(one) ? one : { ...one, className: rest },
  );
}

function begin() {
  sent = 0;
  wanted = 0;
  added = 0;
  merged = false;
  refused.length = 0;
  show(list);
}

async function work() {
  running = new AbortController();
  try {
    while (queue.length) {
      const chunk = queue.shift();
      await sendChunk(chunk);
      sent += chunk.files.length;
      draw();
      if (!queue.length) await refresh(); // they are seen before they are told of
    }
  } catch (error) {
    queue.length = 0;
    failed(error);
  } finally {
    running = null;
    draw();
    spoken.textContent = texts.upload.told(added, refused.length, merged);
  }
}

async function sendChunk({ files, className }) {
  try {
    const told = await upload(files, className, running.signal);
    added += told.added.length;
    merged ||= told.merged;
    refused.push(...told.refused);
  } catch (error) {
    if (!(error instanceof ApiError) || !REFUSALS.has(error.status)) throw error;
    refused.push(...files.map((one) => ({ name: one.name, reason: error.message })));
  }
}

function draw() {
  uploadPanel.hidden = false;
  const over = !running && !queue.length;
  const told = texts.upload.told(added, refused.length, merged);
  const said = over ? told : texts.upload.sending(sent, wanted);
  show(line, said);
  show(meter, bar(wanted ? sent / wanted : 0, "", texts.upload.sending(sent, wanted)));
  uploadPanel.classList.toggle("over", over);
  details.hidden = refused.length === 0;
  details.firstChild.textContent = texts.upload.refused(refused.length);
  if (list.childElementCount === Math.min(refused.length, MOST_REFUSED)) return;
  show(
    list,
    refused.slice(0, MOST_REFUSED).map((one) => h("li", {}, name(one.name), ": ", one.reason)),
  );
}
