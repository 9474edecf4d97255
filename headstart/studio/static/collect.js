// Collect: classes on one side, their images on the other, and all that can be done with them.

import { post } from "./api.js";
import { cameraPanel } from "./camera.js";
import { checkupPanel } from "./checkup.js";
import { classList, dropZone } from "./classes.js";
import { askForName } from "./dialogs.js";
import { button, choice, h, name, show } from "./dom.js";
import { readPicker } from "./drop.js";
import { Gallery } from "./gallery.js";
import { ImageList } from "./images.js";
import { preview } from "./preview.js";
import { Selection } from "./selection.js";
import { choose, on, refresh, state } from "./state.js";
import { texts } from "./texts.js";
import { done, failed } from "./undo.js";
import { sendHere, uploadPanel } from "./upload.js";

const words = texts.collect;
const TYPING = "input:not([type=file]), select, textarea, dialog"; // keys mean something else there

function describe(image) {
  const found = image.findings.map(texts.kind).join(", ");
  return [image.name, image.class, found].filter(Boolean).join(", ");
}

function pickers() {
  const pick = (attributes) =>
    h("input", {
      type: "file",
      class: "spoken",
      tabindex: "-1",
      "aria-hidden": "true",
      onchange: (event) => {
        const files = readPicker(event.target.files);
        event.target.value = "";
        sendHere(files);
      },
      ...attributes,
    });
  const files = pick({ multiple: true, accept: "image/*,.zip,.heic,.tif,.tiff", id: "pick-files" });
  const folder = pick({ webkitdirectory: true, id: "pick-folder" });
  return { files, folder };
}

async function newClass() {
  const given = await askForName(words.newClass, words.create);
  if (given === null) return;
  try {
    await post("/api/classes", { name: given });
    await refresh();
    choose(given);
  } catch (error) {
    failed(error);
  }
}

async function renameClass() {
  const old = state.className;
  const to = await askForName(words.rename, words.rename, { value: old });
  if (to === null || to === old) return;
  try {
    const told = await post("/api/classes/rename", { name: old, to });
    await refresh();
    choose(to);
    done(words.renamed(old, to), told.undo);
  } catch (error) {
    failed(error);
  }
}

async function deleteClass() {
  const gone = state.className;
  try {
    const { undo } = await post("/api/classes/delete", { name: gone });
    choose("");
    await refresh();
    done(words.classDeleted(gone), undo);
  } catch (error) {
    failed(error);
  }
}

/** Fill the view into its section. */
export function collectView(section) {
  const list = new ImageList();
  const selection = new Selection(list);
  const gallery = new Gallery(list, selection, {
    open: (image) => preview(list, image, describe).then(() => gallery.element.focus()),
    describe,
  });
  const actions = imageActions(list, selection, gallery);
  const checkup = checkupPanel({
    fixed: actions.fixed,
    filter: (finding) => list.ask({ finding }),
    changed: () => list.asked && list.reload(),
  });
  const empty = h("div", { class: "empty" });
  const head = classHead();
  const tools = toolbar(list, selection, actions, checkup);
  const camera = cameraPanel();

  const side = h(
    "aside",
    { class: "side", "aria-label": words.classes },
    classList(actions.move),
    h("div", { class: "side-more" }, button(words.newClass, newClass), checkup.starter),
  );
  const work = h("div", { class: "work" }, head.element, camera.element, uploadPanel);
  work.append(checkup.element, tools, gallery.element, empty);
  dropZone(work);
  section.append(h("div", { class: "collect" }, side, work));
  head.camera.addEventListener("click", () => camera.toggle());

  const fill = () => {
    const nothing = list.known && list.total === 0;
    empty.hidden = !nothing;
    gallery.element.hidden = nothing;
    if (nothing) show(empty, h("p", {}, words.nothing(state.className, list.query.finding)));
  };
  list.addEventListener("change", fill);
  on("class", (className) => {
    selection.clear();
    window.scrollTo(0, 0);
    list.ask({ class: className, finding: "" });
    checkup.filtered("");
    if (!className) camera.close();
  });
  let version = null;
  on("project", (project) => {
    if (list.asked && version !== project.version) list.reload();
    version = project.version;
  });
  // What is in sight changes with the height of what stands above it.
  new ResizeObserver(() => gallery.draw()).observe(checkup.element);
  checkup.ready.then(() => list.ask({}));
  return { enter: () => gallery.draw(), leave: () => camera.close() };
}

function classHead() {
  const { files, folder } = pickers();
  const title = h("h2", {});
  const camera = button(words.camera, () => {}, { class: "camera-button" });
  const edit = h("span", {});
  edit.append(
    button(words.rename, renameClass, { class: "quiet" }),
    button(words.deleteClass, deleteClass, { class: "quiet danger" }),
  );
  const adders = h(
    "div",
    { class: "adders" },
    button(words.addFiles, () => files.click(), { class: "main" }),
    button(words.addFolder, () => folder.click()),
    camera,
    files,
    folder,
  );
  const element = h("div", { class: "class-head" }, h("div", { class: "title" }, title, edit), adders);
  const draw = () => {
    const { className } = state;
    show(title, className ? name(className) : words.all);
    edit.hidden = !className;
    camera.disabled = !className;
    camera.title = className ? "" : words.cameraNeedsClass;
  };
  on("class", draw);
  draw();
  return { element, camera };
}

function imageActions(list, selection, gallery) {
  const change = async (path, ids, body, said) => {
    const active = list.first(ids);
    // Among all images a moved one stays where it is.
    if (state.className || path.endsWith("delete")) list.remove(ids);
    selection.clear();
    try {
      const { undo } = await post(path, { ids, ...body });
      done(said, undo);
    } catch (error) {
      failed(error);
      list.reload();
    }
    if (active >= 0 && list.total) selection.goTo(Math.min(active, list.total - 1));
    gallery.draw();
  };
  return {
    open: (image) => gallery.open(image),
    fixed: (told, said) => {
      selection.clear();
      done(said, told.undo);
    },
    move: (className) => {
      const { ids } = selection;
      if (ids.length) {
        change("/api/images/move", ids, { class: className }, words.moved(ids.length, className));
      }
    },
    delete: () => {
      const { ids } = selection;
      if (ids.length) change("/api/images/delete", ids, {}, words.deleted(ids.length));
    },
  };
}

function toolbar(list, selection, actions, checkup) {
  const said = h("p", { class: "said", role: "status" });
  const move = choice([["", words.moveTo]], () => {
    const to = move.value;
    move.value = "";
    if (to) actions.move(to);
  });
  move.setAttribute("aria-label", words.moveTo);
  const view = button(words.view, async () => {
    const index = list.place(selection.ids[0]);
    const [image] = index < 0 ? [] : await list.range(index, index);
    if (image) actions.open(image);
  });
  const all = button(words.selectAll, () => selection.all(), { class: "quiet" });
  const none = button("×", () => selection.clear(), {
    class: "quiet",
    "aria-label": words.selectNone,
    title: words.selectNone,
  });
  const remove = button(words.delete, actions.delete, { class: "danger" });
  const tools = h("span", { class: "tools" }, view, move, remove, none);
  const element = h("div", { class: "toolbar" }, said, checkup.filter, all, tools);
  const draw = () => {
    const count = selection.size;
    show(said, count ? words.selected(count) : words.shown(list.total));
    tools.hidden = count === 0;
    all.hidden = count > 0 || list.total === 0;
    view.disabled = count !== 1;
  };
  selection.addEventListener("change", draw);
  list.addEventListener("change", draw);
  on("project", (project) => {
    const options = project.classes.map((one) => h("option", { value: one.name }, one.name));
    show(move, h("option", { value: "" }, words.moveTo), options);
  });
  window.addEventListener("keydown", (event) => {
    if (!element.offsetParent || event.target.closest?.(TYPING)) return;
    if (event.key === "Delete" || event.key === "Backspace") actions.delete();
    else if (event.key === "Escape") selection.clear();
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) selection.all();
    else return;
    event.preventDefault();
  });
  return element;
}
