/** The frames that are under way to the server, and how many there may be. */

/** So many before the server has said how many. */
const FIRST_CREDIT = { frames: 2, must: 4 };
/** Frames under way of those who send windows: the target must not have left its window by the time it is looked at. */
const SENDING_WINDOWS = 2;
/** A frame whose answer never comes (the server tells of rejected ones at most every 5 s) must not block for ever. */
const FORGET_FRAME_MS = 2000;
/** Must-process ones are looked at one after the other, however long that takes; one too many would be refused. */
const FORGET_MUST_MS = 10000;

/** Frames without an answer. `must` tells must-process frames, which have a credit of their own, from the others. */
export class UnderWay {
  #sentAt = new Map(); // seq -> {at: when sent, must}; oldest first
  credit = FIRST_CREDIT; // how many frames of either kind the server wants under way

  /** Whether one more may be sent. */
  hasRoom(must, sendsWindows) {
    this.#forgetOld();
    const credit = must ? this.credit.must : this.credit.frames;
    const count = [...this.#sentAt.values()].filter((frame) => frame.must === must).length;
    return count < Math.min(credit, sendsWindows ? SENDING_WINDOWS : credit);
  }

  sent(seq, must) {
    this.#sentAt.set(seq, { at: performance.now(), must });
  }

  /** What became of that frame is known. */
  ended(seq) {
    this.#sentAt.delete(seq);
  }

  /** A result came. They come in increasing order: what is older was dropped by the server. */
  answeredUpTo(seq) {
    for (const sent of this.#sentAt.keys()) if (sent <= seq) this.#sentAt.delete(sent);
  }

  /** The server tells how many it wants under way, and up to which number ordinary frames get no answer any more. */
  credited(credit) {
    this.credit = credit;
    for (const [seq, { must }] of this.#sentAt) if (!must && seq <= credit.done_seq) this.#sentAt.delete(seq);
  }

  clear() {
    this.#sentAt.clear();
  }

  #forgetOld() {
    const now = performance.now();
    for (const [seq, { at, must }] of this.#sentAt) {
      if (now - at > (must ? FORGET_MUST_MS : FORGET_FRAME_MS)) this.#sentAt.delete(seq);
    }
  }
}
