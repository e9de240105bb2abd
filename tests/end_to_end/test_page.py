"""The page in a real Chromium: a camera, a file, mouse, touch and keyboard, against a running server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.end_to_end import fake_camera
from tests.end_to_end.conftest import RunningServer
from tests.end_to_end.fake_camera import BITS, STRIP_HEIGHT, Recording

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

# Which frame is on the canvas: the blocks beneath the picture, read from the canvas itself.
READ_SHOWN = """([width, height, strip, bits]) => {
  const canvas = document.querySelector("#picture");
  const context = canvas.getContext("2d");
  const scale = canvas.width / width;
  let index = 0;
  for (let bit = 0; bit < bits; bit++) {
    const x = Math.round((Math.floor(width / bits) * (bit + 0.5)) * scale);
    const [r] = context.getImageData(x, Math.round((height - strip / 2) * scale), 1, 1).data;
    index = index * 2 + (r > 127 ? 1 : 0);
  }
  const { targets, shown, result, connection } = window.lockonPage;
  return { index, shown, connection, targets, seq: result?.seq ?? null };
}"""


@pytest.fixture(scope="module", autouse=True)
def chromium() -> str:
    """The browser; without one these tests are skipped, but not in CI."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the page cannot be tested: no Chromium (apt-get install chromium)")
        pytest.skip("no Chromium (apt-get install chromium)")
    return CHROMIUM


@pytest.fixture
def page_url(server: RunningServer) -> str:
    """The page's address."""
    return f"{server.http}/"


@contextmanager
def opened(executable: str, url: str, camera: Path | None = None, **context: Any) -> Iterator[Page]:
    """The page in a browser of its own, with a fake camera; fails on any error in the browser's console."""
    flags = [*FLAGS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    if camera is not None:
        flags.append(f"--use-file-for-fake-video-capture={camera}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        page = browser.new_context(**{"viewport": DESKTOP, **context}).new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on(
            "request", lambda request: None if request.url.startswith((url, "blob:")) else problems.append(request.url)
        )
        page.goto(url)
        yield page
        browser.close()
        assert problems == []


def wait_until(page: Page, condition: str, timeout_ms: int = 15000) -> None:
    """Until a JavaScript expression is true; playwright's own wait needs `eval`, which the page's policy forbids."""
    page.evaluate(
        f"""() => new Promise((done, fail) => {{
          const end = performance.now() + {timeout_ms};
          const look = () => ({condition}) ? done()
            : performance.now() > end ? fail(new Error("never true: " + {condition!r})) : setTimeout(look, 20);
          look();
        }})"""
    )


def use_camera(page: Page) -> None:
    page.click("#start-camera")
    wait_until(page, "window.lockonPage.shown !== null")


def read_shown(page: Page, recording: Recording) -> dict[str, Any]:
    shown: dict[str, Any] = page.evaluate(READ_SHOWN, [*recording.size, STRIP_HEIGHT, BITS])
    return shown


def on_screen(page: Page, recording: Recording) -> Callable[[float, float], tuple[float, float]]:
    """From frame pixels to screen pixels."""
    bounds = page.locator("#picture").bounding_box()
    assert bounds is not None
    scale = bounds["width"] / recording.size[0]
    return lambda x, y: (bounds["x"] + x * scale, bounds["y"] + y * scale)


def drag_on_target(page: Page, recording: Recording) -> None:
    """Presses where the target is now, reads which frame stands still, and ends the box where its truth says."""
    place = on_screen(page, recording)
    x, y, w, h = recording.boxes[read_shown(page, recording)["index"]]
    page.mouse.move(*place(x, y))
    page.mouse.down()
    x, y, w, h = recording.boxes[read_shown(page, recording)["index"]]
    page.mouse.move(*place(x + w / 2, y + h / 2), steps=3)
    page.mouse.move(*place(x + w, y + h), steps=3)
    page.mouse.up()


def wait_for_results(page: Page, count: int) -> None:
    """Until `count` more results came in which every target is followed."""
    start = page.evaluate("window.lockonPage.result?.seq ?? window.lockonPage.shown")
    all_followed = "p.targets.length && p.result.targets.length === p.targets.length"
    wait_until(page, f"((p) => p.result?.seq >= {start + count} && {all_followed})(window.lockonPage)")


def overlaps(page: Page, recording: Recording, samples: int) -> list[float]:
    """Intersection over union of the drawn box with the truth of the frame it is drawn on."""
    found = []
    for _ in range(samples):
        wait_for_results(page, 2)
        shown = read_shown(page, recording)
        assert shown["shown"] == shown["seq"], "the box of one frame is drawn on another"
        x, y, w, h = shown["targets"][0]["box"]
        tx, ty, tw, th = recording.boxes[shown["index"]]
        across = max(0.0, min(x + w, tx + tw) - max(x, tx)) * max(0.0, min(y + h, ty + th) - max(y, ty))
        found.append(across / (w * h + tw * th - across))
    return found


def assert_numbers(page: Page) -> None:
    for number in ("age", "fps-in", "fps-out", "score", "dropped", "skipped"):
        assert float(page.inner_text(f"#{number}")) >= 0, number
    assert float(page.inner_text("#age")) > 0
    assert page.inner_text("#connection") == "connected"


def test_a_box_dragged_with_the_mouse_follows_the_target_of_a_camera(
    chromium: str, page_url: str, tmp_path: Path
) -> None:
    recording = fake_camera.drawn()
    with opened(chromium, page_url, recording.write_camera(tmp_path / "camera.y4m")) as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 5)
        assert np.median(overlaps(page, recording, samples=12)) > 0.7
        assert page.inner_text("#state") in ("tracking", "reacquired")
        assert_numbers(page)
        page.screenshot(path=tmp_path / "page.png")
        page.keyboard.press("Escape")
        wait_until(page, "window.lockonPage.targets.length === 0")
        assert page.inner_text("#connection") == "idle"


@pytest.mark.shared
def test_a_real_sequence_played_as_a_camera_is_followed(
    chromium: str, page_url: str, tmp_path: Path, shared: Path
) -> None:
    recording = fake_camera.real(shared / "data" / "eval" / "car4_road", 60)
    with opened(chromium, page_url, recording.write_camera(tmp_path / "camera.y4m")) as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 5)
        assert np.median(overlaps(page, recording, samples=12)) > 0.5
        assert_numbers(page)


def test_a_video_file_is_followed_and_two_targets_have_rows_of_their_own(
    chromium: str, page_url: str, tmp_path: Path
) -> None:
    recording = fake_camera.drawn()
    video = recording.write_video(tmp_path / "video.webm")
    with opened(chromium, page_url) as page:
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


def test_a_finger_drags_a_box_on_a_phone(chromium: str, page_url: str, tmp_path: Path) -> None:
    recording = fake_camera.drawn()
    camera = recording.write_camera(tmp_path / "camera.y4m")
    with opened(chromium, page_url, camera, viewport=PHONE, has_touch=True, is_mobile=True) as page:
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


def test_the_keyboard_alone_starts_and_removes_a_target(chromium: str, page_url: str, tmp_path: Path) -> None:
    recording = fake_camera.drawn()
    with opened(chromium, page_url, recording.write_camera(tmp_path / "camera.y4m")) as page:
        page.focus("#start-camera")
        page.keyboard.press("Enter")
        wait_until(page, "window.lockonPage.shown !== null")
        page.focus("#picture")
        for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp", "Enter"):
            page.keyboard.press(key)
        wait_for_results(page, 3)
        _, _, w, h = page.evaluate("window.lockonPage.targets[0].box")
        assert w > h, "shift and arrow keys had resized the box"
        page.keyboard.press("Escape")
        wait_until(page, "window.lockonPage.targets.length === 0")


def test_a_server_that_went_away_is_told_in_plain_words(chromium: str, page_url: str, tmp_path: Path) -> None:
    recording = fake_camera.drawn()
    with opened(chromium, page_url, recording.write_camera(tmp_path / "camera.y4m")) as page:
        page.route_web_socket("**/v1/stream", lambda socket: socket.close(code=4503, reason="no_capacity"))
        use_camera(page)
        drag_on_target(page, recording)
        page.wait_for_selector("#message:not([hidden])")
        assert "The server is full" in page.inner_text("#message")
        assert page.inner_text("#connection") == "closed"
