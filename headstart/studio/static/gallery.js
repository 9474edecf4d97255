// Thumbnails by rows: only the rows in sight have elements, and these are used again for others as
// the page is scrolled. The list behind them is an `ImageList`, the marks a `Selection`.

import { places } from "./api.js";
import { h, set, setText } from "./dom.js";
import { state } from "./state.js";
import { texts } from "./texts.js";

const LEAST = 104; // pixels: the width of a tile
const GAP = 8;
const CAPTION = 22;
const MORE = 2; // rows above and below those in sight

export class Gallery {
  #shown = new Map(); // place in the list -> tile
  #free = [];
  #columns = 1;
  #side = LEAST;
  #asked = false;

  constructor(list, selection, { open, describe }) {
    this.list = list;
    this.selection = selection;
    this.open = open;
    this.describe = describe;
    this.element = h("div", {
      class: "gallery",
      role: "listbox",
      tabindex: "0",
      "aria-multiselectable": "true",
      "aria-label": texts.collect.images,
      onclick: (event) => this.#clicked(event),
      ondblclick: (event) => this.#opened(event),
      onkeydown: (event) => this.#keyed(event),
      ondragstart: (event) => this.#dragged(event),
    });
    for (const thing of [list, selection]) thing.addEventListener("change", () => this.draw());
    window.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Draw before the next frame. */
  draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#drawNow();
    });
  }

  get #step() {
    return this.#side + CAPTION + GAP;
  }

  #measure() {
    const width = this.element.clientWidth;
    this.#columns = Math.max(1, Math.floor((width + GAP) / (LEAST + GAP)));
    this.#side = Math.floor((width - GAP * (this.#columns - 1)) / this.#columns);
    const rows = Math.ceil(this.list.total / this.#columns);
    const height = `${rows * this.#step}px`;
    if (this.element.style.height !== height) this.element.style.height = height;
  }

  #drawNow() {
    if (!this.element.isConnected || !this.element.offsetParent) return;
    this.#measure();
    const top = -this.element.getBoundingClientRect().top;
    const from = Math.floor(top / this.#step) - MORE;
    const to = Math.ceil((top + window.innerHeight) / this.#step) + MORE;
    const first = Math.max(0, from * this.#columns);
    const last = Math.min(this.list.total, to * this.#columns);
    for (const [index, tile] of this.#shown) {
      if (index >= first && index < last) continue;
      this.#shown.delete(index);
      this.#free.push(tile);
      tile.box.hidden = true;
    }
    for (let index = first; index < last; index += 1) this.#place(index);
    this.#tellActive();
  }

  #place(index) {
    let tile = this.#shown.get(index);
    if (!tile) {
      tile = this.#free.pop() ?? this.#make();
      this.#shown.set(index, tile);
    }
    const row = Math.floor(index / this.#columns);
    const left = (index - row * this.#columns) * (this.#side + GAP);
    const style = tile.box.style;
    style.transform = `translate(${left}px, ${row * this.#step}px)`;
    style.width = `${this.#side}px`;
    tile.frame.style.height = `${this.#side}px`;
    tile.box.hidden = false;
    this.#fill(tile, index);
  }

  #make() {
    const image = h("img", { alt: "", decoding: "async", draggable: "false" });
    const badge = h("span", { class: "badge", "aria-hidden": "true" }, "!");
    const frame = h("span", { class: "frame" }, image, badge, h("span", { class: "tick" }));
    const caption = h("bdi", { class: "caption" });
    const box = h("div", { class: "tile", role: "option", draggable: "true" }, frame, caption);
    this.element.append(box);
    return { box, frame, image, badge, caption, id: null };
  }

  #fill(tile, index) {
    const image = this.list.at(index);
    const { box } = tile;
    box.dataset.index = index;
    set(box, "id", `image-${index}`);
    set(box, "aria-posinset", index + 1);
    set(box, "aria-setsize", this.list.total);
    set(box, "aria-selected", Boolean(image && this.selection.has(image.id)));
    box.classList.toggle("active", index === this.selection.active);
    const id = image?.id ?? null;
    if (tile.id !== id) {
      tile.id = id;
      // Without this the image that the tile had before stays until the new one has come.
      tile.image.removeAttribute("src");
      if (image) tile.image.src = places.thumbnail(id);
    }
    this.#words(tile, image);
  }

  #words(tile, image) {
    const findings = image?.findings ?? [];
    tile.badge.hidden = findings.length === 0;
    if (!image) {
      setText(tile.caption, "");
      set(tile.box, "aria-label", texts.loading);
      return;
    }
    setText(tile.caption, state.className ? image.name : image.class);
    const said = this.describe(image);
    set(tile.box, "aria-label", said);
    set(tile.box, "title", said);
  }

  #tellActive() {
    const { active } = this.selection;
    if (active >= 0 && this.#shown.has(active)) {
      set(this.element, "aria-activedescendant", `image-${active}`);
    } else this.element.removeAttribute("aria-activedescendant");
  }

  #index(event) {
    const box = event.target.closest(".tile");
    return box ? Number(box.dataset.index) : -1;
  }

  #clicked(event) {
    const index = this.#index(event);
    if (index < 0) return;
    const onTick = event.target.closest(".tick") !== null;
    const toggle = event.ctrlKey || event.metaKey || onTick || event.pointerType === "touch";
    if (event.shiftKey) this.selection.through(index);
    else if (toggle) this.selection.toggle(index);
    else this.selection.only(index);
  }

  #opened(event) {
    const image = this.list.at(this.#index(event));
    if (image) this.open(image);
  }

  #dragged(event) {
    const index = this.#index(event);
    const image = this.list.at(index);
    if (!image) return event.preventDefault();
    if (!this.selection.has(image.id)) this.selection.only(index);
    event.dataTransfer.setData("application/x-headstart", "images");
    event.dataTransfer.effectAllowed = "move";
    return undefined;
  }

  #moves() {
    const page = Math.max(1, Math.floor(window.innerHeight / this.#step) - 1) * this.#columns;
    return {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.#columns,
      ArrowUp: -this.#columns,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
  }

  #keyed(event) {
    const by = this.#moves()[event.key];
    const { active } = this.selection;
    if (by !== undefined) {
      const from = active < 0 && Number.isFinite(by) ? -by : active; // the first key goes to the first
      const to = Math.max(0, Math.min(this.list.total - 1, from + by));
      if (event.shiftKey) this.selection.through(to);
      else if (event.ctrlKey || event.metaKey) this.selection.goTo(to);
      else this.selection.only(to);
      this.reveal(to);
    } else if (event.key === " ") this.selection.toggle(Math.max(0, active));
    else if (event.key === "Enter" && this.list.at(active)) this.open(this.list.at(active));
    else return;
    event.preventDefault();
  }

  /** Scroll so that an image is in sight. */
  reveal(index) {
    const row = Math.floor(index / this.#columns);
    const top = this.element.getBoundingClientRect().top + row * this.#step;
    const above = 150; // what sticks to the top of the window
    if (top < above) window.scrollBy(0, top - above);
    else if (top + this.#step > window.innerHeight - 60) {
      window.scrollBy(0, top + this.#step - window.innerHeight + 60);
    }
    this.draw();
  }
}
