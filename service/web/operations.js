/** What was asked of a session and not answered yet. */

const ACK_TIMEOUT_MS = 10000;

/** What a failed target operation rejects with; `code` is the server's. */
export class LockonError extends Error {
  constructor(detail, code = "") {
    super(detail);
    this.name = "LockonError";
    this.code = code;
  }
}

/** Operations, each of which gets one ack, on whichever socket. */
export class Operations {
  #waiting = new Map(); // op -> {resolve, reject, timer, text}
  #count = 0;

  /** How many have no answer yet. */
  get size() {
    return this.#waiting.size;
  }

  /** Asks for one on the line, as soon as that is open. Resolves with the ack. */
  ask(line, type, settings) {
    const op = `op${++this.#count}`;
    const text = { type, op, ...settings };
    return new Promise((resolve, reject) => {
      const late = () => this.#reject(op, "The server did not answer in time.", "timeout");
      this.#waiting.set(op, { resolve, reject, timer: setTimeout(late, ACK_TIMEOUT_MS), text });
      if (line.state === WebSocket.OPEN) line.say(text);
      else if (line.state !== WebSocket.CONNECTING) this.#reject(op, "The stream is closed.", "closed");
    });
  }

  /** Says on a new socket what was not answered on the one before. */
  repeat(line) {
    for (const { text } of this.#waiting.values()) line.say(text);
  }

  /** An ack came. */
  answered(ack) {
    if (ack.ok) this.#taken(ack.op)?.resolve(ack);
    else this.#reject(ack.op, ack.detail ?? ack.code, ack.code);
  }

  /** There will be no answers any more. */
  close() {
    for (const op of [...this.#waiting.keys()]) this.#reject(op, "The stream was closed.", "closed");
  }

  #reject(op, detail, code) {
    this.#taken(op)?.reject(new LockonError(detail, code));
  }

  #taken(op) {
    const wait = this.#waiting.get(op);
    clearTimeout(wait?.timer);
    this.#waiting.delete(op);
    return wait;
  }
}
