"""The page in a real Chromium: a camera, a file, mouse, touch and keyboard, against a running server."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from lockon_client.windows import image_size
from playwright.sync_api import Browser, WebSocketRoute, sync_playwright

from models.package import load_tracker
from models.tracker import Tracker
from service.protocol.header import read_frame
from tests.drawing import Drawing
from tests.end_to_end import fake_camera
from tests.end_to_end.browsing import (
    CHROMIUM,
    FLAGS,
    PHONE,
    READ_SHOWN,
    assert_numbers,
    drag_on_target,
    drop_file,
    on_screen,
    opened,
    overlaps,
    read_shown,
    shown_words,
    use_camera,
    wait_for_results,
    wait_until,
)
from tests.end_to_end.conftest import RunningServer, StartServer
from tests.end_to_end.fake_camera import BITS, STRIP_HEIGHT, Recording
from tests.end_to_end.forwarding import forwarding_in_a_thread
from tests.end_to_end.guarding import KeyFile
from tests.end_to_end.processes import ServerProcess
from tests.end_to_end.test_overload import GatedRuntime

pytestmark = pytest.mark.browser

Launch = Callable[[Path | None], Browser]


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    """Starts Chromium, one for each camera; without Chromium these tests are skipped, but not in CI."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the page cannot be tested: no Chromium (apt-get install chromium)")
        pytest.skip("no Chromium (apt-get install chromium)")
    running: dict[Path | None, Browser] = {}
    with sync_playwright() as playwright:

        def start(camera: Path | None) -> Browser:
            if camera not in running:
                flags = [*FLAGS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
                if camera is not None:
                    flags.append(f"--use-file-for-fake-video-capture={camera}")
                running[camera] = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            return running[camera]

        yield start
        for browser in running.values():
            browser.close()


@pytest.fixture(scope="module")
def recording() -> Recording:
    """What the camera of most tests sees."""
    return fake_camera.drawn()


@pytest.fixture(scope="module")
def browser(launch: Launch, recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """Chromium with that camera."""
    return launch(recording.write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m"))


@pytest.fixture
def page_url(server: RunningServer) -> str:
    """The page's address."""
    return f"{server.http}/"


def test_a_box_dragged_with_the_mouse_follows_the_target_of_a_camera(
    browser: Browser, page_url: str, recording: Recording
) -> None:
    with opened(browser, page_url) as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 5)
        assert np.median(overlaps(page, recording, samples=12)) > 0.7
        assert page.inner_text("#state") in ("tracking", "reacquired")
        assert page.inner_text("#announcer") == "Following Target 1"
        assert_numbers(page)
        page.keyboard.press("Escape")
        wait_until(page, "window.lockonPage.targets.length === 0")
        assert page.inner_text("#connection") == "idle"
        assert page.inner_text("#age") == "–"


@pytest.mark.shared
def test_a_real_sequence_played_as_a_camera_is_followed(
    launch: Launch, page_url: str, tmp_path: Path, shared: Path
) -> None:
    recording = fake_camera.real(shared / "data" / "eval" / "car4_road", 60)
    with opened(launch(recording.write_camera(tmp_path / "camera.y4m")), page_url) as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 5)
        assert np.median(overlaps(page, recording, samples=12)) > 0.5
        assert_numbers(page)


def test_a_video_file_is_followed_and_two_targets_have_rows_of_their_own(
    browser: Browser, page_url: str, recording: Recording, tmp_path: Path
) -> None:
    video = recording.write_video(tmp_path / "video.webm")
    with opened(browser, page_url) as page:
        page.set_input_files("#file", video)
        wait_until(page, "window.lockonPage.shown !== null")
        drag_on_target(page, recording)
        wait_for_results(page, 5)
        assert np.median(overlaps(page, recording, samples=6)) > 0.7
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        assert page.locator("#targets li").count() == 2
        page.click("#targets li:first-child .remove")
        wait_until(page, "window.lockonPage.targets.length === 1")
        wait_for_results(page, 3)
        assert page.inner_text("#connection") == "connected"


def test_windows_are_sent_when_asked_for_and_whole_pictures_while_a_box_is_drawn(
    browser: Browser, page_url: str, recording: Recording
) -> None:
    with opened(browser, page_url) as page:
        use_camera(page)
        page.check("#send-window")
        drag_on_target(page, recording)
        wait_until(page, "window.lockonPage.windows > 5")
        assert np.median(overlaps(page, recording, samples=6)) > 0.7
        assert page.evaluate("window.lockonPage.saved_bytes") > 0
        assert float(page.inner_text("#saved")) > 0
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        assert min(overlaps(page, recording, samples=3)) > 0.4
        assert page.locator("#targets li").count() == 2
        assert page.is_hidden("#message"), "the second box was drawn on a picture of which a window was sent"
        page.uncheck("#send-window")
        wait_for_results(page, 5)
        windows = page.evaluate("window.lockonPage.windows")
        wait_for_results(page, 5)
        assert page.evaluate("window.lockonPage.windows") == windows


def test_the_window_of_a_large_target_is_scaled_down(launch: Launch, page_url: str, tmp_path: Path) -> None:
    recording = fake_camera.drawn(count=45, enlarged=2)
    uploaded: list[tuple[int, int, int]] = []

    def note(page_side: WebSocketRoute) -> None:
        server_side = page_side.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if isinstance(message, bytes):
                frame = read_frame(message, -1, 2**22, 0.0)
                uploaded.append((frame.header.width, frame.window.width if frame.window else 0, frame.width))
            server_side.send(message)

        page_side.on_message(pass_on)

    with opened(launch(recording.write_camera(tmp_path / "camera.y4m")), page_url) as page:
        page.route_web_socket("**/v1/stream", note)
        use_camera(page)
        page.check("#send-window")
        drag_on_target(page, recording)
        wait_until(page, "window.lockonPage.windows > 5")
        assert np.median(overlaps(page, recording, samples=6)) > 0.5
    scaled = [sizes for sizes in uploaded if sizes[1]]
    assert scaled
    assert all(image < window <= full for image, window, full in scaled)


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


def test_a_dropped_video_plays_and_a_dropped_text_is_refused_in_plain_words(
    browser: Browser, page_url: str, recording: Recording, tmp_path: Path
) -> None:
    video = recording.write_video(tmp_path / "video.webm")
    with opened(browser, page_url) as page:
        drop_file(page, "notes.txt", "text/plain", b"no video")
        assert shown_words(page).startswith("This browser cannot play notes.txt")
        page.click("#dismiss")
        assert page.is_hidden("#message")
        drop_file(page, "video.webm", "video/webm", video.read_bytes())
        wait_until(page, "window.lockonPage.source === 'file' && window.lockonPage.shown !== null")
        drop_file(page, "notes.txt", "text/plain", b"no video")
        shown_words(page)
        assert page.is_visible("#start"), "a file that fails leaves no dead picture behind"


def test_a_refused_camera_is_told_in_plain_words(browser: Browser, page_url: str) -> None:
    refusal = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); };"
    with opened(browser, page_url, script=refusal) as page:
        page.click("#start-camera")
        assert shown_words(page).startswith("The camera was refused.")
        assert page.is_visible("#start")


def test_a_camera_that_is_pulled_out_is_told_and_the_start_view_returns(browser: Browser, page_url: str) -> None:
    with opened(browser, page_url) as page:
        use_camera(page)
        page.evaluate("document.querySelector('#video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
        assert shown_words(page).startswith("The camera was disconnected.")
        assert page.is_visible("#start")
        use_camera(page)
        assert page.is_hidden("#message")


def test_a_finger_drags_a_box_on_a_phone(browser: Browser, page_url: str, recording: Recording) -> None:
    with opened(browser, page_url, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        use_camera(page)
        touch = page.context.new_cdp_session(page)
        place = on_screen(page, recording)
        x, y, w, h = recording.boxes[read_shown(page, recording)["index"]]
        steps = [
            ("touchStart", place(x, y)),
            ("touchMove", place(x + w / 2, y + h / 2)),
            ("touchMove", place(x + w, y + h)),
        ]
        for kind, (left, top) in steps:
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": left, "y": top}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        wait_for_results(page, 5)
        assert np.median(overlaps(page, recording, samples=6)) > 0.4
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "the page scrolls sideways"


def test_the_keyboard_alone_starts_and_removes_a_target(browser: Browser, page_url: str) -> None:
    with opened(browser, page_url) as page:
        page.focus("#start-camera")
        page.keyboard.press("Enter")
        wait_until(page, "document.activeElement.id === 'picture' && window.lockonPage.shown !== null")
        for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp", "Enter"):
            page.keyboard.press(key)
        wait_for_results(page, 3)
        _, _, w, h = page.evaluate("window.lockonPage.targets[0].box")
        assert w > h, "shift and arrow keys had resized the box"
        page.keyboard.press("Escape")
        wait_until(page, "window.lockonPage.targets.length === 0")


def test_a_target_that_leaves_the_picture_is_drawn_and_announced_as_lost(
    launch: Launch, page_url: str, tmp_path: Path
) -> None:
    recording = fake_camera.vanishing()
    with opened(launch(recording.write_camera(tmp_path / "camera.y4m")), page_url) as page:
        use_camera(page)
        wait_until(page, f"(({READ_SHOWN})({[*recording.size, STRIP_HEIGHT, BITS]})).index < 12")
        drag_on_target(page, recording)
        wait_until(page, "window.lockonPage.targets[0]?.lost_ms > 100")
        assert page.inner_text("#announcer") == "Target 1 is lost"
        assert page.inner_text("#state").startswith("lost ")
        assert page.locator("#targets li .what").inner_text().startswith("lost ")


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
        runtime.gate.set()
        wait_until(page, "window.tried.results === 17")
        assert (session.counters.received, session.counters.dropped, page.evaluate("window.tried.errors")) == (17, 0, 0)


def test_a_hidden_tab_sends_nothing_until_it_is_seen_again(
    browser: Browser, page_url: str, recording: Recording
) -> None:
    hiding = "window.covered = false; Object.defineProperty(document, 'hidden', { get: () => window.covered });"
    five_pictures = """() => new Promise((done) => {
      const video = document.querySelector("#video");
      const next = (left) => (left ? video.requestVideoFrameCallback(() => next(left - 1)) : done());
      next(5);
    })"""
    with opened(browser, page_url, script=hiding) as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        page.evaluate("window.covered = true")
        page.evaluate(five_pictures)  # the one in work when the tab was covered has gone out
        sent = page.evaluate("window.lockonPage.sent")
        page.evaluate(five_pictures)
        assert page.evaluate("window.lockonPage.sent") == sent
        page.evaluate("window.covered = false")
        wait_for_results(page, 3)


def test_another_model_takes_the_targets_over(
    browser: Browser, start_server: StartServer, recording: Recording
) -> None:
    models = {"models": {"default": "dummy", "also": ["second"]}}
    server = start_server(models, lambda _: load_tracker("dummy"))
    with opened(browser, f"{server.http}/") as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        page.select_option("#model", "second")
        wait_for_results(page, 5)
        assert np.median(overlaps(page, recording, samples=6)) > 0.7
        (session,) = server.app.state.registry.all()
        assert session.model.id == "second"


def test_a_model_that_was_retired_meanwhile_is_told_in_plain_words_and_leaves_the_list(
    browser: Browser, start_server: StartServer, recording: Recording
) -> None:
    models = {"models": {"default": "dummy", "also": ["second"], "admin": True}}
    server = start_server(models, lambda _: load_tracker("dummy"))
    with opened(browser, f"{server.http}/") as page:
        use_camera(page)
        page.select_option("#model", "second")
        assert httpx.delete(f"{server.http}/v1/models/second").status_code == 202
        drag_on_target(page, recording)
        assert "second" in shown_words(page)
        wait_until(page, "document.querySelector('#model').options.length === 1")
        drag_on_target(page, recording)
        wait_for_results(page, 3)


def test_a_box_on_a_frame_that_the_server_forgot_starts_on_the_next_one(
    browser: Browser, page_url: str, recording: Recording
) -> None:
    asked: list[Any] = []

    def forgetful(page_side: WebSocketRoute) -> None:
        server_side = page_side.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            operation = json.loads(message) if isinstance(message, str) else {}
            if operation.get("type") != "target.add":
                server_side.send(message)
                return
            asked.append(operation["on_seq"])
            if len(asked) > 1:
                server_side.send(message)
                return
            refusal = {"type": "ack", "op": operation["op"], "ok": False, "code": "seq_too_old", "detail": "too old"}
            page_side.send(json.dumps(refusal))

        page_side.on_message(pass_on)

    with opened(browser, page_url) as page:
        page.route_web_socket("**/v1/stream", forgetful)
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        assert isinstance(asked[0], int)
        assert asked[1:] == ["next"]
        assert page.is_hidden("#message")


def test_a_server_with_keys_asks_for_one(
    browser: Browser, start_server: StartServer, recording: Recording, tmp_path: Path
) -> None:
    keys = KeyFile(tmp_path / "keys.toml")
    server = start_server({"auth": {"keys": keys.path}})
    with opened(browser, f"{server.http}/", fails="401") as page:
        page.wait_for_selector("#access:not([hidden])")
        page.fill("#key", "lk_live_wrong")
        page.click("#access button")
        assert shown_words(page) == "The server does not take this key: this API key is not valid"
        page.fill("#key", keys.new("page"))
        page.click("#access button")
        wait_until(page, "document.querySelector('#access').hidden")
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        keys.revoke("page")
        page.wait_for_selector("#access:not([hidden])")


def test_a_full_server_is_told_in_plain_words(browser: Browser, page_url: str, recording: Recording) -> None:
    with opened(browser, page_url) as page:
        page.route_web_socket("**/v1/stream", lambda socket: socket.close(code=4503, reason="no_capacity"))
        use_camera(page)
        drag_on_target(page, recording)
        assert "The server is full" in shown_words(page)
        assert page.inner_text("#connection") == "closed"


def test_a_server_that_stops_is_told_in_plain_words_and_so_is_one_that_is_gone(
    browser: Browser, recording: Recording, tmp_path: Path
) -> None:
    server = ServerProcess(tmp_path / "log", limits__drain_s=0.1).ready()
    with opened(browser, f"{server.http}/", fails="ERR_CONNECTION_REFUSED") as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        server.terminate()
        server.wait()
        wait_until(page, "window.lockonPage.connection === 'closed'")
        wait_until(page, "document.querySelector('#words').textContent.endsWith('Drag a box to start again.')")
        assert page.locator("#targets li").count() == 0
        drag_on_target(page, recording)
        wait_until(page, "document.querySelector('#words').textContent.startsWith('The server cannot be reached.')")
    server.end()


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


@pytest.mark.slow
def test_a_server_that_stops_and_saves_nothing_leaves_the_targets_to_the_next_one(
    browser: Browser, start_server: StartServer, recording: Recording, tmp_path: Path
) -> None:
    other = start_server()
    stopping = ServerProcess(tmp_path / "log", limits__drain_s=0.3).ready()
    at_once = "Math.random = () => 0; // while the boxes are fresh"
    with forwarding_in_a_thread(stopping.port) as line, opened(browser, line.http, script=at_once) as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        line.target = other.port
        stopping.terminate()
        stopping.wait()
        stopping.end()
        wait_until(page, "window.lockonPage.connection === 'connected'")
        wait_for_results(page, 3)
        assert page.locator("#targets li").count() == 1
        assert page.locator("#message").is_hidden()
    (session,) = other.app.state.registry.all()
    assert session.request.targets[0].id == "t1"


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


def test_a_broken_line_is_told_and_mended_with_the_same_target(
    browser: Browser, start_server: StartServer, recording: Recording
) -> None:
    server = start_server()
    with opened(browser, f"{server.http}/") as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        (connection,) = server.connections()
        connection.loop.call_soon_threadsafe(connection.transport.abort)
        wait_until(page, "window.lockonPage.result?.epoch === 2")
        wait_for_results(page, 3)
        assert page.locator("#targets li").count() == 1
        assert page.inner_text("#connection") == "connected"
        assert page.locator("#message").is_hidden()
