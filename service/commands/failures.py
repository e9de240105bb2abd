"""How a command fails: one line on stderr and exit code 1; wrong usage is code 2 and typer's own business."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import typer

TRAIN_EXTRA = "pip install 'lockon[train]'"


class CommandFailed(Exception):
    """A mistake of the user that no library reports; the message says what to do."""


@contextmanager
def reported(*expected: type[Exception]) -> Iterator[None]:
    """Turns expected errors, those of the file system and CommandFailed into one line on stderr and exit code 1.

    Everything else is a fault of ours and keeps its traceback.
    """
    kinds: tuple[type[Exception], ...] = (CommandFailed, OSError, *expected)
    try:
        yield
    except kinds as error:
        typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def require_train_extra() -> None:
    """Raises CommandFailed, with the command that helps, where torch is missing."""
    missing = [name for name in ("torch", "safetensors", "onnx", "lmdb") if find_spec(name) is None]
    if missing:
        raise CommandFailed(f"this command needs {', '.join(missing)}: {TRAIN_EXTRA}")


def silence_opencv() -> None:
    """Keeps OpenCV's own log off stderr, unless the user has chosen a level; to be called before cv2 is imported.

    What its backends say of a missing camera or a network's target is no help beside our own line."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
