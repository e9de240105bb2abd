/**
 * Lockon's JavaScript client: an ES module without dependencies but its own parts, for pages and workers (it never
 * touches the DOM).
 *
 *   const link = new Lockon("/v1/stream", { targets: [{ id: "cup", box: [410, 220, 64, 60] }] });
 *   link.addEventListener("result", ({ detail }) => console.log(detail.seq, detail.targets[0].box));
 *   link.send(jpegBlob);                       // as often as you like: newest frames win, the others are counted
 *   await link.add({ id: "ball", box: [10, 20, 30, 30] }, { onSeq: link.lastSeq });
 *   const placement = link.placement(1280, 720);   // with what the tracker will look at, a small part is enough
 *   link.send(placement ? jpegOf(placement) : jpegBlob, { placement, size: [1280, 720] });
 *
 * When the line breaks, another one is opened and the session goes on, with the same targets; live frames that were
 * under way are not sent again. Where no server has the session any more, as after one that stopped, a new one takes its
 * place.
 *
 * Events: open (detail: the welcome message), result (plus true_age_ms and skipped), event, goaway, warning, error
 * (detail: {code, detail, fatal}), interrupted (detail: {code, words}) and then resumed (detail: the new welcome
 * message) or statelost (detail: {welcome, restarted, missing}, the last two ids of targets), and close (detail: {code,
 * reason, words, expected}).
 */

import { closeWords } from "./close_words.js";
import { frameHeader, Windows } from "./frames.js";
import { Line } from "./line.js";
import { LockonError, Operations } from "./operations.js";
import { Remembered } from "./remembered.js";
import { UnderWay } from "./under_way.js";

export { closeWords, frameHeader, LockonError };

/** Must-process frames that are kept until they may be sent. */
const MAX_WAITING = 8;

/** One stream to a Lockon server. It connects at once; listen for `open` and `close`. */
export class Lockon extends EventTarget {
  #line;
  #underWay = new UnderWay();
  #waiting = []; // must-process frames that came before the socket was open, or before the server had room for them
  #every; // whether each frame is a must-process one
  #operations = new Operations();
  #frameBytes = 0;
  #windows = new Windows();
  #remembered = null; // what a lost session is made anew from
  #resolveClosed;

  /**
   * url: "/v1/stream" (a session of its own) or a session's stream_url; http(s) and relative addresses work too.
   * targets: [{id?, box: [x, y, w, h], label?, on_seq?}]; mode: "latest" or "every".
   * cadence: the network looks at one frame in so many at least, while a target is calm. thresholds: when one counts as
   * lost, where the model's own will not do: {leave?, enter?, reacquire?, lost_after_ms?, give_up_ms?}.
   * ticket: where the server asks for one, a ticket or a function that gets one, which may be async. A ticket opens one
   * socket, so that only with a function a broken line can be opened again.
   * resumeSeconds: how long the server keeps the session when the line breaks; 0 ends it with the line.
   * reinitOnLoss: where no server has the session any more, make a new one, which follows the targets from their last
   * boxes, if these are less than a second old, or, in mode "every", a recording's.
   * Of an address that names a session, all but the ticket were settled when it was made.
   */
  constructor(
    url,
    {
      model = null,
      targets = [],
      mode = "latest",
      cadence = null,
      thresholds = null,
      ticket = null,
      resumeSeconds = 30,
      reinitOnLoss = true,
    } = {},
  ) {
    super();
    this.lastSeq = 0;
    this.skipped = 0;
    this.sent = 0;
    this.session = null;
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    this.#every = mode === "every";
    const create = { mode, targets, detached_ttl_s: resumeSeconds };
    const optional = { model: model || null, cadence, thresholds };
    for (const [name, value] of Object.entries(optional)) if (value !== null) create[name] = value;
    const makesSession = !String(url).includes("/sessions/");
    if (makesSession && reinitOnLoss) this.#remembered = new Remembered(create);
    this.#line = new Line(url, create, ticket, {
      remade: () => this.#remembered?.create() ?? null,
      opened: () => this.#opened(),
      welcomed: (message, first) => this.#welcomed(message, first),
      received: (message) => {
        this.#received(message);
        this.#sendWaiting(); // an answer makes room
      },
      interrupted: (detail) => this.#interrupted(detail),
      ended: (detail) => this.#ended(detail),
    });
  }

  /** Whether a frame sent now would go out; ask before the work of encoding one. */
  get ready() {
    if (this.#line.state !== WebSocket.OPEN || this.#waiting.length) return false;
    return this.#line.bufferedAmount <= this.#frameBytes && this.#hasRoom(this.#every);
  }

  /** How many frames were sent as windows. */
  get windows() {
    return this.#windows.count;
  }

  /** About how many bytes windows have saved: each counts as what the last whole frame took more. */
  get savedBytes() {
    return this.#windows.savedBytes;
  }

  /** Notes that a frame was left out by the caller because `ready` was false. */
  skip() {
    this.skipped += 1;
  }

  /**
   * The window that may be sent for a frame of this size, {x, y, width, height, fullWidth, fullHeight} in its pixels:
   * cut it out, scale it down to imageWidth x imageHeight (more would not be looked at), encode it, and give it to
   * `send` as `placement`. Null where the server needs the whole frame, or has not said yet what it will look at.
   */
  placement(fullWidth, fullHeight) {
    return this.#operations.size ? null : this.#windows.placement(fullWidth, fullHeight);
  }

  /**
   * Sends one JPEG, PNG or WebP image (Blob or ArrayBuffer) and returns its seq, or null if it was skipped.
   * seq must be larger than the last one; tsMs is the capture time on performance.now()'s clock.
   * must: processed whatever comes after it, and kept until it may be sent.
   * placement: where the image lies in its frame, if it is a window; size: [width, height] of a whole frame, which
   * those who send windows must state.
   */
  send(image, options = {}) {
    const { seq = this.lastSeq + 1, tsMs = performance.now(), must = false, placement = null, size = [] } = options;
    if (seq <= this.lastSeq) throw new RangeError(`seq ${seq} is not larger than the last one, ${this.lastSeq}`);
    const goes = must ? this.#line.state <= WebSocket.OPEN && this.#waiting.length < MAX_WAITING : this.ready;
    if (!goes) {
      this.skip();
      return null;
    }
    this.lastSeq = seq;
    const header = frameHeader({ ...options, seq, tsUs: tsMs * 1000, must, placement });
    const message = new Blob([header, image]);
    this.#windows.sent(seq, message.size, placement, size);
    if (must) {
      this.#waiting.push([seq, message]);
      this.#sendWaiting();
    } else {
      this.#sendFrame(seq, message, this.#every);
    }
    return seq;
  }

  /** Follows one more target: {box: [x, y, w, h], id?, label?}, seen in frame onSeq. Resolves with the ack. */
  add(target, { onSeq = "next" } = {}) {
    return this.#operations.ask(this.#line, "target.add", { ...target, on_seq: onSeq });
  }

  /** Starts a target anew at another box: {id, box}. */
  update(target, { onSeq = "next" } = {}) {
    return this.#operations.ask(this.#line, "target.update", { ...target, on_seq: onSeq });
  }

  /** Forgets a target. */
  remove(id) {
    return this.#operations.ask(this.#line, "target.remove", { id });
  }

  /**
   * Changes settings of the session, as session.update of the protocol does: {max_fps, cadence, thresholds, label ...};
   * null takes one away. {model, reinit: true} goes on with another model, which starts every target anew from its last
   * box; a lost one is followed no more. Resolves with the ack.
   */
  async change(settings) {
    const ack = await this.#operations.ask(this.#line, "session.update", settings);
    this.#remembered?.changed(settings);
    this.#windows.forget();
    return ack;
  }

  /** Ends the session. */
  close() {
    this.#line.close();
  }

  // Frames

  #hasRoom(must) {
    return this.#underWay.hasRoom(must, this.windows > 0);
  }

  #sendWaiting() {
    while (this.#waiting.length && this.#line.state === WebSocket.OPEN && this.#hasRoom(true)) {
      this.#sendFrame(...this.#waiting.shift(), true);
    }
  }

  #sendFrame(seq, message, must) {
    this.#line.send(message);
    this.#frameBytes = message.size;
    this.#underWay.sent(seq, must);
    this.sent += 1;
  }

  // What the line tells

  #opened() {
    this.#sendWaiting();
    this.#operations.repeat(this.#line);
  }

  #welcomed(message, first) {
    this.session = message.session;
    this.#underWay.credit = message.credit;
    this.#every = message.mode === "every";
    if (first || message.resumed) this.#tell(first ? "open" : "resumed", message);
    else this.#tell("statelost", this.#remembered.replaced(message));
    this.#sendWaiting();
  }

  #received(message) {
    switch (message.type) {
      case "result":
        if (message.epoch < this.#line.epoch) return undefined;
        this.#underWay.answeredUpTo(message.seq);
        this.#remembered?.saw(message);
        this.#windows.learn(message.seq, message.next ?? null);
        message.true_age_ms = message.ts_us == null ? null : performance.now() - message.ts_us / 1000;
        message.skipped = this.skipped;
        return this.#tell("result", message);
      case "ack":
        return this.#operations.answered(message);
      case "warning":
        if (message.code === "frame_rejected") this.#windows.forget(); // the next one would fare no better, if it was one
        this.#underWay.ended(message.seq ?? message.data?.seq);
        return this.#tell("warning", message);
      case "error":
        this.#underWay.ended(message.seq);
        return this.#tell("error", message);
      case "credit":
        return this.#underWay.credited(message);
      case "event":
      case "goaway":
        return this.#tell(message.type, message);
    }
    return undefined; // types of later versions are ignored
  }

  #interrupted(detail) {
    this.#windows.forget();
    this.#underWay.clear();
    this.#tell("interrupted", detail);
  }

  #ended(detail) {
    this.#operations.close();
    this.#underWay.clear();
    this.#tell("close", detail);
    this.#resolveClosed(detail);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
