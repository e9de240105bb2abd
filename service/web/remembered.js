/** What a session is made anew from, where the server that had it is gone with all that it knew. */

/** A live target has left a box that is older than this. */
const FRESH_MS = 1000;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** An object with a merge patch applied (RFC 7396), as the server does with thresholds and metadata; a new one. */
function merged(old, patch) {
  const result = isObject(old) ? { ...old } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = isObject(value) ? merged(result[name], value) : value;
  }
  return result;
}

/** What a session was made with, and where its targets were last. */
export class Remembered {
  #create;
  #last = null; // the newest result
  #seenAt = 0;

  constructor(create) {
    this.#create = create;
  }

  saw(result) {
    this.#last = result;
    this.#seenAt = performance.now();
  }

  /** The session was made to differ from what it was made with. */
  changed({ reinit, ...settings }) {
    for (const [name, value] of Object.entries(settings)) {
      // A null stays: without a `deadline_ms` there would be the usual one.
      this.#create[name] = isObject(value) ? merged(this.#create[name], value) : value;
    }
  }

  /**
   * The body for a session in its place; null if nothing is known well enough to start from. Lost targets have no box
   * to start from. Of a recording the next frame follows the last result, however long ago that was; a live target must
   * have been seen a moment ago.
   */
  create() {
    const made = this.#create;
    const every = made.mode === "every";
    if (this.#last === null) return every || !made.targets.length ? made : null;
    const fresh = every || performance.now() - this.#seenAt < FRESH_MS;
    const seen = this.#last.targets.filter(({ state }) => fresh && state !== "lost");
    if (this.#last.targets.length && !seen.length) return null;
    const labels = new Map(made.targets.map(({ id, label }) => [id, label]));
    const targets = seen.map(({ id, box }) => ({ id, box, ...(labels.get(id) ? { label: labels.get(id) } : {}) }));
    return { ...made, targets };
  }

  /** Of the session that took its place: which targets it has, and which are followed no more. */
  replaced(welcome) {
    const restarted = welcome.targets.map(({ id }) => id);
    const before = this.#last?.targets.map(({ id }) => id) ?? [];
    return { welcome, restarted, missing: before.filter((id) => !restarted.includes(id)) };
  }
}
