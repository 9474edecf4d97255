// The images of a class, or of all, in the order of the server: fetched in parts as they come into
// sight, so that 20,000 of them cost no more than a screenful.

import { get } from "./api.js";

const PART = 200;
const AT_ONCE = 20; // parts, where many are wanted: the server gives at most 5,000 images

export class ImageList extends EventTarget {
  #items = [];
  #fresh = new Set(); // parts that are as the server has them now
  #underWay = new Map();
  #generation = 0;
  query = { class: "", finding: "" };
  total = 0;
  asked = false; // whether anything was to be shown yet
  known = false; // whether the server has answered for this query

  /** Show other images. */
  ask(query) {
    this.query = { ...this.query, ...query };
    this.asked = true;
    this.#items = [];
    this.total = 0;
    this.known = false;
    this.reload();
  }

  /** The server has news: what is in sight is fetched anew, the old stays until it has come. */
  reload() {
    this.#generation += 1;
    this.#fresh.clear();
    this.#underWay.clear();
    this.#fetch(0);
    this.dispatchEvent(new Event("change"));
  }

  /** The image at a place, or undefined while it is fetched. */
  at(index) {
    const part = Math.floor(index / PART);
    if (this.known && !this.#fresh.has(part)) this.#fetch(part);
    return this.#items[index];
  }

  /** All images from one place to another, fetched where they are not here. */
  async range(from, to) {
    const last = Math.floor(to / PART);
    for (let part = Math.floor(from / PART); part <= last; part += 1) {
      if (this.#fresh.has(part)) continue;
      const many = Math.min(AT_ONCE, last - part + 1);
      // What comes back may be outdated by then: once more.
      for (let tries = 0; tries < 3 && !this.#fresh.has(part); tries += 1) {
        await this.#fetch(part, many);
      }
    }
    return this.#items.slice(from, to + 1).filter(Boolean);
  }

  /** The place of an image among those that are here, or -1. */
  place(id) {
    return this.#items.findIndex((one) => one?.id === id);
  }

  /** The place of the first of some images, or -1. */
  first(ids) {
    const some = new Set(ids);
    return this.#items.findIndex((one) => one && some.has(one.id));
  }

  /** Take images away at once; the server is asked afterwards. */
  remove(ids) {
    const gone = new Set(ids);
    const left = [];
    for (let index = 0; index < this.total; index += 1) {
      if (!gone.has(this.#items[index]?.id)) left.push(this.#items[index]);
    }
    this.#items = left;
    this.total = left.length;
    this.#fresh.clear();
    this.dispatchEvent(new Event("change"));
  }

  #fetch(part, many = 1) {
    const key = `${part} ${many}`;
    const running = this.#underWay.get(key);
    if (running) return running;
    const made = this.#load(part, many, this.#generation).finally(() => {
      if (this.#underWay.get(key) === made) this.#underWay.delete(key);
    });
    this.#underWay.set(key, made);
    return made;
  }

  async #load(part, many, generation) {
    const offset = part * PART;
    let found;
    try {
      found = await get("/api/images", { ...this.query, offset, limit: many * PART });
    } catch {
      return; // the notice that the server is away is shown by the state
    }
    if (generation !== this.#generation) return;
    for (let each = part; each < part + many; each += 1) this.#fresh.add(each);
    this.total = found.total;
    this.known = true;
    this.#items.length = Math.min(this.#items.length, found.total);
    found.images.forEach((image, index) => (this.#items[offset + index] = image));
    this.dispatchEvent(new Event("change"));
  }
}
