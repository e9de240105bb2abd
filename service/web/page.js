/** The page: joins the pictures, the stream, the targets and the numbers, and does what the user asks. */

import { asked, hasKey, keepKey, KeyNeeded, newTicket } from "./access.js";
import { Chooser } from "./chooser.js";
import { Feed } from "./feed.js";
import { Lockon } from "./lockon.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Source } from "./source.js";
import { MAX_TARGETS, Targets } from "./targets.js";

const CLOSED_BAD_HELLO = 4400;
const CLOSED_UNAUTHENTICATED = 4401;
const LOST_STREAM = "bad_token";
const LOST_WORDS = "The server was restarted and does not know this stream any more.";
const STALE_MS = 500; // without a result for so long, the age shown grows by itself

const element = (id) => document.getElementById(id);
/** Words that others may follow: what a server says ends with no full stop. */
const sentence = (words) => (/[.!?]$/.test(words) ? words : `${words}.`);
const panel = new Panel();
const picture = new Picture(element("picture"), element("stage"));
const source = new Source(element("video"), (tsMs) => feed.take(tsMs));
const feed = new Feed(source, picture, () => element("send-window").checked);
const chooser = new Chooser(source);
const targets = new Targets(panel, picture);

let link = null;
let latest = null; // newest result
let resumeAfterDraft = false;

// The stream

/** Opens a stream whose first frame is the one on show. */
function openStream() {
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
  feed.begin(stream);
}

function closeStream() {
  const stream = link;
  link = latest = null;
  feed.end();
  stream?.close();
  panel.connection("idle");
  panel.quiet();
}

function onInterrupted({ words }) {
  panel.connection("connecting");
  panel.message(`${sentence(words)} Connecting again …`);
  targets.interrupted();
  panel.quiet();
}

async function onClosed({ code, words, error }, welcomed) {
  link = latest = null;
  feed.end();
  targets.clear();
  panel.connection("closed");
  panel.quiet();
  const reason = code === 1006 && !welcomed ? await refusalWords() : error === LOST_STREAM ? LOST_WORDS : words;
  if (link) return; // the user was faster
  panel.message(`${sentence(reason)} Drag a box to start again.`);
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
  targets.found(result.seq, result.targets);
  panel.counts({ fps: result.fps, dropped: result.dropped_total, skipped: link.skipped, saved: link.savedBytes });
  panel.age(latest.age, targets.size > 0);
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
  const target = targets.add(box);
  element("hint").hidden = true;
  await startTarget(target, seq);
  return undefined;
}

async function startTarget(target, seq) {
  const stream = link;
  const { id, box, label } = target;
  try {
    await feed.primed;
    try {
      await stream.add({ id, box, label }, { onSeq: feed.sentAs(seq) });
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
  targets.drop(id);
  if (targets.size === 0) closeStream();
}

picture.addEventListener("draft", () => {
  if (!source.paused && source.kind === "file") {
    source.pause();
    resumeAfterDraft = true;
  }
  feed.beginDraft();
  if (!link) openStream();
});

function endDraft() {
  feed.endDraft();
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
picture.addEventListener("escape", () => targets.selected && removeTarget(targets.selected));
picture.addEventListener("pause", () => chooser.togglePause());
panel.addEventListener("select", ({ detail }) => targets.select(detail));
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
  feed.endDraft();
  resumeAfterDraft = false;
  targets.clear();
  closeStream();
  picture.clear();
}

/** The new model starts on the frame on show, with the targets that are seen there. */
element("model").addEventListener("change", () => {
  if (!link || picture.shown === null) return;
  for (const { id, state } of targets.all()) if (state === "lost") dropTarget(id);
  if (targets.size === 0) return;
  closeStream();
  openStream();
  for (const target of targets.all()) {
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
    targets: targets.all().map((target) => ({ ...target })),
    skipped: link?.skipped ?? 0,
    sent: link?.sent ?? 0,
    windows: link?.windows ?? 0,
    saved_bytes: link?.savedBytes ?? 0,
    age_ms: shownAge(),
    result: latest?.result ?? null,
  }),
});

listModels();
