/** The way of the pictures: from the source to the canvas, and to the server where there is a stream. */

/**
 * While a box is drawn on a standing picture the server must still have that frame when the box comes. It keeps 16
 * frames and catches up on 8, so at most that many follow meanwhile.
 */
const DRAFT_FRAME_INTERVAL_MS = 250;
const DRAFT_FRAMES = 8;

export class Feed {
  #source;
  #picture;
  #wantsWindows;
  #stream = null;
  #primed = null; // settles when the frame a stream begins with, or a box is drawn on, is on its way
  #frameCount = 0; // seq of the newest frame
  #busy = false; // one frame is grabbed and encoded at a time
  #draft = null; // {sent, lastAt} while a box is drawn
  #resent = null; // {shown, seq}: the picture a box is drawn on, and the number it was sent with once more

  /** wantsWindows: a function that tells whether the parts of frames that the tracker will look at are enough. */
  constructor(source, picture, wantsWindows) {
    this.#source = source;
    this.#picture = picture;
    this.#wantsWindows = wantsWindows;
  }

  /** To be awaited before a target is added. */
  get primed() {
    return this.#primed;
  }

  /** Sends to this stream from now on, first the frame on show. */
  begin(stream) {
    const { shown } = this.#picture;
    this.#stream = stream;
    this.#resent = null;
    this.#prime(shown, () => shown);
  }

  /** No stream any more. */
  end() {
    this.#stream = this.#primed = null;
  }

  /** A box is being drawn on the frame on show. */
  beginDraft() {
    this.#draft = { sent: 0, lastAt: performance.now() };
    if (this.#stream?.windows && this.#primed === null) this.#resend();
  }

  endDraft() {
    this.#draft = null;
  }

  /** The number that the server knows the picture by which was shown as `seq`. */
  sentAs(seq) {
    return this.#resent?.shown === seq ? this.#resent.seq : seq;
  }

  /** The source has a new picture. */
  async take(tsMs) {
    if (document.hidden) return;
    if (this.#stream ? !this.#mayStream(tsMs) : this.#busy || this.#picture.frozen) return;
    const stream = this.#stream;
    this.#busy = true;
    try {
      const seq = ++this.#frameCount;
      const place = (...size) => (this.#sendsWindows() ? stream.placement(...size) : null);
      const grabbed = await this.#source.grab(stream !== null, place);
      if (!grabbed) return;
      this.#picture.keep(seq, grabbed.bitmap);
      if (!stream && !this.#stream) this.#picture.show(seq, []);
      else if (stream && stream === this.#stream) this.#send(seq, tsMs, grabbed);
    } finally {
      this.#busy = false;
    }
  }

  #send(seq, tsMs, { jpeg, placement, bitmap }) {
    const stream = this.#stream;
    if (seq <= stream.lastSeq) stream.skip(); // a picture was sent once more meanwhile
    else stream.send(jpeg, { seq, tsMs, placement, size: [bitmap.width, bitmap.height] });
  }

  /** Whole frames go out while a box is drawn, since the new target may be anywhere. */
  #sendsWindows() {
    return this.#wantsWindows() && !this.#draft;
  }

  /** Whether this frame goes to the server; counts it as skipped where the stream is what holds it back. */
  #mayStream(tsMs) {
    if (this.#primed !== null) return false;
    if (this.#draft) {
      const { sent, lastAt } = this.#draft;
      if (this.#busy || sent >= DRAFT_FRAMES || tsMs - lastAt < DRAFT_FRAME_INTERVAL_MS) return false;
      this.#draft = { sent: sent + 1, lastAt: tsMs };
    }
    if (!this.#busy && this.#stream.ready) return true;
    this.#stream.skip();
    return false;
  }

  /** Of the picture on show the server may have no more than a window, where no target can be started. */
  #resend() {
    const { shown } = this.#picture;
    this.#prime(shown, () => {
      const seq = ++this.#frameCount;
      this.#resent = { shown, seq };
      return seq;
    });
  }

  /** Sends the whole picture that is shown as `shown`, with the number that `numbered` gives when it is encoded. */
  #prime(shown, numbered) {
    const stream = this.#stream;
    const bitmap = this.#picture.bitmap(shown);
    const size = [bitmap.width, bitmap.height];
    this.#primed = this.#source.encode(bitmap).then((jpeg) => {
      stream.send(jpeg, { seq: numbered(), must: true, size });
      if (stream === this.#stream) this.#primed = null;
    });
  }
}
