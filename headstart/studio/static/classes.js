// The classes: name, count and balance of each. Each is also a place to drop files or images on.

import { button, bar, h, name, setText, show } from "./dom.js";
import { readTransfer } from "./drop.js";
import { choose, FEW, on, state } from "./state.js";
import { texts } from "./texts.js";
import { send, sendHere } from "./upload.js";

/** The list; `moved(className)` is called when marked images are dropped on a class. */
export function classList(moved) {
  const items = new Map();
  const list = h("ul", { class: "classes" });
  const total = entry("", moved);
  list.append(total.item);

  function draw(project) {
    const most = Math.max(1, ...project.classes.map((one) => one.images));
    const names = new Set(project.classes.map((one) => one.name));
    for (const [key, made] of items) {
      if (names.has(key)) continue;
      made.item.remove();
      items.delete(key);
    }
    project.classes.forEach((one, place) => {
      if (!items.has(one.name)) items.set(one.name, entry(one.name, moved));
      const made = items.get(one.name);
      if (list.children[place + 1] !== made.item) {
        list.insertBefore(made.item, list.children[place + 1] ?? null);
      }
      made.update(one.images, one.images / most);
    });
    total.update(project.images, null);
    mark();
  }

  function mark() {
    for (const [key, made] of [["", total], ...items]) {
      made.press.setAttribute("aria-pressed", String(key === state.className));
    }
  }

  on("project", draw);
  on("class", mark);
  return list;
}

function entry(className, moved) {
  const count = h("span", { class: "count" });
  const balance = h("span", { class: "balance" });
  const title = className ? name(className, { title: className }) : h("span", {}, texts.collect.all);
  const press = button("", () => choose(className), { class: "class" });
  show(press, h("span", { class: "class-top" }, title, count), balance);
  const item = h("li", {}, press);
  dropZone(item, className, moved);
  balance.hidden = !className;
  return {
    item,
    press,
    update(images, share) {
      setText(count, texts.number(images));
      if (share === null) return;
      show(balance, bar(share, images < FEW ? "few" : ""));
      press.title = images < FEW ? texts.collect.few(images, FEW) : "";
    },
  };
}

/** Let files and, where `moved` is given, marked images be dropped on an element; "" is no class. */
export function dropZone(element, className = "", moved = null) {
  let inside = 0;
  const images = (event) => event.dataTransfer.types.includes("application/x-headstart");
  const takes = (event) => (images(event) ? moved && className : true);
  element.addEventListener("dragenter", (event) => {
    if (!takes(event)) return;
    inside += 1;
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    if (!inside) element.classList.remove("over");
  });
  element.addEventListener("drop", async (event) => {
    inside = 0;
    element.classList.remove("over");
    if (!takes(event)) return;
    if (images(event)) moved(className);
    else if (className) await send(await readTransfer(event.dataTransfer), className);
    else await sendHere(await readTransfer(event.dataTransfer));
  });
}
