"""The page and where its pictures come from: files dropped on it, cameras refused and pulled out."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.end_to_end.browsing import (
    drop_file,
    opened,
    shown_words,
    use_camera,
    wait_until,
)
from tests.end_to_end.page.fake_camera import Recording

pytestmark = pytest.mark.browser


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


def test_nothing_scrolls_sideways_on_a_narrow_phone(browser: Browser, page_url: str) -> None:
    narrow = {"width": 320, "height": 568}
    model = 'document.querySelector("#model").replaceChildren(new Option("nanotrack_v2_of_a_long_name"))'
    with opened(browser, page_url, viewport=narrow) as page:
        page.evaluate(f"() => {{ {model} }}")
        for state in ("idle", "connecting", "connected"):
            page.evaluate("(state) => (document.querySelector('#connection').textContent = state)", state)
            assert page.evaluate("document.documentElement.scrollWidth") <= narrow["width"], state


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
