/** What goes up: the header before each image, and which part of a frame is enough. */

const HEADER_BYTES = 32;
const MAGIC = 0x4c4b4f4e; // "LKON", the only big-endian field
const HEADER_VERSION = 1;
const KIND_FULL_FRAME = 0;
const KIND_WINDOW = 1;
const FLAG_MUST_PROCESS = 1 << 0;
const FLAG_DISCONTINUITY = 1 << 1;
const FLAG_TS_VALID = 1 << 2;
const FLAG_CLIENT_SCALED = 1 << 8;

/**
 * Windows are sent somewhat larger than `max_scale` allows. What is found is as good either way; but at this scale each
 * box comes nearer to that of whole frames, for a tenth more bytes (tests/benchmarks/windows.py).
 */
const SPARE_SCALE = 1.25;
/** A window is scaled down if that leaves at most this share of its pixels; otherwise it goes with those of the frame. */
const LARGEST_SHARE = 0.75;

/**
 * The 32 bytes before an image, little-endian but for the magic, as ArrayBuffer. placement: where a window lies in its
 * frame, {x, y, width, height, fullWidth, fullHeight} in frame pixels, and the size of its image if that is scaled
 * down, {imageWidth, imageHeight}; null for a whole frame.
 */
export function frameHeader({ seq, tsUs, must = false, discontinuity = false, placement = null }) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const scaled = placement && (placement.imageWidth ?? placement.width) !== placement.width;
  const flags =
    FLAG_TS_VALID |
    (must ? FLAG_MUST_PROCESS : 0) |
    (discontinuity ? FLAG_DISCONTINUITY : 0) |
    (scaled ? FLAG_CLIENT_SCALED : 0);
  view.setUint32(0, MAGIC, false);
  view.setUint8(4, HEADER_VERSION);
  view.setUint8(5, placement ? KIND_WINDOW : KIND_FULL_FRAME);
  view.setUint16(6, flags, true);
  view.setUint32(8, seq, true);
  view.setBigUint64(16, BigInt(Math.max(0, Math.round(tsUs))), true);
  if (placement) {
    const { x, y, width, height, fullWidth, fullHeight } = placement;
    [width, height].forEach((side, index) => view.setUint16(12 + 2 * index, side, true));
    [x, y, fullWidth, fullHeight].forEach((number, index) => view.setUint16(24 + 2 * index, number, true));
  }
  return view.buffer;
}

/** Width and height of a window's image: with as many pixels as the network needs, if that is worth it. */
export function imageSize(width, height, maxScale) {
  const imageWidth = Math.min(width, Math.ceil(width * maxScale * SPARE_SCALE));
  const imageHeight = Math.max(1, Math.round((imageWidth * height) / width));
  const worthIt = imageWidth * imageHeight <= LARGEST_SHARE * width * height;
  return worthIt ? [imageWidth, imageHeight] : [width, height];
}

/** What the server will look at in the next frame, and how many bytes it saved to send no more. */
export class Windows {
  #next = null; // what the server said of the next frame
  #whole = null; // the whole frames sent last: {size: "width x height", since: seq of the first one, bytes}
  count = 0;
  savedBytes = 0; // about: each window counts as what the last whole frame took more

  /** Notes what the result for frame `seq` said of the next one. What was said of a frame of another size holds no more. */
  learn(seq, next) {
    if (seq >= (this.#whole?.since ?? 0)) this.#next = next;
  }

  /** Whole frames, until the server says again what it will look at. */
  forget() {
    this.#next = null;
  }

  /** The part of a frame of this size that is enough; null for all of it. */
  placement(fullWidth, fullHeight) {
    const { full = true, window = null, max_scale: maxScale = 1 } = this.#next ?? {};
    if (full || !window || this.#whole?.size !== `${fullWidth} x ${fullHeight}`) return null;
    const [x, y, width, height] = window;
    const [imageWidth, imageHeight] = imageSize(width, height, maxScale);
    return { x, y, width, height, fullWidth, fullHeight, imageWidth, imageHeight };
  }

  /** Notes a frame that is sent; `size`: width and height of a whole one. */
  sent(seq, bytes, placement, size) {
    if (placement) {
      this.count += 1;
      this.savedBytes += this.#whole.bytes - bytes;
      return;
    }
    const [name, before] = [size.join(" x "), this.#whole];
    const same = before?.size === name;
    if (!same) this.#next = null;
    this.#whole = { size: name, bytes, since: same ? before.since : seq };
  }
}
