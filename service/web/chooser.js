/** The controls of the picture source: camera, file, drag and drop, pause and loop. */

import { cameras } from "./source.js";

const element = (id) => document.getElementById(id);
/** A camera's value in the list while browsers hide its id, which they do until a camera was allowed. */
const ANY_CAMERA = "any";

/** Events: opening (another source is asked for), opened, failed (detail: plain words). */
export class Chooser extends EventTarget {
  #source;

  constructor(source) {
    super();
    this.#source = source;
    this.#listenToButtons();
    this.#listenToDrops();
    source.addEventListener("unplugged", () => this.#failed("The camera was disconnected. Choose another picture source."));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#listCameras());
    this.#listCameras();
  }

  togglePause() {
    if (this.#source.paused) this.#source.resume();
    else this.#source.pause();
  }

  #listenToButtons() {
    const video = element("video");
    for (const type of ["play", "pause", "ended"]) video.addEventListener(type, () => this.#showPause());
    for (const id of ["start-file", "open-file"]) element(id).addEventListener("click", () => element("file").click());
    element("start-camera").addEventListener("click", () => this.#openCamera(""));
    element("cameras").addEventListener("change", ({ target: { value } }) => {
      if (value) this.#openCamera(value === ANY_CAMERA ? "" : value);
    });
    element("file").addEventListener("change", ({ target }) => {
      if (target.files[0]) this.#openFile(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
    element("pause").addEventListener("click", () => this.togglePause());
    element("loop").addEventListener("change", ({ target }) => (this.#source.loop = target.checked));
  }

  /** A file may be dropped anywhere: beside the stage the browser would leave the page to show it. */
  #listenToDrops() {
    const mark = (isOver) => element("stage").classList.toggle("drop", isOver);
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      mark(true);
    });
    document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget ?? mark(false));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      mark(false);
      const [file] = event.dataTransfer.files;
      if (file) this.#openFile(file);
      else this.#failed("That was not a file. Drop a video file here.");
    });
  }

  async #openCamera(deviceId) {
    await this.#open(() => this.#source.openCamera(deviceId));
    await this.#listCameras();
  }

  async #openFile(file) {
    this.#source.loop = element("loop").checked;
    await this.#open(() => this.#source.openFile(file));
    await this.#listCameras();
  }

  async #open(opening) {
    this.dispatchEvent(new Event("opening"));
    try {
      if (await opening()) this.#opened();
    } catch (error) {
      this.#failed(error.message);
    }
  }

  #opened() {
    const start = element("start");
    const hadFocus = start.contains(document.activeElement);
    this.#showStart(false);
    if (hadFocus) element("picture").focus();
    this.dispatchEvent(new Event("opened"));
  }

  #failed(words) {
    this.#showStart(this.#source.kind === null);
    this.dispatchEvent(new CustomEvent("failed", { detail: words }));
  }

  #showStart(isShown) {
    element("start").hidden = !isShown;
    element("picture").hidden = element("hint").hidden = isShown;
    element("pause").disabled = isShown;
    this.#showPause();
  }

  #showPause() {
    element("pause").textContent = this.#source.kind && this.#source.paused ? "Play" : "Pause";
  }

  async #listCameras() {
    const options = (await cameras()).map(({ id, label }) => new Option(label, id || ANY_CAMERA));
    element("cameras").replaceChildren(new Option("Choose a camera", ""), ...options);
    element("cameras").value = this.#source.cameraId;
  }
}
