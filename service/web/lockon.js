/**
 * Lockon's JavaScript client: an ES module without dependencies, for pages and workers (it never touches the DOM).
 *
 *   const link = new Lockon("/v1/stream", { targets: [{ id: "cup", box: [410, 220, 64, 60] }] });
 *   link.addEventListener("result", ({ detail }) => console.log(detail.seq, detail.targets[0].box));
 *   link.send(jpegBlob);                       // as often as you like: newest frames win, the others are counted
 *   await link.add({ id: "ball", box: [10, 20, 30, 30] }, { onSeq: link.lastSeq });
 *   const placement = link.placement(1280, 720);   // with what the tracker will look at, a small part is enough
 *   link.send(placement ? jpegOf(placement) : jpegBlob, { placement, size: [1280, 720] });
 *
 * When the line breaks, another one is opened and the session goes on, with the same targets; live frames that were
 * under way are not sent again.
 *
 * Events: open (detail: the welcome message), result (plus true_age_ms and skipped), event, warning, error
 * (detail: {code, detail, fatal}), interrupted (detail: {code, words}) and then resumed (detail: the new welcome
 * message), and close (detail: {code, reason, words, expected}).
 */

const SUBPROTOCOL = "lockon.v1";
const TICKET_PREFIX = "lockon.ticket.";
const HEADER_BYTES = 32;
const MAGIC = 0x4c4b4f4e; // "LKON", the only big-endian field
const KIND_FULL_FRAME = 0;
const KIND_WINDOW = 1;
const FLAG_MUST_PROCESS = 1 << 0;
const FLAG_DISCONTINUITY = 1 << 1;
const FLAG_TS_VALID = 1 << 2;
const HEADER_VERSION = 1;

/** Frames that may be under way before the server has said how many. */
const FIRST_CREDIT = { frames: 2, must: 4 };
/** Frames under way of those who send windows: the target must not have left its window by the time it is looked at. */
const SENDING_WINDOWS = 2;
/** A frame whose answer never comes (the server tells of rejected ones at most every 5 s) must not block for ever. */
const FORGET_FRAME_MS = 2000;
/** Must-process frames that are kept until they may be sent. */
const MAX_WAITING = 8;
const ACK_TIMEOUT_MS = 10000;
const CONNECT_TIMEOUT_MS = 10000;
/** Browsers send no pings of their own, and proxies cut idle lines. */
const PING_INTERVAL_MS = 15000;

/** Codes after which the session may still be there, and ours. */
const INTERRUPTIONS = new Set([1001, 1006, 1011, 1012, 1013]);
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30000;
/** To so many servers it goes in a row when each knows a better one. */
const MOST_SERVERS = 4;

const CLOSE_WORDS = {
  1000: "The server ended the stream.",
  1001: "The server is going away.",
  1006: "The connection to the server broke.",
  1008: "The server refused the connection.",
  1009: "The image is too large for the server.",
  1011: "The server failed, or the connection stopped answering.",
  1012: "The server is restarting. Try again in a moment.",
  1013: "The server is overloaded. Try again in a moment.",
  4400: "The server did not accept the request.",
  4401: "The access key is missing or has expired.",
  4403: "The access key does not allow this.",
  4404: "There is no such session.",
  4408: "The connection was idle for too long.",
  4409: "Another connection took the session over.",
  4410: "The session was deleted or has expired.",
  4413: "Too much data in too short a time.",
  4415: "The server could not use the images.",
  4422: "Too many invalid requests.",
  4429: "Too many frames in too short a time.",
  4503: "The server is full. Try again in a moment.",
};

/** A close code in plain words. */
export function closeWords(code, reason = "") {
  const words = CLOSE_WORDS[code] ?? "The server closed the connection.";
  return reason ? `${words} (${reason})` : words;
}

/** The address of a socket: http(s) becomes ws(s). */
function socketAddress(url, base) {
  const address = new URL(url, base);
  address.protocol = address.protocol.replace(/^http/, "ws");
  return address;
}

/** The address that a server at `address` names in a message; null for one that is not encrypted where this one is. */
function followed(address, url) {
  const there = socketAddress(url, address);
  return new URL(address).protocol === "wss:" && there.protocol !== "wss:" ? null : there;
}

/**
 * The 32 bytes before an image, little-endian but for the magic, as ArrayBuffer. placement: where a window lies in its
 * frame, {x, y, width, height, fullWidth, fullHeight} in frame pixels; null for a whole frame.
 */
export function frameHeader({ seq, tsUs, must = false, discontinuity = false, placement = null }) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  view.setUint32(0, MAGIC, false);
  view.setUint8(4, HEADER_VERSION);
  view.setUint8(5, placement ? KIND_WINDOW : KIND_FULL_FRAME);
  view.setUint16(6, FLAG_TS_VALID | (must ? FLAG_MUST_PROCESS : 0) | (discontinuity ? FLAG_DISCONTINUITY : 0), true);
  view.setUint32(8, seq, true);
  view.setBigUint64(16, BigInt(Math.max(0, Math.round(tsUs))), true);
  if (placement) {
    const { x, y, width, height, fullWidth, fullHeight } = placement;
    [width, height].forEach((side, index) => view.setUint16(12 + 2 * index, side, true));
    [x, y, fullWidth, fullHeight].forEach((number, index) => view.setUint16(24 + 2 * index, number, true));
  }
  return view.buffer;
}

/** What a failed target operation rejects with; `code` is the server's. */
export class LockonError extends Error {
  constructor(detail, code = "") {
    super(detail);
    this.name = "LockonError";
    this.code = code;
  }
}

/** One stream to a Lockon server. It connects at once; listen for `open` and `close`. */
export class Lockon extends EventTarget {
  #socket = null; // until the ticket is there
  #sentAt = new Map(); // seq -> {at: when sent, must}, of frames without an answer; oldest first
  #waiting = []; // must-process frames that came before the socket was open, or before the server had room for them
  #credit = FIRST_CREDIT; // how many frames of either kind the server wants under way
  #every; // whether each frame is a must-process one
  #operations = new Map(); // op -> {resolve, reject, timer}
  #operationCount = 0;
  #frameBytes = 0;
  #next = null; // what the server said of the next frame
  #whole = null; // the whole frames sent last: {size: "width x height", since: seq of the first one, bytes}
  #pinger;
  #silent = false; // nothing was heard since the last ping
  #connectTimer;
  #resume = null; // {token, until}: what the next socket goes on with, and the time after which it need not try
  #ttlMs = 0; // how long the server keeps the session
  #epoch = 0; // which socket of the session this is
  #attempts = 0; // to open the next socket
  #retry = null; // timer until the next attempt
  #reconnect; // opens the next socket
  #home; // the first address
  #address; // where the next socket is opened: that of the server that had the session last, or a better one
  #greeting = null; // what the present socket began with
  #hops = 0; // servers in a row that knew a better one
  #left = false; // the present socket was left on purpose, so that there is nothing to wait for
  #closing = false;
  #over = false;
  #fatal = null;
  #resolveClosed;

  /**
   * url: "/v1/stream" (a session of its own) or a session's stream_url; http(s) and relative addresses work too.
   * targets: [{id?, box: [x, y, w, h], label?, on_seq?}]; mode: "latest" or "every".
   * ticket: where the server asks for one, a ticket or a function that gets one, which may be async. A ticket opens one
   * socket, so that only with a function a broken line can be opened again.
   * resumeSeconds: how long the server keeps the session when the line breaks; 0 ends it with the line.
   */
  constructor(url, { model = null, targets = [], mode = "latest", ticket = null, resumeSeconds = 30 } = {}) {
    super();
    this.lastSeq = 0;
    this.skipped = 0;
    this.sent = 0;
    this.windows = 0;
    this.savedBytes = 0; // about: each window counts as what the last whole frame took more
    this.session = null;
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    const address = socketAddress(url, globalThis.location?.href);
    this.#home = this.#address = address;
    this.#every = mode === "every";
    const create = { mode, targets, detached_ttl_s: resumeSeconds, ...(model ? { model } : {}) };
    const makesSession = !address.pathname.includes("/sessions/");
    this.#reconnect = typeof ticket === "string" ? null : (greeting) => this.#open(this.#address, ticket, greeting);
    this.#open(address, ticket, makesSession ? { create } : {});
  }

  #open(address, ticket, greeting) {
    this.#greeting = greeting;
    this.#connectTimer = setTimeout(() => this.#giveUp("no answer from the server"), CONNECT_TIMEOUT_MS);
    if (ticket === null) this.#connect(address, SUBPROTOCOL, greeting);
    else this.#connectWith(ticket, address, greeting);
  }

  get #state() {
    if (this.#retry !== null) return WebSocket.CONNECTING;
    return this.#socket?.readyState ?? (this.#over ? WebSocket.CLOSED : WebSocket.CONNECTING);
  }

  /** Whether a frame sent now would go out; ask before the work of encoding one. */
  get ready() {
    this.#forgetOld();
    if (this.#state !== WebSocket.OPEN || this.#waiting.length) return false;
    return this.#socket.bufferedAmount <= this.#frameBytes && this.#hasCredit(this.#every);
  }

  #hasCredit(must) {
    const credit = must ? this.#credit.must : this.#credit.frames;
    const underWay = [...this.#sentAt.values()].filter((frame) => frame.must === must).length;
    return underWay < Math.min(credit, this.windows ? SENDING_WINDOWS : credit);
  }

  /** Notes that a frame was left out by the caller because `ready` was false. */
  skip() {
    this.skipped += 1;
  }

  /**
   * The window that may be sent for a frame of this size: cut it out, encode it, and give it to `send` as `placement`.
   * Null where the server needs the whole frame, or has not said yet what it will look at.
   */
  placement(fullWidth, fullHeight) {
    const { full = true, window = null } = this.#next ?? {};
    if (full || !window || this.#operations.size || this.#whole?.size !== `${fullWidth} x ${fullHeight}`) return null;
    const [x, y, width, height] = window;
    return { x, y, width, height, fullWidth, fullHeight };
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
    const goes = must ? this.#state <= WebSocket.OPEN && this.#waiting.length < MAX_WAITING : this.ready;
    if (!goes) {
      this.skip();
      return null;
    }
    this.lastSeq = seq;
    const header = frameHeader({ ...options, seq, tsUs: tsMs * 1000, must, placement });
    const message = new Blob([header, image]);
    this.#note(seq, message.size, placement, size.join(" x "));
    if (must) {
      this.#waiting.push([seq, message]);
      this.#sendWaiting();
    } else {
      this.#sendFrame(seq, message, this.#every);
    }
    return seq;
  }

  #sendWaiting() {
    this.#forgetOld();
    while (this.#waiting.length && this.#state === WebSocket.OPEN && this.#hasCredit(true)) {
      this.#sendFrame(...this.#waiting.shift(), true);
    }
  }

  #note(seq, bytes, placement, size) {
    if (placement) {
      this.windows += 1;
      this.savedBytes += this.#whole.bytes - bytes;
      return;
    }
    const same = this.#whole?.size === size;
    if (!same) this.#next = null;
    this.#whole = { size, bytes, since: same ? this.#whole.since : seq };
  }

  /** Follows one more target: {box: [x, y, w, h], id?, label?}, seen in frame onSeq. Resolves with the ack. */
  add(target, { onSeq = "next" } = {}) {
    return this.#operate("target.add", { ...target, on_seq: onSeq });
  }

  /** Starts a target anew at another box: {id, box}. */
  update(target, { onSeq = "next" } = {}) {
    return this.#operate("target.update", { ...target, on_seq: onSeq });
  }

  /** Forgets a target. */
  remove(id) {
    return this.#operate("target.remove", { id });
  }

  /** Ends the session. */
  close() {
    if (this.#closing) return;
    this.#closing = true;
    if (this.#state === WebSocket.OPEN) this.#sendText({ type: "bye", keep: false });
    if (this.#socket && this.#retry === null) this.#socket.close(1000);
    else this.#ended(1000, "");
  }

  async #connectWith(ticket, address, greeting) {
    try {
      const text = typeof ticket === "function" ? await ticket() : ticket;
      if (!this.#over) this.#connect(address, [SUBPROTOCOL, TICKET_PREFIX + text], greeting);
    } catch (error) {
      if (!this.#over) this.#ended(this.#epoch ? 1006 : 4401, error.message);
    }
  }

  #connect(address, protocols, greeting) {
    this.#socket = new WebSocket(address, protocols);
    this.#socket.onopen = () => this.#opened(greeting);
    this.#socket.onmessage = ({ data }) => {
      this.#received(JSON.parse(data));
      this.#sendWaiting(); // an answer makes room
    };
    this.#socket.onclose = (event) => this.#ended(event.code, event.reason);
  }

  #opened(greeting) {
    this.#sendText({ type: "hello", versions: [1], client: { name: "lockon-js", version: "0.1.0" }, ...greeting });
    this.#silent = false;
    this.#pinger = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    this.#sendWaiting();
    for (const { text } of this.#operations.values()) this.#sendText(text);
  }

  /** A server that vanished without a close, by a pulled cable or a sleeping machine, shows by its silence. */
  #ping() {
    if (this.#silent) {
      this.#giveUp("no answer from the server");
      return;
    }
    this.#silent = true;
    this.#sendText({ type: "ping", n: ++this.#operationCount, t_ms: performance.now() });
  }

  #sendFrame(seq, message, must) {
    this.#socket.send(message);
    this.#frameBytes = message.size;
    this.#sentAt.set(seq, { at: performance.now(), must });
    this.sent += 1;
  }

  #sendText(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #operate(type, target) {
    const op = `op${++this.#operationCount}`;
    const text = { type, op, ...target };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#settle(op, (wait) => wait.reject(new LockonError("The server did not answer in time.", "timeout"))),
        ACK_TIMEOUT_MS,
      );
      this.#operations.set(op, { resolve, reject, timer, text });
      if (this.#state === WebSocket.OPEN) this.#sendText(text);
      else if (this.#state !== WebSocket.CONNECTING) {
        this.#settle(op, (wait) => wait.reject(new LockonError("The stream is closed.", "closed")));
      }
    });
  }

  #settle(op, how) {
    const wait = this.#operations.get(op);
    if (!wait) return;
    clearTimeout(wait.timer);
    this.#operations.delete(op);
    how(wait);
  }

  #received(message) {
    this.#silent = false;
    switch (message.type) {
      case "welcome":
        return this.#welcomed(message);
      case "result":
        if (message.epoch < this.#epoch) return undefined;
        this.#answeredUpTo(message.seq);
        // What was said of a frame of another size holds no more.
        if (message.seq >= (this.#whole?.since ?? 0)) this.#next = message.next ?? null;
        message.true_age_ms = message.ts_us == null ? null : performance.now() - message.ts_us / 1000;
        message.skipped = this.skipped;
        return this.#tell("result", message);
      case "ack":
        return this.#settle(message.op, (wait) => {
          if (message.ok) wait.resolve(message);
          else wait.reject(new LockonError(message.detail ?? message.code, message.code));
        });
      case "warning":
        this.#sentAt.delete(message.seq ?? message.data?.seq);
        return this.#tell("warning", message);
      case "error":
        this.#sentAt.delete(message.seq);
        if (message.fatal) this.#fatal = message;
        if (message.fatal && message.stream_url && this.#reconnect) return undefined; // it goes on there
        return this.#tell("error", message);
      case "credit":
        this.#credit = message;
        for (const [seq, { must }] of this.#sentAt) if (!must && seq <= message.done_seq) this.#sentAt.delete(seq);
        return undefined;
      case "ping":
        return this.#sendText({ type: "pong", n: message.n, t_ms: message.t_ms, clock_ms: performance.now() });
      case "event":
        if (message.kind !== "token") return this.#tell("event", message);
        this.#mayResume(message.data.resume_token);
        return undefined;
      case "goaway":
        // The session ends with this server, unless there is a token for another one.
        if (message.reason === "draining") this.#resume = null;
        if (message.resume_token) this.#leaveSoon(message);
        return this.#tell("goaway", message);
    }
    return undefined; // types of later versions are ignored
  }

  #welcomed(message) {
    clearTimeout(this.#connectTimer);
    const first = this.#epoch === 0;
    this.session = message.session;
    this.#epoch = message.epoch;
    this.#credit = message.credit;
    this.#every = message.mode === "every";
    this.#attempts = this.#hops = 0;
    this.#ttlMs = message.resume_ttl_s * 1000;
    this.#mayResume(message.resume_token);
    this.#tell(first ? "open" : "resumed", message);
  }

  #mayResume(token) {
    this.#resume = token && this.#reconnect ? { token, until: null } : null;
  }

  /** Another server goes on with the session; not all clients shall come there at once. */
  #leaveSoon({ resume_token: token, reconnect_after_ms: [low, high], stream_url: url = null }) {
    this.#mayResume(token);
    const socket = this.#socket;
    const leave = () => {
      if (socket !== this.#socket || socket.readyState !== WebSocket.OPEN) return;
      socket.close(); // without bye, so that the session is kept
      this.#left = true;
      this.#address = (url && followed(this.#home, url)) ?? this.#home;
      this.#ended(1001, "");
    };
    setTimeout(leave, low + Math.random() * (high - low));
  }

  /** Goes to the server that the last one named as a better one; false if it named none. */
  #followed() {
    const url = this.#fatal?.stream_url;
    if (!url || this.#closing || !this.#reconnect || ++this.#hops >= MOST_SERVERS) return false;
    const address = followed(this.#socket.url, url);
    if (!address) return false;
    this.#fatal = null;
    this.#address = address;
    this.#reconnect(this.#greeting);
    return true;
  }

  /** Tries to go on with the session on another socket; false if there is no use in that. */
  #interrupted(code, reason) {
    const now = performance.now();
    const failed = this.#fatal && code === 1011;
    if (this.#closing || failed || !this.#resume || !INTERRUPTIONS.has(code)) return false;
    if (this.#resume.until === null) {
      this.#resume.until = now + this.#ttlMs;
      this.#next = null;
      this.#sentAt.clear();
      this.#tell("interrupted", { code, words: closeWords(code, reason) });
    } else if (now > this.#resume.until) {
      return false;
    }
    const wait = this.#left ? 0 : this.#fatal?.retry_after_ms;
    this.#fatal = null;
    // What one server said of another may be out of date: the first address is always left.
    if (this.#attempts > 0) this.#address = this.#home;
    const jitter = Math.random() * Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempts);
    const delay = wait === undefined ? jitter : wait + Math.min(jitter, wait / 4);
    this.#attempts += 1;
    this.#left = false;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#reconnect({ resume: { token: this.#resume.token, epoch: this.#epoch } });
    }, delay);
    return true;
  }

  /** Results come in increasing order: what is older than `seq` was dropped by the server. */
  #answeredUpTo(seq) {
    for (const sent of this.#sentAt.keys()) if (sent <= seq) this.#sentAt.delete(sent);
  }

  #forgetOld() {
    const limit = performance.now() - FORGET_FRAME_MS;
    for (const [seq, { at }] of this.#sentAt) if (at < limit) this.#sentAt.delete(seq);
  }

  #giveUp(reason) {
    this.#socket?.close();
    this.#ended(1006, reason);
  }

  #ended(code, reason) {
    if (this.#socket) this.#socket.onclose = this.#socket.onmessage = this.#socket.onopen = null;
    clearInterval(this.#pinger);
    clearTimeout(this.#connectTimer);
    clearTimeout(this.#retry);
    this.#retry = null;
    if (this.#followed() || this.#interrupted(code, reason)) return;
    this.#over = true;
    for (const op of [...this.#operations.keys()]) {
      this.#settle(op, (wait) => wait.reject(new LockonError("The stream was closed.", "closed")));
    }
    this.#sentAt.clear();
    const words = this.#fatal?.detail ?? closeWords(code, reason);
    const detail = { code, reason, words, error: this.#fatal?.code ?? null, expected: this.#closing };
    this.#tell("close", detail);
    this.#resolveClosed(detail);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
