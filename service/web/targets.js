/** The targets on the page: what is known of each, which one is selected, their rows and their boxes on the picture. */

const COLOURS = ["#3ddc97", "#4cc9f0", "#ffc857", "#f78fb3", "#b79cff", "#ff9f5a", "#8be04e", "#ff7b7b"];
export const MAX_TARGETS = COLOURS.length; // also the server's limit

export class Targets {
  #panel;
  #picture;
  #known = new Map(); // id -> {id, label, colour, box, state, score, lost_ms}
  #silent = new Set(); // ids of those of which nothing was heard since the line broke
  #selected = null; // an id
  #count = 0; // of all that ever were

  constructor(panel, picture) {
    this.#panel = panel;
    this.#picture = picture;
  }

  get size() {
    return this.#known.size;
  }

  /** The id of the selected one; null if there is none. */
  get selected() {
    return this.#selected;
  }

  all() {
    return [...this.#known.values()];
  }

  /** A new one, which becomes the selected one. */
  add(box) {
    const inUse = new Set(this.all().map((target) => target.colour));
    const colour = COLOURS.find((one) => !inUse.has(one));
    const id = `t${++this.#count}`;
    const label = `Target ${this.#count}`;
    const target = { id, label, colour, box, state: "initializing", score: null, lost_ms: null };
    this.#known.set(id, target);
    this.#panel.add(target);
    this.select(id);
    this.redraw();
    return target;
  }

  /** Shows frame `seq` and what was found in it; targets that were removed while the result was on its way are not. */
  found(seq, results) {
    const shapes = [];
    for (const { id, box, state, score, lost_ms } of results) {
      const target = this.#known.get(id);
      if (!target) continue;
      const before = target.state;
      Object.assign(target, { box, state, score, lost_ms });
      this.#silent.delete(id);
      if (before !== state) this.#panel.announce(target, before);
      this.#showRow(target);
      shapes.push({ ...target });
    }
    this.#picture.show(seq, shapes);
    this.#showSelected();
  }

  /** The line broke: what is known of them may be wrong by now, until the next result. */
  interrupted() {
    this.#silent = new Set(this.#known.keys());
    this.select(this.#selected);
  }

  drop(id) {
    this.#known.delete(id);
    this.#silent.delete(id);
    this.#panel.remove(id);
    this.select(this.#selected === id ? ([...this.#known.keys()].at(-1) ?? null) : this.#selected);
    this.redraw();
  }

  clear() {
    for (const id of this.#known.keys()) this.#panel.remove(id);
    this.#known.clear();
    this.#silent.clear();
    this.select(null);
    this.redraw();
  }

  select(id) {
    this.#selected = id;
    this.#showSelected();
    for (const target of this.#known.values()) this.#showRow(target);
  }

  /** The boxes as they are now on the frame on show: a picture that stands still shows a new one at once. */
  redraw() {
    this.#picture.show(this.#picture.shown, this.all().map((target) => ({ ...target })));
  }

  #showSelected() {
    this.#panel.selected(this.#shown(this.#known.get(this.#selected) ?? null));
  }

  #showRow(target) {
    this.#panel.row(this.#shown(target), target.id === this.#selected);
  }

  /** A target as its state and score are to be shown; null for none. */
  #shown(target) {
    return target && this.#silent.has(target.id) ? { ...target, state: "–", score: null, lost_ms: null } : target;
  }
}
