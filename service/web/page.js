/** The page: joins the picture source, the stream, the canvas and the numbers. */

import { asked, hasKey, keepKey, KeyNeeded, newTicket } from "./access.js";
import { Chooser } from "./chooser.js";
import { Lockon } from "./lockon.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Source } from "./source.js";

const COLOURS = ["#3ddc97", "#4cc9f0", "#ffc857", "#f78fb3", "#b79cff", "#ff9f5a", "#8be04e", "#ff7b7b"];
const MAX_TARGETS = COLOURS.length; // also the server's limit
/**
 * While a box is drawn on a standing picture the server must still have that frame when the box comes. It keeps 16
 * frames and catches up on 8, so at most that many follow meanwhile.
 */
const DRAFT_FRAME_INTERVAL_MS = 250;
const DRAFT_FRAMES = 8;
const CLOSED_BAD_HELLO = 4400;
const CLOSED_UNAUTHENTICATED = 4401;
const STALE_MS = 500; // without a result for so long, the age shown grows by itself

const element = (id) => document.getElementById(id);
const panel = new Panel();
const picture = new Picture(element("picture"), element("stage"));
const source = new Source(element("video"), onFrame);
const chooser = new Chooser(source);

const targets = new Map(); // id -> {id, label, colour, box, state, score, lost_ms}
let selected = null;
let link = null;
let primed = null; // settles when the frame a stream begins with is on its way
let frameCount = 0; // seq of the newest frame
let busy = false; // one frame is grabbed and encoded at a time
let latest = null; // newest result
let draft = null; // {sent, lastAt} while a box is drawn
let resumeAfterDraft = false;
let resent = null; // {shown, seq}: the picture a box is drawn on, and the number it was sent with once more
let targetCount = 0;

// Frames

async function onFrame(tsMs) {
  if (document.hidden) return;
  if (link ? !mayStream(tsMs) : busy || picture.frozen) return;
  const stream = link;
  busy = true;
  try {
    const seq = ++frameCount;
    const grabbed = await source.grab(stream !== null, (...size) => (sendsWindows() ? stream.placement(...size) : null));
    if (!grabbed) return;
    picture.keep(seq, grabbed.bitmap);
    if (!stream && !link) picture.show(seq, []);
    else if (stream && stream === link) sendFrame(stream, seq, tsMs, grabbed);
  } finally {
    busy = false;
  }
}

function sendFrame(stream, seq, tsMs, { jpeg, placement, bitmap }) {
  if (seq <= stream.lastSeq) stream.skip(); // a picture was sent once more meanwhile
  else stream.send(jpeg, { seq, tsMs, placement, size: [bitmap.width, bitmap.height] });
}

/** Whole frames go out while a box is drawn, since the new target may be anywhere. */
function sendsWindows() {
  return element("send-window").checked && !draft;
}

/** Of the picture on show the server may have no more than a window, where no target can be started. */
function resend(shown) {
  const stream = link;
  const bitmap = picture.bitmap(shown);
  const size = [bitmap.width, bitmap.height];
  primed = source.encode(bitmap).then((jpeg) => {
    const seq = ++frameCount;
    resent = { shown, seq };
    stream.send(jpeg, { seq, must: true, size });
    if (stream === link) primed = null;
  });
}

/** Whether this frame goes to the server; counts it as skipped where the stream is what holds it back. */
function mayStream(tsMs) {
  if (primed !== null) return false;
  if (draft) {
    if (busy || draft.sent >= DRAFT_FRAMES || tsMs - draft.lastAt < DRAFT_FRAME_INTERVAL_MS) return false;
    draft = { sent: draft.sent + 1, lastAt: tsMs };
  }
  if (!busy && link.ready) return true;
  link.skip();
  return false;
}

// The stream

/** Opens a stream whose first frame is `seq`, which is on show. */
function openStream(seq) {
  const stream = new Lockon("/v1/stream", { model: element("model").value || null, ticket: hasKey() ? newTicket : null });
  let welcomed = false;
  link = stream;
  panel.connection("connecting");
  panel.message(null);
  stream.addEventListener("open", () => {
    welcomed = true;
    if (stream === link) panel.connection("connected");
  });
  stream.addEventListener("interrupted", ({ detail }) => stream === link && onInterrupted(detail));
  stream.addEventListener("resumed", () => {
    if (stream !== link) return;
    panel.connection("connected");
    panel.message(null);
  });
  stream.addEventListener("statelost", ({ detail: { missing } }) => {
    if (stream !== link) return;
    panel.connection("connected");
    panel.message(missing.length ? "The server was replaced by another one, which does not know every target." : null);
  });
  stream.addEventListener("result", ({ detail }) => stream === link && onResult(detail));
  stream.addEventListener("warning", ({ detail }) => panel.message(detail.detail));
  stream.addEventListener("close", ({ detail }) => stream === link && onClosed(detail, welcomed));
  resent = null;
  const bitmap = picture.bitmap(seq);
  const size = [bitmap.width, bitmap.height];
  primed = source.encode(bitmap).then((jpeg) => {
    stream.send(jpeg, { seq, must: true, size });
    if (stream === link) primed = null;
  });
}

function closeStream() {
  const stream = link;
  link = primed = latest = null;
  stream?.close();
  panel.connection("idle");
  panel.quiet();
}

function onInterrupted({ words }) {
  panel.connection("connecting");
  panel.message(`${words} Connecting again …`);
  panel.quiet();
}

async function onClosed({ code, words }, welcomed) {
  link = primed = latest = null;
  forgetTargets();
  panel.connection("closed");
  panel.quiet();
  const reason = code === 1006 && !welcomed ? await refusalWords() : words;
  if (link) return; // the user was faster
  panel.message(`${reason} Drag a box to start again.`);
  // The model that was chosen may be retired, or the key revoked.
  if (code === CLOSED_BAD_HELLO || code === CLOSED_UNAUTHENTICATED) listModels();
}

/** A browser does not tell why a WebSocket was refused; the server's own health does. */
async function refusalWords() {
  try {
    const answer = await fetch("/readyz");
    return answer.ok ? "The server refused the stream; it may be full." : "The server is full or not ready yet.";
  } catch {
    return "The server cannot be reached.";
  }
}

function onResult(result) {
  const heard = performance.now();
  latest = { heard, ts: result.ts_us == null ? null : result.ts_us / 1000, age: result.true_age_ms, result };
  const shapes = [];
  for (const found of result.targets) {
    const target = targets.get(found.id);
    if (!target) continue; // removed here, while this result was on its way
    const { box, state, score, lost_ms } = found;
    const before = target.state;
    Object.assign(target, { box, state, score, lost_ms });
    if (before !== state) panel.announce(target, before);
    panel.row(target, target.id === selected);
    shapes.push({ ...target });
  }
  picture.show(result.seq, shapes);
  panel.counts({ fps: result.fps, dropped: result.dropped_total, skipped: link.skipped, saved: link.savedBytes });
  panel.age(latest.age, targets.size > 0);
  panel.selected(targets.get(selected) ?? null);
}

/** The newest result gets older while none comes; so does its number. */
function shownAge() {
  if (!latest) return null;
  const now = performance.now();
  return latest.ts !== null && now - latest.heard > STALE_MS ? now - latest.ts : latest.age;
}

setInterval(() => latest && targets.size && !source.paused && panel.age(shownAge(), false), 250);

// Targets

async function addTarget(box, seq) {
  if (targets.size >= MAX_TARGETS) return panel.message(`At most ${MAX_TARGETS} targets; remove one first.`);
  const inUse = new Set([...targets.values()].map((target) => target.colour));
  const colour = COLOURS.find((one) => !inUse.has(one));
  const id = `t${++targetCount}`;
  const target = { id, label: `Target ${targetCount}`, colour, box, state: "initializing", score: null, lost_ms: null };
  targets.set(id, target);
  panel.add(target);
  select(id);
  redraw();
  element("hint").hidden = true;
  await startTarget(target, seq);
  return undefined;
}

async function startTarget(target, seq) {
  const stream = link;
  const { id, box, label } = target;
  try {
    await primed;
    try {
      await stream.add({ id, box, label }, { onSeq: resent?.shown === seq ? resent.seq : seq });
    } catch (error) {
      // The picture stood still for too long: the server has forgotten that frame and starts on the next one.
      if (error.code !== "seq_too_old") throw error;
      await stream.add({ id, box, label });
    }
  } catch (error) {
    if (stream !== link) return; // onClosed has said why
    panel.message(`${target.label} cannot be followed: ${error.message}`);
    dropTarget(id);
  }
}

function removeTarget(id) {
  link?.remove(id).catch((error) => panel.message(error.message));
  dropTarget(id);
}

/** Forgets a target here; without any, the stream has nothing to do. */
function dropTarget(id) {
  targets.delete(id);
  panel.remove(id);
  select(selected === id ? ([...targets.keys()].at(-1) ?? null) : selected);
  redraw();
  if (targets.size === 0) closeStream();
}

function forgetTargets() {
  for (const id of targets.keys()) panel.remove(id);
  targets.clear();
  select(null);
  redraw();
}

/** The boxes as they are now on the frame on show: a picture that stands still shows a new one at once. */
function redraw() {
  picture.show(picture.shown, [...targets.values()].map((target) => ({ ...target })));
}

function select(id) {
  selected = id;
  panel.selected(targets.get(id) ?? null);
  for (const target of targets.values()) panel.row(target, target.id === id);
}

picture.addEventListener("draft", () => {
  if (!source.paused && source.kind === "file") {
    source.pause();
    resumeAfterDraft = true;
  }
  draft = { sent: 0, lastAt: performance.now() };
  if (!link) openStream(picture.shown);
  else if (link.windows && primed === null) resend(picture.shown);
});

function endDraft() {
  draft = null;
  if (resumeAfterDraft) source.resume();
  resumeAfterDraft = false;
}

picture.addEventListener("box", ({ detail }) => {
  endDraft();
  if (link) addTarget(detail.box, detail.seq); // else the stream was refused meanwhile, and the page says so
});
picture.addEventListener("cancel", () => {
  endDraft();
  if (targets.size === 0) closeStream();
});
picture.addEventListener("escape", () => selected && removeTarget(selected));
picture.addEventListener("pause", () => chooser.togglePause());
panel.addEventListener("select", ({ detail }) => select(detail));
panel.addEventListener("remove", ({ detail }) => {
  removeTarget(detail);
  element("picture").focus(); // the button that had it is gone
});

// Picture source, model

chooser.addEventListener("opening", () => {
  stopFollowing();
  panel.message(null);
});
chooser.addEventListener("failed", ({ detail }) => {
  if (!source.kind) stopFollowing();
  panel.message(detail);
});

function stopFollowing() {
  draft = null;
  resumeAfterDraft = false;
  forgetTargets();
  closeStream();
  picture.clear();
}

/** The new model starts on the frame on show, with the targets that are seen there. */
element("model").addEventListener("change", () => {
  if (!link || picture.shown === null) return;
  for (const { id, state } of [...targets.values()]) if (state === "lost") dropTarget(id);
  if (targets.size === 0) return;
  closeStream();
  openStream(picture.shown);
  for (const target of targets.values()) {
    target.state = "initializing";
    startTarget(target, picture.shown);
  }
});

// Start

async function listModels() {
  try {
    const { items } = await asked("/v1/models");
    panel.models(items);
    element("access").hidden = true;
  } catch (error) {
    const refused = error instanceof KeyNeeded;
    element("access").hidden = !refused;
    if (!refused) panel.message(`The server's models cannot be listed: ${error.message}`);
    else if (hasKey()) panel.message(`The server does not take this key: ${error.message}`);
  }
}

element("access").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey(element("key").value.trim());
  panel.message(null);
  listModels();
});

/** What the page knows, to read from the browser's console when something looks wrong. */
Object.defineProperty(window, "lockonPage", {
  get: () => ({
    source: source.kind,
    connection: element("connection").dataset.state,
    shown: picture.shown,
    size: picture.size,
    targets: [...targets.values()].map((target) => ({ ...target })),
    skipped: link?.skipped ?? 0,
    sent: link?.sent ?? 0,
    windows: link?.windows ?? 0,
    saved_bytes: link?.savedBytes ?? 0,
    age_ms: shownAge(),
    result: latest?.result ?? null,
  }),
});

listModels();
