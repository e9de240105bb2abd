/** Where the picture comes from: a camera or a video file, as a run of frames drawn to the size that is sent. */

/** Larger pictures cost upload and decoding time, and the tracker looks at a few hundred pixels anyway. */
const LONG_SIDE = 1280;
const JPEG_QUALITY = 0.8;

const CAMERA_WORDS = {
  NotAllowedError: "The camera was refused. Allow it beside the browser's address bar, or open a video file.",
  NotFoundError: "No camera was found. Connect one, or open a video file.",
  NotReadableError: "The camera is in use by another program.",
  OverconstrainedError: "This camera is not there any more. Choose another one.",
};

/**
 * Plays into a <video> and calls `onFrame(tsMs)` for each picture; `tsMs` is on performance.now()'s clock.
 * Event: unplugged (the camera went away; the source is closed).
 */
export class Source extends EventTarget {
  #video;
  #stream = null;
  #fileUrl = null;
  #canvas = new OffscreenCanvas(1, 1);
  #context = this.#canvas.getContext("2d", { alpha: false });
  #window = new OffscreenCanvas(1, 1);
  #windowContext = this.#window.getContext("2d", { alpha: false });
  #openings = 0;

  constructor(video, onFrame) {
    super();
    this.#video = video;
    this.kind = null; // null, "camera" or "file"
    const next = (callback) =>
      video.requestVideoFrameCallback
        ? video.requestVideoFrameCallback(callback)
        : requestAnimationFrame((now) => callback(now, null));
    let lastTime = -1;
    const each = (now, metadata) => {
      next(each);
      // Without metadata (no requestVideoFrameCallback) a new picture shows by the time line having moved.
      if (!this.kind || video.readyState < 2 || (!metadata && video.currentTime === lastTime)) return;
      lastTime = video.currentTime;
      onFrame(Math.min(metadata?.captureTime ?? now, performance.now()));
    };
    next(each);
  }

  get paused() {
    return this.#video.paused;
  }

  /** The open camera's id, or "". */
  get cameraId() {
    return this.#stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
  }

  /**
   * Opens a camera (any one where deviceId is ""). False where another source was asked for meanwhile.
   * Throws an Error in plain words; what played before goes on then.
   */
  async openCamera(deviceId) {
    const opening = ++this.#openings;
    if (!navigator.mediaDevices) {
      throw new Error("The camera needs https or localhost. Open this page by one of them, or open a video file.");
    }
    const device = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "environment" };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...device, width: { ideal: 1280 } }, audio: false });
    } catch (error) {
      if (opening !== this.#openings) return false;
      throw new Error(CAMERA_WORDS[error.name] ?? `The camera cannot be used: ${error.message}`, { cause: error });
    }
    if (opening !== this.#openings) {
      for (const track of stream.getTracks()) track.stop();
      return false;
    }
    this.close();
    this.#stream = stream;
    this.#video.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (stream !== this.#stream) return;
      this.close();
      this.dispatchEvent(new Event("unplugged"));
    });
    return this.#play("camera", this.#openings, () => "The camera gives no picture.");
  }

  /** Opens a video file. False where another source was asked for meanwhile. Throws an Error in plain words. */
  async openFile(file) {
    this.close();
    this.#fileUrl = URL.createObjectURL(file);
    this.#video.src = this.#fileUrl;
    const words = () => `This browser cannot play ${file.name}. MP4 (H.264) and WebM usually work.`;
    return this.#play("file", this.#openings, words);
  }

  pause() {
    this.#video.pause();
  }

  resume() {
    if (this.kind) this.#video.play();
  }

  set loop(value) {
    this.#video.loop = value;
  }

  close() {
    this.#openings += 1;
    this.#stream?.getTracks().forEach((track) => track.stop());
    if (this.#fileUrl) URL.revokeObjectURL(this.#fileUrl);
    this.#video.srcObject = this.#stream = this.#fileUrl = null;
    this.#video.removeAttribute("src");
    this.kind = null;
  }

  /**
   * The picture of now: {bitmap, jpeg, placement}; jpeg is null unless asked for. Null if closed meanwhile.
   * choosePlacement(width, height) gives the part that the jpeg shows, {x, y, width, height, imageWidth, imageHeight},
   * or null for all of it.
   */
  async grab(withJpeg, choosePlacement) {
    const opening = this.#openings;
    const { videoWidth, videoHeight } = this.#video;
    const scale = Math.min(1, LONG_SIDE / Math.max(videoWidth, videoHeight));
    this.#draw(this.#video, Math.round(videoWidth * scale), Math.round(videoHeight * scale));
    const placement = withJpeg ? choosePlacement(this.#canvas.width, this.#canvas.height) : null;
    const encoding = withJpeg ? this.#encoded(placement) : null;
    const [bitmap, jpeg] = await Promise.all([createImageBitmap(this.#canvas), encoding]);
    if (opening === this.#openings) return { bitmap, jpeg, placement };
    bitmap.close();
    return null;
  }

  /** JPEG of a bitmap that was grabbed before. */
  async encode(bitmap) {
    this.#draw(bitmap, bitmap.width, bitmap.height);
    return this.#encoded();
  }

  /** Starts what was just set; a file of sound alone plays, but has no picture to follow anything in. */
  async #play(kind, opening, words) {
    let problem = null;
    try {
      await this.#video.play();
    } catch (error) {
      problem = error;
    }
    if (opening !== this.#openings) return false;
    if (problem || !this.#video.videoWidth) {
      this.close();
      throw new Error(words(), { cause: problem });
    }
    this.kind = kind;
    return true;
  }

  #draw(image, width, height) {
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
    this.#context.drawImage(image, 0, 0, width, height);
  }

  #encoded(placement = null) {
    const canvas = placement ? this.#cut(placement) : this.#canvas;
    return canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
  }

  #cut({ x, y, width, height, imageWidth, imageHeight }) {
    if (this.#window.width !== imageWidth || this.#window.height !== imageHeight) {
      this.#window.width = imageWidth;
      this.#window.height = imageHeight;
      // Every pixel counts where several become one; a canvas of another size has forgotten that.
      this.#windowContext.imageSmoothingQuality = "high";
    }
    this.#windowContext.drawImage(this.#canvas, x, y, width, height, 0, 0, imageWidth, imageHeight);
    return this.#window;
  }
}

/** The cameras of this machine as [{id, label}]; ids and labels are empty until one was allowed. */
export async function cameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const found = devices.filter((device) => device.kind === "videoinput");
  return found.map(({ deviceId, label }, index) => ({ id: deviceId, label: cameraName(label) || `Camera ${index + 1}` }));
}

/** Chromium appends the maker's and the product's number. */
function cameraName(label) {
  return label.replace(/ \([0-9a-f]{4}:[0-9a-f]{4}\)$/i, "");
}
