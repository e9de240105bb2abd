"""How tests use the page in Chromium: open it, wait, read what it shows, drag boxes."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page

from tests.end_to_end.page.fake_camera import BITS, STRIP_HEIGHT, Recording

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


@contextmanager
def opened(browser: Browser, url: str, *, script: str = "", fails: str = "", **context: Any) -> Iterator[Page]:
    """The page in a profile of its own; fails on any error in the browser's console that does not speak of `fails`.

    `script` runs before those of the page."""
    profile = browser.new_context(**{"viewport": DESKTOP, **context})
    page = profile.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith((url, "blob:")) else problems.append(request.url))
    if script:
        page.add_init_script(script)
    page.goto(url)
    wait_until(page, "document.querySelector('#model').options.length > 0 || !document.querySelector('#access').hidden")
    yield page
    profile.close()
    assert [problem for problem in problems if not (fails and fails in problem)] == []


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


def shown_words(page: Page) -> str:
    """What the page tells in its message."""
    page.wait_for_selector("#message:not([hidden])")
    return page.inner_text("#words")


DROP = """async ([name, type, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type }));
  const drop = (kind) => document.querySelector("#start, #picture").dispatchEvent(
    new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  drop("dragover");
  const marked = document.querySelector("#stage").classList.contains("drop");
  drop("drop");
  return marked && !document.querySelector("#stage").classList.contains("drop");
}"""


def drop_file(page: Page, name: str, kind: str, content: bytes) -> None:
    assert page.evaluate(DROP, [name, kind, base64.b64encode(content).decode()]), "the stage shows where to drop"
