/** The line to the server: one socket after another, so that a broken line is an interruption and not the end. */

import { closeWords } from "./close_words.js";

const SUBPROTOCOL = "lockon.v1";
const TICKET_PREFIX = "lockon.ticket.";
const CONNECT_TIMEOUT_MS = 10000;
/** Browsers send no pings of their own, and proxies cut idle lines. */
const PING_INTERVAL_MS = 15000;

/** Codes after which the session may still be there, and ours. */
const INTERRUPTIONS = new Set([1001, 1006, 1011, 1012, 1013]);
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30000;
/** After this part of the session's time, and before its end, the last try is made: it has to arrive. */
const LAST_TRY = 0.9;
/** To so many servers it goes in a row when each knows a better one. */
const MOST_SERVERS = 4;

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
 * What is said and heard, whichever socket it is. `on` is told: opened() when a socket is open and `hello` said,
 * received(message) for what is not the line's own business, welcomed(message, first), interrupted(detail), and
 * ended(detail) once, when no other socket will be opened; and asked remade() for the body of a session in place of one
 * that is lost, null for none.
 */
export class Line {
  epoch = 0; // which socket of the session this is
  #on;
  #ticket; // null, a ticket, or a function that gets one
  #socket = null; // none while a ticket is awaited
  #opening = 0; // counts the tries to open a socket, so that a ticket that comes too late opens none
  #connectTimer;
  #pinger;
  #pings = 0;
  #silent = false; // nothing was heard since the last ping
  #token = null; // what the next socket resumes the session with
  #broken = null; // {code, reason, until, last}: the interruption that lasts, the time of the last try, and whether that is made
  #ttlMs = 0; // how long the server keeps the session
  #attempts = 0; // to open the next socket
  #retry = null; // timer until the next attempt
  #home; // the first address
  #address; // where the next socket is opened: that of the server that had the session last, or a better one
  #greeting; // what the present socket began with
  #hops = 0; // servers in a row that knew a better one
  #left = false; // the present socket was left on purpose, so that there is nothing to wait for
  #closing = false;
  #over = false;
  #fatal = null; // the fatal error that the server said last

  /** Opens the first socket, at once. `create`: the session that is made, unless the address names one. */
  constructor(url, create, ticket, on) {
    this.#on = on;
    this.#ticket = ticket;
    this.#home = this.#address = socketAddress(url, globalThis.location?.href);
    this.#open(this.#home.pathname.includes("/sessions/") ? {} : { create });
  }

  /** A readyState of WebSocket, for whichever socket there is or will be. */
  get state() {
    if (this.#retry !== null) return WebSocket.CONNECTING;
    return this.#socket?.readyState ?? (this.#over ? WebSocket.CLOSED : WebSocket.CONNECTING);
  }

  /** Bytes that wait in the open socket. */
  get bufferedAmount() {
    return this.#socket.bufferedAmount;
  }

  /** Sends a binary message on the open socket. */
  send(blob) {
    this.#socket.send(blob);
  }

  /** Sends a message of text on the open socket. */
  say(message) {
    this.#socket.send(JSON.stringify(message));
  }

  /** Ends the session. */
  close() {
    if (this.#closing) return;
    this.#closing = true;
    if (this.state === WebSocket.OPEN) this.say({ type: "bye", keep: false });
    if (this.#socket && this.#retry === null) this.#socket.close(1000);
    else this.#ended(1000, "");
  }

  // One socket

  #open(greeting) {
    this.#greeting = greeting;
    this.#socket = null;
    this.#connectTimer = setTimeout(() => this.#giveUp("no answer from the server"), CONNECT_TIMEOUT_MS);
    if (this.#ticket === null) this.#connect(SUBPROTOCOL);
    else this.#connectWithTicket();
  }

  async #connectWithTicket() {
    const opening = ++this.#opening;
    try {
      const ticket = typeof this.#ticket === "function" ? await this.#ticket() : this.#ticket;
      if (opening === this.#opening) this.#connect([SUBPROTOCOL, TICKET_PREFIX + ticket]);
    } catch (error) {
      if (opening === this.#opening) this.#ended(this.epoch ? 1006 : 4401, error.message);
    }
  }

  #connect(protocols) {
    this.#socket = new WebSocket(this.#address, protocols);
    this.#socket.onopen = () => this.#opened();
    this.#socket.onmessage = ({ data }) => this.#received(JSON.parse(data));
    this.#socket.onclose = (event) => this.#ended(event.code, event.reason);
  }

  #opened() {
    const client = { name: "lockon-js", version: "0.1.0" };
    this.say({ type: "hello", versions: [1], client, ...this.#greeting });
    this.#silent = false;
    this.#pinger = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    this.#on.opened();
  }

  /** A server that vanished without a close, by a pulled cable or a sleeping machine, shows by its silence. */
  #ping() {
    if (this.#silent) {
      this.#giveUp("no answer from the server");
      return;
    }
    this.#silent = true;
    this.say({ type: "ping", n: ++this.#pings, t_ms: performance.now() });
  }

  #received(message) {
    this.#silent = false;
    switch (message.type) {
      case "welcome":
        return this.#welcomed(message);
      case "ping":
        return this.say({ type: "pong", n: message.n, t_ms: message.t_ms, clock_ms: performance.now() });
      case "event":
        if (message.kind === "token") return this.#mayResume(message.data.resume_token);
        break;
      case "error":
        if (message.fatal) this.#fatal = message;
        if (message.fatal && message.stream_url && this.#mayReconnect) return undefined; // it goes on there
        break;
      case "goaway":
        // The session ends with this server, unless there is a token for another one.
        if (message.reason === "draining") this.#token = null;
        if (message.resume_token && this.#mayReconnect) this.#leaveSoon(message);
    }
    return this.#on.received(message);
  }

  #welcomed(message) {
    clearTimeout(this.#connectTimer);
    const first = this.epoch === 0;
    this.epoch = message.epoch;
    this.#attempts = this.#hops = 0;
    this.#broken = null;
    this.#ttlMs = message.resume_ttl_s * 1000;
    this.#mayResume(message.resume_token);
    this.#on.welcomed(message, first);
  }

  #giveUp(reason) {
    this.#socket?.close();
    this.#ended(1006, reason);
  }

  #ended(code, reason) {
    this.#opening += 1;
    if (this.#socket) this.#socket.onclose = this.#socket.onmessage = this.#socket.onopen = null;
    clearInterval(this.#pinger);
    clearTimeout(this.#connectTimer);
    clearTimeout(this.#retry);
    this.#retry = null;
    if (!this.#followed() && !this.#interrupted(code, reason)) this.#finish(code, reason);
  }

  #finish(code, reason) {
    this.#over = true;
    const words = this.#fatal?.detail ?? closeWords(code, reason);
    this.#on.ended({ code, reason, words, error: this.#fatal?.code ?? null, expected: this.#closing });
  }

  // The next socket

  /** A ticket opens one socket, so that only with a function that gets them a line can be opened again. */
  get #mayReconnect() {
    return typeof this.#ticket !== "string";
  }

  #mayResume(token) {
    this.#token = this.#mayReconnect ? token : null;
  }

  /** Another server goes on with the session; not all clients shall come there at once. */
  #leaveSoon({ resume_token: token, reconnect_after_ms: [low, high], stream_url: url = null }) {
    this.#token = token;
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
    if (!url || this.#closing || !this.#mayReconnect || ++this.#hops >= MOST_SERVERS) return false;
    const address = followed(this.#socket.url, url);
    if (!address) return false;
    this.#fatal = null;
    this.#address = address;
    this.#open(this.#greeting);
    return true;
  }

  /** Tries to go on with the session on another socket; false if there is no use in that. */
  #interrupted(code, reason) {
    const now = performance.now();
    const failed = this.#fatal && code === 1011;
    if (this.#closing || failed || !INTERRUPTIONS.has(code)) return false;
    if (this.#broken === null) {
      if (this.#nextGreeting() === null) return false;
      // Those who lost the same server should not make their last try at once.
      const until = now + this.#ttlMs * (LAST_TRY + Math.random() * (1 - LAST_TRY));
      this.#broken = { code, reason, until, last: false };
      this.#on.interrupted({ code, words: closeWords(code, reason) });
    } else if (this.#broken.last) {
      return false;
    }
    const wait = this.#left ? 0 : this.#fatal?.retry_after_ms;
    this.#fatal = null;
    // What one server said of another may be out of date: the first address is always left.
    if (this.#attempts > 0) this.#address = this.#home;
    const jitter = Math.random() * Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempts);
    const wanted = wait === undefined ? jitter : wait + Math.min(jitter, wait / 4);
    const left = Math.max(0, this.#broken.until - now);
    this.#broken.last = wanted >= left;
    this.#attempts += 1;
    this.#left = false;
    this.#retry = setTimeout(() => this.#tryAgain(), Math.min(wanted, left));
    return true;
  }

  #tryAgain() {
    this.#retry = null;
    const greeting = this.#nextGreeting();
    if (greeting === null) this.#finish(this.#broken.code, this.#broken.reason);
    else this.#open(greeting);
  }

  /** What the next socket begins with; null if there is nothing to go on with. */
  #nextGreeting() {
    if (!this.#mayReconnect) return null;
    const create = this.#on.remade();
    if (this.#token) return { resume: { token: this.#token, epoch: this.epoch }, ...(create ? { create } : {}) };
    // A server that stops may take the session with it; whoever wants one that ends with its line has it so.
    return create && this.#ttlMs ? { create } : null;
  }
}
