"""Chromium with a camera, for the tests of the page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.end_to_end.browsing import (
    CHROMIUM,
    FLAGS,
)
from tests.end_to_end.conftest import RunningServer
from tests.end_to_end.page import fake_camera
from tests.end_to_end.page.fake_camera import Recording

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
