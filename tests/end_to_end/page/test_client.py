"""The client in JavaScript (`lockon.js`) in a real Chromium."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from lockon_client.windows import image_size
from playwright.sync_api import Browser

from models.package import load_tracker
from models.tracker import Tracker
from tests.drawing import Drawing
from tests.end_to_end.browsing import (
    opened,
    wait_until,
)
from tests.end_to_end.conftest import StartServer
from tests.end_to_end.forwarding import forwarding_in_a_thread
from tests.end_to_end.gated import GatedRuntime
from tests.end_to_end.processes import ServerProcess

pytestmark = pytest.mark.browser


def test_the_pages_client_scales_windows_as_the_python_client_does(browser: Browser, page_url: str) -> None:
    rng = np.random.default_rng(3)
    asked = [(*rng.integers(16, 2000, 2).tolist(), rng.uniform(0.02, 1)) for _ in range(200)]
    with opened(browser, page_url) as page:
        found = page.evaluate(
            """async (asked) => {
              const { imageSize } = await import("/frames.js");
              return asked.map((window) => imageSize(...window));
            }""",
            asked,
        )
    # Halves are rounded differently.
    assert np.abs(np.array(found) - [image_size(*one) for one in asked]).max() <= 1


def test_the_pages_client_makes_a_session_with_a_cadence_and_thresholds_or_tells_what_is_refused(
    browser: Browser, start_server: StartServer
) -> None:
    server = start_server()
    with opened(browser, f"{server.http}/") as page:
        page.evaluate(
            """async () => {
              const { Lockon } = await import("/lockon.js");
              const made = new Lockon("/v1/stream", { cadence: 4, thresholds: { leave: 0.25 } });
              const refused = new Lockon("/v1/stream", { cadence: 0 });
              window.tried = { made, refused: await refused.closed };
            }"""
        )
        refused = page.evaluate("window.tried.refused")
        assert refused["code"] == 4400
        assert "cadence" in refused["words"]
        wait_until(page, "window.tried.made.session")
        (session,) = server.app.state.registry.all()
        assert session.request.cadence == 4
        assert session.request.thresholds.leave == 0.25


def test_the_pages_client_changes_the_model_and_goes_on_where_the_session_is_lost(
    browser: Browser, start_server: StartServer
) -> None:
    server, drawing = start_server(), Drawing()
    with opened(browser, f"{server.http}/") as page:
        page.evaluate(
            """async ([box, file]) => {
              const { Lockon } = await import("/lockon.js");
              const picture = new Blob([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))]);
              const targets = [{ id: "cup", label: "a cup", box }];
              Math.random = () => 0; // it comes back at once, while the box is fresh
              const link = new Lockon("/v1/stream", { targets });
              window.tried = { link, lost: null, results: 0, changed: null };
              link.addEventListener("statelost", ({ detail }) => (window.tried.lost = detail));
              link.addEventListener("result", () => (window.tried.results += 1));
              setInterval(() => link.ready && link.send(picture), 20);
              window.tried.refused = await link.change({ model: "other", reinit: true }).catch(({ code }) => code);
              await link.change({ label: "door" });
              window.tried.changed = true;
            }""",
            [list(drawing.box(0).xywh()), base64.b64encode(drawing.jpeg(0)).decode()],
        )
        wait_until(page, "window.tried.changed && window.tried.results > 0")
        assert page.evaluate("window.tried.refused") == "unknown_model"
        registry = server.app.state.registry
        (session,) = registry.all()
        (connection,) = server.connections()

        def lose() -> None:
            """What a crash leaves of a session: nothing, not even its tombstone; and a broken line."""
            registry.close(session, "superseded")
            connection.transport.abort()

        connection.loop.call_soon_threadsafe(lose)
        wait_until(page, "window.tried.lost !== null")
        lost = page.evaluate("window.tried.lost")
        assert (lost["restarted"], lost["missing"], lost["welcome"]["resumed"]) == (["cup"], [], False)
        results = page.evaluate("window.tried.results")
        wait_until(page, f"window.tried.results > {results}")
        (again,) = registry.all()
        assert (again.id != session.id, again.request.label, again.request.targets[0].label) == (True, "door", "a cup")


# A line that breaks once and is never mended, on a clock of its own: when the sockets were tried, in ms from the break.
TRY_IN_VAIN = """async (resumeSeconds) => {
  const { Line } = await import("/line.js");
  const tries = [];
  let now = 0;
  performance.now = () => now;
  Math.random = () => 0.999;
  const connectTimeoutMs = 10000;
  window.setTimeout = (act, ms) => {
    if (ms === connectTimeoutMs) return;
    now += ms;
    queueMicrotask(act);
  };
  window.WebSocket = class {
    constructor() {
      tries.push(now);
      queueMicrotask(() => (tries.length === 1 ? this.break() : this.onclose({ code: 1006, reason: "" })));
    }
    break() {
      this.onopen();
      const welcome = { type: "welcome", epoch: 1, resume_ttl_s: resumeSeconds, resume_token: "token" };
      this.onmessage({ data: JSON.stringify(welcome) });
      this.onclose({ code: 1006, reason: "" });
    }
    send() {}
  };
  const nothing = () => null;
  return new Promise((ended) => {
    const told = { opened: nothing, received: nothing, welcomed: nothing, interrupted: nothing, remade: nothing };
    new Line("/v1/stream", {}, null, { ...told, ended: () => ended(tries.slice(1)) });
  });
}"""


def test_the_pages_client_makes_its_last_try_while_the_session_can_still_be_resumed(
    browser: Browser, page_url: str
) -> None:
    with opened(browser, page_url) as page:
        tries = page.evaluate(TRY_IN_VAIN, 20)
    assert np.diff([0, *tries]) == pytest.approx([499.5, 999, 1998, 3996, 7992, 4513.5], abs=1)
    assert tries[-1] < 20_000


# The first socket breaks, and the ticket for the second one comes late: after the line was closed, or after the next
# try. Time runs a hundred times as fast. Answers with the line's state meanwhile, what it told, and its sockets.
LATE_TICKET = """async (closes) => {
  const { Line } = await import("/line.js");
  const { setTimeout: later } = window;
  const pause = (ms) => new Promise((resolve) => later(resolve, ms));
  window.setTimeout = (act, ms) => later(act, ms / 100);
  const [sockets, told] = [[], []];
  window.WebSocket = class {
    static CONNECTING = 0;
    static OPEN = 1;
    static CLOSED = 3;
    readyState = 0;
    constructor() {
      sockets.push(this);
      later(() => ((this.readyState = 1), this.onopen()), 1);
    }
    send(text) {
      if (JSON.parse(text).type !== "hello") return;
      const welcome = { type: "welcome", epoch: sockets.length, resume_ttl_s: 3000, resume_token: "token" };
      later(() => this.onmessage?.({ data: JSON.stringify(welcome) }), 1);
    }
    close(code = 1006) {
      this.readyState = 3;
      later(() => this.onclose?.({ code, reason: "" }), 1);
    }
  };
  let [asked, come] = [0, null];
  const ticket = () => (++asked === 2 ? new Promise((resolve) => (come = resolve)) : `ticket ${asked}`);
  const on = { opened() {}, received() {}, remade: () => null };
  for (const name of ["welcomed", "interrupted", "ended"]) on[name] = () => told.push(name);
  const line = new Line("/v1/stream", {}, ticket, on);
  const until = async (known) => { while (!known()) await pause(5); };
  await until(() => told.includes("welcomed"));
  sockets[0].close();
  await until(() => come);
  const state = line.state;
  if (closes) line.close();
  else await until(() => sockets.length === 2 && told.length === 3);
  come("late");
  await pause(100);
  return { state, told, sockets: sockets.length, open: sockets.filter((socket) => socket.readyState === 1).length };
}"""


def test_the_pages_client_opens_no_socket_with_a_ticket_that_comes_too_late(browser: Browser, page_url: str) -> None:
    with opened(browser, page_url) as page:
        closed = page.evaluate(LATE_TICKET, True)
    with opened(browser, page_url) as page:
        went_on = page.evaluate(LATE_TICKET, False)
    assert closed == {"state": 0, "told": ["welcomed", "interrupted", "ended"], "sockets": 1, "open": 0}
    assert went_on == {"state": 0, "told": ["welcomed", "interrupted", "welcomed"], "sockets": 2, "open": 1}


def test_the_pages_client_keeps_to_the_credit_and_holds_must_process_frames_back(
    browser: Browser, start_server: StartServer
) -> None:
    runtime, drawing = GatedRuntime(), Drawing()
    spec = load_tracker("dummy").spec
    server = start_server({"engine": {"workers": 1}}, lambda _name: Tracker(spec, runtime))
    with opened(browser, f"{server.http}/") as page:
        page.evaluate(
            """async ([box, file]) => {
              const { Lockon } = await import("/lockon.js");
              const picture = new Blob([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))]);
              const link = new Lockon("/v1/stream", { targets: [{ id: "t", box }] });
              window.tried = { link, errors: 0, results: 0, send: () => link.send(picture, { must: true }) };
              link.addEventListener("error", () => (window.tried.errors += 1));
              link.addEventListener("result", () => (window.tried.results += 1));
              window.tried.send();
            }""",
            [list(drawing.box(0).xywh()), base64.b64encode(drawing.jpeg(0)).decode()],
        )
        wait_until(page, "window.tried.results === 1")
        runtime.gate.clear()
        assert page.evaluate("Array.from({ length: 20 }, window.tried.send).filter((seq) => seq).length") == 16
        assert not page.evaluate("window.tried.link.ready")
        (session,) = server.app.state.registry.all()
        wait_until(page, "window.tried.link.sent === 9")
        # However long they take: more than the server has room for would be refused.
        page.evaluate("const began = performance.now(); performance.now = () => began + 5000")
        page.evaluate("window.tried.link.change({ label: 'slow' })")
        assert page.evaluate("window.tried.link.sent") == 9
        runtime.gate.set()
        wait_until(page, "window.tried.results === 17")
        assert (session.counters.received, session.counters.dropped, page.evaluate("window.tried.errors")) == (17, 0, 0)


def test_the_pages_client_sends_whole_frames_after_one_that_is_refused(
    browser: Browser, start_server: StartServer
) -> None:
    server, drawing = start_server(), Drawing()
    with opened(browser, f"{server.http}/") as page:
        page.evaluate(
            """async ([box, file]) => {
              const { Lockon } = await import("/lockon.js");
              const picture = new Blob([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))]);
              const link = new Lockon("/v1/stream", { targets: [{ id: "t", box }] });
              window.tried = { results: 0, warning: null };
              const size = [320, 240];
              link.addEventListener("open", () => link.send(picture, { size }));
              link.addEventListener("result", () => {
                window.tried.results += 1;
                window.tried.before = link.placement(...size);
                const thin = { x: 0, y: 0, width: 64, height: 8, fullWidth: 320, fullHeight: 240 };
                window.tried.seq = link.send(picture, { placement: { ...thin, imageWidth: 64, imageHeight: 8 } });
              });
              link.addEventListener("warning", ({ detail }) => {
                window.tried.after = link.placement(...size);
                window.tried.warning = detail;
              });
            }""",
            [list(drawing.box(0).xywh()), base64.b64encode(drawing.jpeg(0)).decode()],
        )
        wait_until(page, "window.tried.warning !== null")
        tried = page.evaluate("window.tried")
    assert tried["warning"]["data"] == {"reason": "window_outside", "seq": tried["seq"]}
    assert (tried["before"] is None, tried["after"]) == (False, None)


def test_the_pages_client_starts_anew_from_boxes_that_are_fresh_and_from_those_of_a_recording_at_any_time(
    browser: Browser, page_url: str
) -> None:
    with opened(browser, page_url) as page:
        found = page.evaluate(
            """async () => {
              const { Remembered } = await import("/remembered.js");
              const results = [null, [], [["a", "tracking"], ["b", "lost"]], [["b", "lost"]]];
              let now = 0;
              performance.now = () => now;
              return ["latest", "every"].map((mode) => results.map((targets) => {
                const remembered = new Remembered({ mode, targets: [{ id: "a", label: "one", box: [1, 2, 3, 4] }] });
                now = 0;
                const seen = targets?.map(([id, state]) => ({ id, state, box: [5, 6, 7, 8] }));
                if (seen) remembered.saw({ targets: seen });
                return [500, 1000].map((then) => {
                  now = then;
                  return remembered.create()?.targets ?? null;
                });
              }));
            }"""
        )
    first, last = ([{"id": "a", "label": "one", "box": box}] for box in ([1, 2, 3, 4], [5, 6, 7, 8]))
    assert found == [
        [[None, None], [[], []], [last, None], [None, None]],
        [[first, first], [[], []], [last, last], [None, None]],
    ]


def test_the_pages_client_remembers_changes_as_the_server_makes_them(browser: Browser, page_url: str) -> None:
    with opened(browser, page_url) as page:
        found = page.evaluate(
            """async () => {
              const { Remembered } = await import("/remembered.js");
              const thresholds = { leave: 0.25, enter: 0.4 };
              const remembered = new Remembered({ mode: "latest", targets: [], thresholds });
              remembered.changed({ thresholds: { enter: null, reacquire: 0.7 }, metadata: { door: { no: 1, at: 2 } } });
              remembered.changed({ metadata: { door: { no: null } }, deadline_ms: null, reinit: true });
              return remembered.create();
            }"""
        )
    changed = {"thresholds": {"leave": 0.25, "reacquire": 0.7}, "metadata": {"door": {"at": 2}}, "deadline_ms": None}
    assert found == {"mode": "latest", "targets": []} | changed


def test_the_pages_client_says_what_became_of_the_targets_of_a_server_that_stopped_or_that_it_is_the_end(
    browser: Browser, start_server: StartServer, tmp_path: Path
) -> None:
    other, drawing = start_server(), Drawing()
    stopping = ServerProcess(tmp_path / "log", limits__drain_s=0.3).ready()
    with forwarding_in_a_thread(stopping.port) as line, opened(browser, line.http) as page:
        page.evaluate(
            """async ([box, file]) => {
              const { Lockon } = await import("/lockon.js");
              const picture = new Blob([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))]);
              Math.random = () => 0; // it comes back at once, while the box is fresh
              const targets = [{ id: "cup", label: "a cup", box }];
              const kinds = { plain: {}, gone: { resumeSeconds: 0 }, unwanted: { reinitOnLoss: false } };
              window.tried = {};
              for (const [name, options] of Object.entries(kinds)) {
                const link = new Lockon("/v1/stream", { targets, ...options });
                const heard = (window.tried[name] = { events: [], results: 0 });
                for (const type of ["interrupted", "statelost", "resumed", "close", "goaway"]) {
                  link.addEventListener(type, ({ detail }) => heard.events.push([type, detail]));
                }
                link.addEventListener("result", ({ detail }) => {
                  heard.results += 1;
                  heard.box = detail.targets[0].box;
                });
                setInterval(() => link.ready && link.send(picture), 20);
              }
            }""",
            [list(drawing.box(0).xywh()), base64.b64encode(drawing.jpeg(0)).decode()],
        )
        wait_until(page, "Object.values(window.tried).every(({ results }) => results > 0)")
        line.target = other.port
        stopping.terminate()
        stopping.wait()
        stopping.end()
        wait_until(page, "window.tried.plain.events.some(([type]) => type === 'statelost')")
        wait_until(
            page, "Object.values(window.tried).filter(({ events }) => events.at(-1)[0] === 'close').length === 2"
        )
        results = page.evaluate("window.tried.plain.results")
        wait_until(page, f"window.tried.plain.results > {results}")
        tried = page.evaluate("window.tried")
    assert tried["plain"]["box"] == pytest.approx(drawing.box(0).xywh(), abs=2)
    types = {name: [event for event, _ in heard["events"]] for name, heard in tried.items()}
    assert types == {
        "plain": ["goaway", "interrupted", "statelost"],
        "gone": ["goaway", "close"],
        "unwanted": ["goaway", "close"],
    }
    (_, goaway), (_, interrupted), (_, lost) = tried["plain"]["events"]
    assert (goaway["reason"], goaway["resume_token"], interrupted["code"]) == ("draining", None, 1012)
    assert (lost["restarted"], lost["missing"]) == (["cup"], [])
    (session,) = other.app.state.registry.all()
    assert (session.id, session.request.targets[0].label) == (lost["welcome"]["session"], "a cup")
