/** The canvas: shows the frame that was answered with its boxes, and lets the user draw new ones. */

/** A second of video: results that come later than that have nothing to be drawn on. */
const RING_FRAMES = 30;
const SMALLEST_BOX = 4; // frame pixels, the server's limit

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * Events: draft (a pointer went down; the picture stands still until box or cancel), box ({box, seq}), cancel,
 * escape (nothing was being drawn), pause (the space bar).
 */
export class Picture extends EventTarget {
  #canvas;
  #context;
  #ring = new Map(); // seq -> ImageBitmap
  #boxes = []; // [{box, state, colour, label, score, lost_ms}] of the shown frame; score is null before an answer
  #anchor = null; // frame point where a drag began
  #draft = null; // [x, y, w, h] being drawn
  #stage;

  constructor(canvas, stage) {
    super();
    this.#canvas = canvas;
    this.#stage = stage;
    this.#context = canvas.getContext("2d");
    this.shown = null; // seq of the shown frame
    new ResizeObserver(() => this.#fit()).observe(stage);
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#stretch(event));
    canvas.addEventListener("pointerup", (event) => this.#finish(event));
    canvas.addEventListener("pointercancel", () => this.#cancel());
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Whether a drag holds the picture still. */
  get frozen() {
    return this.#anchor !== null;
  }

  get size() {
    const bitmap = this.#ring.get(this.shown);
    return bitmap ? [bitmap.width, bitmap.height] : null;
  }

  /** The bitmap of frame `seq`, if it is still in the ring. */
  bitmap(seq) {
    return this.#ring.get(seq);
  }

  /** Puts a frame into the ring; the oldest one leaves, but never the one on show. */
  keep(seq, bitmap) {
    this.#ring.set(seq, bitmap);
    for (const [old, oldBitmap] of this.#ring) {
      if (this.#ring.size <= RING_FRAMES) break;
      if (old === this.shown) continue;
      oldBitmap.close();
      this.#ring.delete(old);
    }
  }

  /** Shows frame `seq` with its boxes; false where the frame is gone or a drag holds the picture. */
  show(seq, boxes) {
    if (this.frozen || !this.#ring.has(seq)) return false;
    const before = this.size;
    this.shown = seq;
    this.#boxes = boxes;
    if (String(before) !== String(this.size)) this.#fit();
    else this.#draw();
    return true;
  }

  /** Forgets all frames and boxes. */
  clear() {
    for (const bitmap of this.#ring.values()) bitmap.close();
    this.#ring.clear();
    this.#boxes = [];
    this.#anchor = this.#draft = this.shown = null;
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** Makes the canvas as large as the stage allows, in device pixels so that lines and text are sharp. */
  #fit() {
    if (!this.size) return;
    const [width, height] = this.size;
    const roomy = getComputedStyle(this.#stage);
    const maxHeight = parseFloat(roomy.maxHeight) || this.#stage.clientHeight;
    const scale = Math.min(this.#stage.clientWidth / width, maxHeight / height);
    this.#canvas.style.width = `${Math.floor(width * scale)}px`;
    this.#canvas.style.height = `${Math.floor(height * scale)}px`;
    this.#canvas.width = Math.round(width * scale * devicePixelRatio);
    this.#canvas.height = Math.round(height * scale * devicePixelRatio);
    this.#draw();
  }

  #draw() {
    const bitmap = this.#ring.get(this.shown);
    if (!bitmap) return;
    const context = this.#context;
    const scale = this.#canvas.width / bitmap.width;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(bitmap, 0, 0, this.#canvas.width, this.#canvas.height);
    for (const shape of this.#boxes) this.#drawTarget(shape, scale);
    if (this.#draft) {
      this.#drawBox(this.#draft, scale, { colour: "#ffffff", dash: [5, 4], width: 2, fill: "#ffffff22" });
    }
  }

  #drawTarget({ box, state, colour, label, score, lost_ms: lostMs }, scale) {
    const style = {
      lost: { dash: [2, 6], width: 2, words: `${label} lost ${((lostMs ?? 0) / 1000).toFixed(1)} s` },
      uncertain: { dash: [9, 6], width: 2.5, words: `${label} ? ${score?.toFixed(2)}` },
    }[state] ?? { dash: [], width: 3, words: `${label} ${score?.toFixed(2) ?? ""}`.trim() };
    this.#drawBox(box, scale, { colour, ...style });
    this.#drawLabel(box, scale, colour, style.words, state === "lost");
  }

  #drawBox([x, y, w, h], scale, { colour, dash, width, fill }) {
    const context = this.#context;
    const line = width * devicePixelRatio;
    context.lineJoin = context.lineCap = "round";
    context.setLineDash(dash.map((length) => length * devicePixelRatio));
    // A dark line beneath keeps the box visible on any picture.
    for (const [stroke, thickness] of [["#000000a0", line + 2 * devicePixelRatio], [colour, line]]) {
      context.strokeStyle = stroke;
      context.lineWidth = thickness;
      context.strokeRect(x * scale, y * scale, w * scale, h * scale);
    }
    if (fill) {
      context.fillStyle = fill;
      context.fillRect(x * scale, y * scale, w * scale, h * scale);
    }
  }

  #drawLabel([x, y, , h], scale, colour, words, hollow) {
    const context = this.#context;
    const unit = devicePixelRatio;
    context.font = `600 ${13 * unit}px system-ui, "DejaVu Sans", sans-serif`;
    const width = context.measureText(words).width + 14 * unit;
    const height = 21 * unit;
    const left = clamp(x * scale - unit, 0, this.#canvas.width - width);
    const above = y * scale - height - 4 * unit;
    const top = above >= 0 ? above : Math.min((y + h) * scale + 4 * unit, this.#canvas.height - height);
    context.setLineDash([]);
    context.beginPath();
    context.roundRect(left, top, width, height, 5 * unit);
    context.fillStyle = hollow ? "#000000c0" : colour;
    context.fill();
    context.fillStyle = hollow ? colour : "#04110b";
    context.textBaseline = "middle";
    context.fillText(words, left + 7 * unit, top + height / 2 + unit);
  }

  // Pointer: mouse, pen and finger alike

  #point(event) {
    const bounds = this.#canvas.getBoundingClientRect();
    const [width, height] = this.size;
    const x = ((event.clientX - bounds.left) / bounds.width) * width;
    const y = ((event.clientY - bounds.top) / bounds.height) * height;
    return [clamp(x, 0, width), clamp(y, 0, height)];
  }

  #begin(event) {
    if (!event.isPrimary || event.button !== 0 || !this.size || this.frozen) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#anchor = this.#point(event);
    this.#draft = null;
    this.dispatchEvent(new Event("draft"));
  }

  #stretch(event) {
    if (!this.#anchor || !event.isPrimary) return;
    const [x, y] = this.#point(event);
    const [fromX, fromY] = this.#anchor;
    this.#draft = [Math.min(x, fromX), Math.min(y, fromY), Math.abs(x - fromX), Math.abs(y - fromY)];
    this.#draw();
  }

  #finish(event) {
    if (!this.#anchor || !event.isPrimary) return;
    this.#stretch(event);
    this.#release();
  }

  #release() {
    const box = this.#draft;
    this.#anchor = this.#draft = null;
    this.#draw();
    if (box && box[2] >= SMALLEST_BOX && box[3] >= SMALLEST_BOX) this.#tell("box", { box, seq: this.shown });
    else this.dispatchEvent(new Event("cancel"));
  }

  #cancel() {
    this.#draft = null;
    if (this.#anchor) this.#release();
    this.#draw();
  }

  // Keyboard: a box over the running picture, so that it starts on what is shown when Enter is pressed

  #key(event) {
    if (!this.size || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step && !this.frozen) this.#nudge(step, event.shiftKey);
    else if (event.key === "Enter" && !this.frozen) this.#enter();
    else if (event.key === "Escape" && (this.#draft || this.frozen)) this.#cancel();
    else if (event.key === "Escape") this.dispatchEvent(new Event("escape"));
    else if (event.key === " ") this.dispatchEvent(new Event("pause"));
    else return;
    event.preventDefault();
  }

  #nudge([dx, dy], resizes) {
    const [width, height] = this.size;
    const step = Math.max(2, Math.round(Math.max(width, height) / 100));
    const [x, y, w, h] = (this.#draft ??= this.#middle());
    if (resizes) {
      const [newW, newH] = [clamp(w + dx * step, SMALLEST_BOX, width - x), clamp(h + dy * step, SMALLEST_BOX, height - y)];
      this.#draft = [x, y, newW, newH];
    } else {
      this.#draft = [clamp(x + dx * step, 0, width - w), clamp(y + dy * step, 0, height - h), w, h];
    }
    this.#draw();
  }

  #enter() {
    const box = this.#draft;
    this.#draft = box ? null : this.#middle();
    this.#draw();
    if (box) {
      this.dispatchEvent(new Event("draft"));
      this.#tell("box", { box, seq: this.shown });
    }
  }

  #middle() {
    const [width, height] = this.size;
    const side = Math.round(Math.min(width, height) / 4);
    return [Math.round((width - side) / 2), Math.round((height - side) / 2), side, side];
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
