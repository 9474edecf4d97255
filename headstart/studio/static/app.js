// The page: its frame, the five views, and what every view may need (undo, notices).

import { button, h, show } from "./dom.js";
import { collectView } from "./collect.js";
import { shipView } from "./ship.js";
import { follow, on, refresh, state } from "./state.js";
import { texts } from "./texts.js";
import { trainView } from "./train.js";
import { tryView } from "./try.js";
import { undoLast, undoRegion } from "./undo.js";
import { understandView } from "./understand.js";

const VIEWS = ["collect", "train", "understand", "try", "ship"];
const MAKERS = [collectView, trainView, understandView, tryView, shipView];

const views = new Map();
const links = new Map();
const title = h("p", { class: "project" });
const offline = h("p", { class: "offline", role: "status", hidden: true });

function link(view, place) {
  const made = h("a", { href: `#${view}` }, h("span", { class: "step" }, place + 1));
  made.append(texts.views[view]);
  links.set(view, made);
  return h("li", {}, made);
}

function frame() {
  const brand = h("p", { class: "brand" }, "headstart ", h("span", {}, texts.studio));
  const nav = h("nav", { "aria-label": texts.steps }, h("ol", {}, VIEWS.map(link)));
  const main = h("main", { id: "main", tabindex: "-1" });
  VIEWS.forEach((view, place) => {
    const heading = h("h1", { class: "spoken", tabindex: "-1" }, texts.views[view]);
    const section = h("section", { id: `view-${view}`, hidden: true }, heading);
    views.set(view, { section, heading, ...MAKERS[place](section) });
    main.append(section);
  });
  const skip = h("a", { class: "skip", href: "#main", onclick: skipTo(main) }, texts.skip);
  const top = h("header", {}, h("div", { class: "bar-top" }, brand, title), nav);
  show(document.getElementById("page"), skip, top, offline, main, undoRegion);
}

function skipTo(main) {
  return (event) => {
    event.preventDefault();
    main.focus();
  };
}

let open = null;

function turnTo(view, focus = true) {
  if (view === open) return;
  views.get(open)?.leave?.();
  open = view;
  for (const [each, { section }] of views) section.hidden = each !== view;
  for (const [each, made] of links) {
    if (each === view) made.setAttribute("aria-current", "page");
    else made.removeAttribute("aria-current");
  }
  document.title = `${texts.views[view]} – headstart ${texts.studio}`;
  const { enter, heading } = views.get(view);
  window.scrollTo(0, 0);
  if (focus) heading.focus({ preventScroll: true });
  enter?.();
}

function fromAddress() {
  const wanted = location.hash.slice(1);
  return VIEWS.includes(wanted) ? wanted : VIEWS[0];
}

function typing(target) {
  return target instanceof HTMLElement && target.closest("input, textarea, select, dialog");
}

function keys(event) {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !typing(event.target)) {
    event.preventDefault();
    undoLast();
  }
}

on("project", (project) => {
  show(title, h("bdi", { title: project.folder }, project.name));
  offline.hidden = true;
});
on("online", ({ online, error }) => {
  offline.hidden = online;
  if (!online) show(offline, error?.message ?? texts.errors.offline, " ", again());
});

function again() {
  return button(texts.tryAgain, () => refresh());
}

// Files may be dropped everywhere: beside the places for them they must not take that of the page.
for (const kind of ["dragover", "drop"]) {
  window.addEventListener(kind, (event) => event.preventDefault());
}
window.addEventListener("keydown", keys);
window.addEventListener("hashchange", () => turnTo(fromAddress()));

frame();
refresh().then(() => {
  turnTo(fromAddress(), false);
  document.documentElement.dataset.ready = state.project ? "yes" : "no";
  follow();
});
