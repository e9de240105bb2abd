"""Foreign checkpoint files -> names and arrays. No code of a file is ever run: what is not plain data is refused."""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from numpy._core.multiarray import scalar
from numpy.typing import NDArray
from safetensors.torch import load_file

State = dict[str, NDArray[Any]]
"""Name -> array."""

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Where training code puts the network's state beside the optimiser's."""
_MAX_DEPTH = 4

_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
    np.dtypes.Int64DType,
]
"""What real files hold beside tensors: numbers of numpy, as learning rates (NanoTrack's). Building one runs nothing."""

_GLOBAL = re.compile(r"GLOBAL (?P<name>[\w.]+)")
_UNPICKLER = re.compile(r"WeightsUnpickler error:\s*(?P<reason>.+)")


class CheckpointInvalid(ValueError):
    """A file holds no weights that can be read safely; the message names the file and the reason."""


def read_state(path: Path) -> State:
    """The weights in a file: `.npz` of numpy, `.safetensors`, else a checkpoint of torch, of any age.

    Wrappers such as `state_dict` and the prefix `module.` are taken off, whatever lies beside the weights (optimiser,
    epoch) is left out. Floats become float32, integers int64. Raises CheckpointInvalid."""
    if path.is_dir():
        raise CheckpointInvalid(f"{path} is a folder; a checkpoint is a file")
    if not path.is_file():
        raise CheckpointInvalid(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise CheckpointInvalid(f"{path}: the file is empty")
    if path.suffix in (".index", ".meta") or ".data-" in path.name:
        raise CheckpointInvalid(
            f"{path} is part of a TensorFlow checkpoint: save its variables as .npz and import that"
        )
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    state = readers.get(path.suffix, _read_torch)(path)
    return _without_prefix(path, state)


def _read_npz(path: Path) -> State:
    if not zipfile.is_zipfile(path):
        raise CheckpointInvalid(f"{path}: is no .npz, or not a whole one")
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file.items())
    # RuntimeError: an encrypted one. MemoryError: a header that promises more than any file holds.
    except (ValueError, OSError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointInvalid(f"{path}: is no .npz of plain arrays: {_first_sentence(error)}") from error
    return {name: _plain(path, name, array) for name, array in content.items()}


def _read_safetensors(path: Path) -> State:
    try:
        return {name: _array(path, name, tensor) for name, tensor in load_file(path).items()}
    except safetensors.SafetensorError as error:
        raise CheckpointInvalid(f"{path}: is no safetensors file: {_first_sentence(error)}") from error


def _read_torch(path: Path) -> State:
    try:
        # Warnings tell of old formats and of settings of the loader; a user can do nothing about either.
        with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            warnings.simplefilter("ignore")
            # latin1: strings and numbers that Python 2 wrote are bytes.
            content = torch.load(path, map_location="cpu", weights_only=True, encoding="latin1")
    except Exception as error:  # a broken file can make the reader fail in any way at all
        raise CheckpointInvalid(f"{path}: {_torch_reason(path, error)}") from error
    return {name: _array(path, name, tensor) for name, tensor in _unwrapped(path, content).items()}


def _torch_reason(path: Path, error: Exception) -> str:
    """What is wrong with a file, from torch's words without its advice to trust the file."""
    text = str(error)
    named = _GLOBAL.search(text)
    wanted = named["name"] if named else _global_of_plain_pickle(path)
    if wanted:
        return (
            f"the file wants to run {wanted}, and no code of a file is ever run. A network that was saved whole has to"
            " be saved again by its own code: torch.save(network.state_dict(), FILE)"
        )
    if "legacy .tar format" in text:
        return "is a tar archive: a checkpoint of torch before 0.2, which can't be read safely, or one that was packed"
    if "TorchScript" in text:
        return "is a TorchScript program and no checkpoint; save its state_dict()"
    detail = _UNPICKLER.search(text)
    return f"is no checkpoint of torch, or not a whole one: {detail['reason'] if detail else _first_sentence(error)}"


def _global_of_plain_pickle(path: Path) -> str | None:
    """The first class or function that a pickle asks for which torch did not write; found without loading it."""
    words: list[str] = []
    try:
        with path.open("rb") as file:
            for operation, argument, _ in pickletools.genops(file):
                if operation.name == "GLOBAL":
                    return str(argument).replace(" ", ".")
                if operation.name == "STACK_GLOBAL":
                    return ".".join(words[-2:])
                if isinstance(argument, str):
                    words.append(argument)
    except (ValueError, MemoryError, OverflowError):  # no pickle at all: lengths are then any numbers
        return None
    return None


def _unwrapped(path: Path, content: Any) -> dict[str, torch.Tensor]:
    """The tensors by name, out of a state dict or of what training code wraps it in."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(content, Mapping):
            raise CheckpointInvalid(f"{path}: holds a {type(content).__name__}, not the weights of a network")
        tensors = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not tensors:
        keys = ", ".join(map(str, list(content)[:8])) or "nothing"
        raise CheckpointInvalid(f"{path}: holds no weights; there is {keys}")
    return {str(name): tensor for name, tensor in tensors.items()}


def _array(path: Path, name: str, tensor: torch.Tensor) -> NDArray[Any]:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
        raise CheckpointInvalid(f"{path}: {name} is {tensor.dtype}, {tensor.layout}; expected plain numbers")
    tensor = tensor.detach()
    return tensor.float().numpy() if tensor.is_floating_point() else tensor.long().numpy()


def _plain(path: Path, name: str, array: NDArray[Any] | bytes) -> NDArray[Any]:
    if isinstance(array, bytes):  # whatever else lies in the archive
        raise CheckpointInvalid(f"{path}: {name} is no array of numpy")
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    raise CheckpointInvalid(f"{path}: {name} is of kind {array.dtype}; expected plain numbers")


def _without_prefix(path: Path, state: State) -> State:
    """Without `module.`, which torch's DataParallel puts before every name."""
    bare: State = {}
    for name, array in state.items():
        short = name.removeprefix("module.")
        if short in bare:
            raise CheckpointInvalid(f"{path}: holds {short} twice, with and without the prefix module.")
        bare[short] = array
    if not bare:
        raise CheckpointInvalid(f"{path}: holds no arrays")
    return bare


def _first_sentence(error: Exception) -> str:
    """The first sentence of the first line; the rest is advice."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0] if lines else type(error).__name__
