// Which images are marked, by their ids, so that marks stay with their image when others come or go.

export class Selection extends EventTarget {
  #ids = new Set();
  #anchor = -1;
  #turn = 0; // raised by what makes images that are still fetched no longer wanted
  active = -1; // the place that the keyboard is at

  constructor(list) {
    super();
    this.list = list;
  }

  get ids() {
    return [...this.#ids];
  }

  get size() {
    return this.#ids.size;
  }

  has(id) {
    return this.#ids.has(id);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  clear() {
    this.#turn += 1;
    this.#ids.clear();
    this.active = -1;
    this.#anchor = -1;
    this.#changed();
  }

  only(index) {
    const image = this.list.at(index);
    this.#turn += 1;
    this.#ids = new Set(image ? [image.id] : []);
    this.#anchor = index;
    this.active = index;
    this.#changed();
  }

  toggle(index) {
    const image = this.list.at(index);
    if (image && !this.#ids.delete(image.id)) this.#ids.add(image.id);
    this.#anchor = index;
    this.active = index;
    this.#changed();
  }

  goTo(index) {
    this.active = index;
    this.#changed();
  }

  /** Everything from where the last click was to here. */
  async through(index) {
    const anchor = this.#anchor < 0 ? index : this.#anchor;
    this.#anchor = anchor;
    this.active = index;
    await this.#take(Math.min(anchor, index), Math.max(anchor, index));
  }

  async all() {
    this.#turn += 1;
    const mine = this.#turn;
    await this.list.range(0, 0); // how many there are may be under way
    if (mine === this.#turn && this.list.total) await this.#take(0, this.list.total - 1);
  }

  async #take(from, to) {
    this.#turn += 1;
    const mine = this.#turn;
    const images = await this.list.range(from, to);
    if (mine !== this.#turn) return;
    this.#ids = new Set(images.map((one) => one.id));
    this.#changed();
  }
}
