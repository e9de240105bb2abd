"""The page in a real Chromium: a camera, a file, mouse, touch and keyboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, WebSocketRoute

from service.protocol.header import read_frame
from tests.end_to_end.browsing import (
    PHONE,
    READ_SHOWN,
    assert_numbers,
    drag_on_target,
    on_screen,
    opened,
    overlaps,
    read_shown,
    use_camera,
    wait_for_results,
    wait_until,
)
from tests.end_to_end.page import fake_camera
from tests.end_to_end.page.conftest import Launch
from tests.end_to_end.page.fake_camera import BITS, STRIP_HEIGHT, Recording

pytestmark = pytest.mark.browser


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
        wait_until(page, "Number(document.getElementById('saved').textContent) > 0")  # in MB, to two places
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
