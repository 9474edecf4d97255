// Files on their way to the server, a chunk at a time, with what was refused and why.

import { upload } from "./api.js";
import { bar, button, h, name, show } from "./dom.js";
import { hasFolders, isArchive } from "./drop.js";
import { askForClass } from "./dialogs.js";
import { state } from "./state.js";
import { texts } from "./texts.js";
import { failed } from "./undo.js";

const MOST_FILES = 25; // in one request
const MOST_BYTES = 24 * 2 ** 20;
const MOST_REFUSED = 200; // told one by one

const queue = []; // {files, className}
const refused = [];
let sent = 0;
let wanted = 0;
let added = 0;
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
  h("div", { class: "upload-top" }, line, h("span", { class: "actions" }, stop(), close)),
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

function chunks(files) {
  const made = [];
  let bytes = Infinity;
  for (const one of files) {
    const last = made.at(-1);
    if (!last || last.length >= MOST_FILES || bytes + one.file.size > MOST_BYTES) {
      made.push([one]);
      bytes = one.file.size;
    } else {
      last.push(one);
      bytes += one.file.size;
    }
  }
  return made;
}

/** Send files into a class; with "" their folders, or the user, say which. */
export async function send(files, className) {
  if (!files.length) return;
  const into = className || (await classFor(files));
  if (into === null) return;
  const bare = into ? files.map(({ file, name }) => ({ file, name: name.split("/").at(-1) })) : files;
  if (!running && !queue.length) begin();
  for (const chunk of chunks(bare)) queue.push({ files: chunk, className: into });
  wanted += bare.length;
  draw();
  if (!running) await work();
}

/** "" where folders or an archive give the classes, null where the user thought better of it. */
async function classFor(files) {
  if (hasFolders(files) || files.every(isArchive)) return "";
  return state.className || askForClass();
}

function begin() {
  sent = 0;
  wanted = 0;
  added = 0;
  refused.length = 0;
}

async function work() {
  running = new AbortController();
  try {
    while (queue.length) {
      const { files, className } = queue.shift();
      const told = await upload(files, className, running.signal);
      added += told.added.length;
      refused.push(...told.refused);
      sent += files.length;
      draw();
    }
  } catch (error) {
    queue.length = 0;
    failed(error);
  } finally {
    running = null;
    draw();
    spoken.textContent = texts.upload.told(added, refused.length);
  }
}

function draw() {
  uploadPanel.hidden = false;
  const over = !running;
  const said = over ? texts.upload.told(added, refused.length) : texts.upload.sending(sent, wanted);
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
