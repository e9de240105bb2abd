/** The numbers beside the picture and the list of targets; only writes to the document, knows no stream. */

const SPARKLINE_RESULTS = 120;
const SPARKLINE_LEAST_MS = 50; // so that a few milliseconds of noise do not look like a mountain

const element = (id) => document.getElementById(id);
const number = (value, digits = 0) => (value == null ? "–" : value.toFixed(digits));
const stateWords = ({ state, lost_ms: lostMs }) =>
  state === "lost" ? `lost ${number((lostMs ?? 0) / 1000, 1)} s` : state;

/** Events: select and remove, each with detail = target id. */
export class Panel extends EventTarget {
  #ages = [];
  #rows = new Map(); // id -> {row, what}

  constructor() {
    super();
    element("dismiss").addEventListener("click", () => this.message(null));
  }

  /** The stream's own state: idle, connecting, connected or closed. */
  connection(state) {
    element("connection").dataset.state = state;
    element("connection").textContent = state;
  }

  /** A failure in plain words; null takes it away. */
  message(words) {
    element("message").hidden = !words;
    element("words").textContent = words ?? "";
  }

  /** Tells a screen reader what became of a target; wavering between tracking and uncertain would be noise. */
  announce({ label, state }, before) {
    const words = { lost: `${label} is lost`, reacquired: `${label} is back`, tracking: `Following ${label}` }[state];
    if (!words || (state === "tracking" && before !== "initializing")) return;
    element("announcer").textContent = words;
  }

  /** No stream: what its numbers said is over. */
  quiet() {
    for (const id of ["age", "fps-in", "fps-out"]) element(id).textContent = number(null);
    for (const id of ["left-out", "dropped", "skipped", "saved"]) element(id).textContent = "0";
    this.#ages = [];
    this.#drawSparkline();
  }

  /** Rates and drops of one result: fps {in, out}, frames dropped by the server, frames skipped here, bytes saved. */
  counts({ fps, dropped, skipped, saved }) {
    element("saved").textContent = number(saved / 1e6, saved ? 2 : 0);
    element("fps-in").textContent = number(fps?.in);
    element("fps-out").textContent = number(fps?.out);
    element("dropped").textContent = dropped;
    element("skipped").textContent = skipped;
    element("left-out").textContent = dropped + skipped;
  }

  /** The age in ms as it is now; `isNew` adds it to the sparkline. */
  age(ms, isNew) {
    element("age").textContent = number(ms);
    if (!isNew || ms == null) return;
    this.#ages.push(ms);
    if (this.#ages.length > SPARKLINE_RESULTS) this.#ages.shift();
    this.#drawSparkline();
  }

  /** Shows the selected target's state and score; null where there is none. */
  selected(target) {
    const state = target?.state ?? null;
    element("state").textContent = state ? stateWords(target) : "no target";
    for (const id of ["state", "score-bar"]) element(id).dataset.state = state ?? "";
    element("score").textContent = number(target?.score, 2);
    element("score-bar").value = target?.score ?? 0;
  }

  /** Adds a row for a target {id, label, colour}. */
  add({ id, label, colour }) {
    const row = document.createElement("li");
    const pick = document.createElement("button");
    const swatch = document.createElement("span");
    const what = document.createElement("span");
    const remove = document.createElement("button");
    pick.className = "pick";
    swatch.className = "swatch";
    swatch.style.backgroundColor = colour;
    what.className = "what";
    pick.append(swatch, label, what);
    pick.addEventListener("click", () => this.#tell("select", id));
    remove.className = "remove";
    remove.textContent = "✕";
    remove.setAttribute("aria-label", `Remove ${label}`);
    remove.addEventListener("click", () => this.#tell("remove", id));
    row.append(pick, remove);
    element("targets").append(row);
    this.#rows.set(id, { row, what });
    element("no-targets").hidden = true;
  }

  remove(id) {
    this.#rows.get(id)?.row.remove();
    this.#rows.delete(id);
    element("no-targets").hidden = this.#rows.size > 0;
  }

  /** State and score in a target's row, and whether it is the selected one. */
  row(target, isSelected) {
    const { row, what } = this.#rows.get(target.id);
    row.dataset.selected = isSelected;
    row.firstChild.setAttribute("aria-pressed", isSelected);
    what.textContent = target.score === null ? target.state : `${stateWords(target)}, ${number(target.score, 2)}`;
  }

  /** Fills the list of models: [{id, state, default}]; only ready ones can be chosen. */
  models(found) {
    const ready = found.filter((one) => one.state === "ready");
    element("model").replaceChildren(...ready.map((one) => new Option(one.id, one.id, one.default, one.default)));
  }

  #drawSparkline() {
    const canvas = element("sparkline");
    const width = (canvas.width = canvas.clientWidth * devicePixelRatio);
    const height = (canvas.height = canvas.clientHeight * devicePixelRatio);
    const context = canvas.getContext("2d");
    const top = Math.max(SPARKLINE_LEAST_MS, ...this.#ages);
    const left = 16 * devicePixelRatio;
    context.beginPath();
    this.#ages.forEach((age, index) => {
      const x = left + ((width - left - 2) * (index + SPARKLINE_RESULTS - this.#ages.length)) / (SPARKLINE_RESULTS - 1);
      context.lineTo(x, height - 2 - (height - 4) * (age / top));
    });
    context.strokeStyle = "#3ddc97";
    context.lineWidth = 1.5 * devicePixelRatio;
    context.lineJoin = "round";
    context.stroke();
    const words = this.#ages.length ? `, at most ${number(Math.max(...this.#ages))} ms` : "";
    canvas.setAttribute("aria-label", `Age of the last results${words}`);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
