"""The target's box as the user gives it: in numbers, or dragged in a window."""

from __future__ import annotations

import os
import sys

import cv2
import typer

from models.geometry import Box
from models.runtimes.base import ByteArray
from service.commands.failures import WITH_WINDOWS, CommandFailed

_TITLE = "Lockon: drag a box around the target, then press Enter"


def parsed_box(text: str) -> Box:
    """The box that the text `x,y,w,h` stands for; raises typer.BadParameter."""
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not x,y,w,h: four numbers", param_hint="--box") from error
    return Box(x, y, w, h)


def select_box(frame: ByteArray) -> Box:
    """The box that the user drags; raises CommandFailed where no window can be opened or nothing was chosen."""
    _require_window_system()
    x, y, w, h = cv2.selectROI(_TITLE, frame, showCrosshair=False)
    cv2.destroyAllWindows()
    if w == 0 or h == 0:
        raise CommandFailed("no box was chosen")
    return Box(x, y, w, h)


def _require_window_system() -> None:
    gui = next((line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")), "")
    if "NONE" in gui:
        raise CommandFailed(f"--select needs an OpenCV with windows: {WITH_WINDOWS}; or give --box x,y,w,h")
    # Qt ends the whole process when it finds no display, so this has to be asked first.
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise CommandFailed("--select needs a display (DISPLAY is not set); give --box x,y,w,h instead")
