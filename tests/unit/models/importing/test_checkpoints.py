"""Every kind of checkpoint file is read, and nothing in it is ever run."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.importing.checkpoints import CheckpointInvalid, read_state

WEIGHTS = {
    "conv.weight": torch.arange(6.0).reshape(2, 3),
    "norm.running_var": torch.tensor([0.5, 2.0]),
    "norm.num_batches_tracked": torch.tensor(7),
}
NAMES = list(WEIGHTS)


class Command:
    """Runs a command when it is unpickled by a reader that lets it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


class Python2Pickler(pickle._Pickler):
    """Writes text as Python 2 did: as bytes of latin1."""

    dispatch: ClassVar[dict[type, Callable[[Any, Any], None]]] = dict(pickle._Pickler.dispatch)

    def save_text(self, text: str) -> None:
        data = text.encode("latin1")
        self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(data)) + data)  # type: ignore[attr-defined]
        self.memoize(text)  # type: ignore[attr-defined]

    dispatch[str] = save_text


def python2_file(path: Path, content: Any) -> None:
    def dump(value: Any, file: io.BufferedWriter, protocol: int) -> None:
        Python2Pickler(file, protocol).dump(value)

    module = types.ModuleType("python2_pickle")
    module.__dict__.update(Pickler=Python2Pickler, dump=dump)
    torch.save(content, path, pickle_module=module, _use_new_zipfile_serialization=False)


def assert_weights(path: Path) -> None:
    state = read_state(path)
    assert list(state) == NAMES
    for name, tensor in WEIGHTS.items():
        assert state[name].shape == tuple(tensor.shape)
        np.testing.assert_array_equal(state[name], tensor.numpy())
    assert state["conv.weight"].dtype == np.float32
    assert state["norm.num_batches_tracked"].dtype == np.int64


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".pth.tar", ".model", ".bin", ".pt"])
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
def test_files_of_torch_are_read_whatever_their_age_and_suffix(tmp_path: Path, suffix: str, as_zip: bool) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=as_zip)
    assert_weights(path)


def test_a_file_that_python_2_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "SiamRPNVOT.model"
    python2_file(path, OrderedDict(WEIGHTS))
    with path.open("rb") as file:
        assert b"X\x0b\x00\x00\x00conv.weight" not in file.read()  # no text of Python 3
    assert_weights(path)


def test_safetensors_and_npz_are_read(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "weights.safetensors")
    assert sorted(read_state(tmp_path / "weights.safetensors")) == sorted(NAMES)
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in WEIGHTS.items()}
    np.savez(tmp_path / "weights.npz", **arrays)
    assert_weights(tmp_path / "weights.npz")


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", "net"])
def test_weights_are_found_within_what_training_code_writes(tmp_path: Path, wrapper: str) -> None:
    optimiser = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    content = {"epoch": 3, wrapper: WEIGHTS, "optimizer": optimiser, "best": torch.tensor(0.5)}
    torch.save(content, tmp_path / "weights.pth")
    assert_weights(tmp_path / "weights.pth")


def test_the_prefix_of_data_parallel_is_taken_off(tmp_path: Path) -> None:
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in WEIGHTS.items()}}, tmp_path / "weights.pth")
    assert_weights(tmp_path / "weights.pth")


def test_a_name_with_and_without_the_prefix_is_refused(tmp_path: Path) -> None:
    torch.save({"module.a": torch.ones(1), "a": torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointInvalid, match="holds a twice"):
        read_state(tmp_path / "weights.pth")


def test_numbers_of_numpy_beside_the_weights_do_no_harm(tmp_path: Path) -> None:
    rates = [np.float64(0.01), np.float32(0.5), np.int64(3)]
    torch.save({"state_dict": WEIGHTS, "optimizer": {"param_groups": rates}}, tmp_path / "weights.pth")
    assert_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save({"a": torch.tensor([0.5, 2.0], dtype=dtype)}, tmp_path / "weights.pth")
    state = read_state(tmp_path / "weights.pth")
    assert state["a"].dtype == np.float32
    assert state["a"].tolist() == [0.5, 2.0]


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
def test_code_in_a_file_is_named_and_never_run(tmp_path: Path, as_zip: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "weights.pth"
    torch.save({"state_dict": WEIGHTS, "extra": Command(trace)}, path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(CheckpointInvalid, match=r"weights\.pth: the file wants to run (posix|nt)\.system"):
        read_state(path)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_plain_pickle_is_named_and_never_run(tmp_path: Path, protocol: int) -> None:
    trace, path = tmp_path / "trace", tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"state_dict": Command(trace)}, protocol))
    with pytest.raises(CheckpointInvalid, match=r"the file wants to run (posix|nt)\.system"):
        read_state(path)
    assert not trace.exists()


def test_a_network_saved_whole_is_refused_with_its_class(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "weights.pth")
    with pytest.raises(CheckpointInvalid, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        read_state(tmp_path / "weights.pth")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float, as_zip: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(5000)}, path, _use_new_zipfile_serialization=as_zip)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointInvalid, match="not a whole one"):
        read_state(path)


def encrypted(archive: bytes) -> bytes:
    """A zip archive of one file, marked as encrypted where its entries say so."""
    content = bytearray(archive)
    content[content.index(b"PK\3\4") + 6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def test_files_of_other_kinds_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>Too many people have downloaded this file</html>")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "text.safetensors").write_text("no tensors at all, just some text")
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(b"\0\0")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    np.savez(tmp_path / "texts.npz", a=np.array(["x"]))
    with zipfile.ZipFile(tmp_path / "archive.npz", "w") as file:
        file.writestr("readme.txt", "weights below")
    (tmp_path / "locked.npz").write_bytes(encrypted((tmp_path / "texts.npz").read_bytes()))
    (tmp_path / "lengths.pth").write_bytes(b"\x8e" + struct.pack("<Q", 2**62))
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3, "best": 0.5}, tmp_path / "numbers.pth")
    torch.save({"a": torch.ones(2, dtype=torch.complex64)}, tmp_path / "complex.pth")
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / "program.pt"))  # type: ignore[no-untyped-call]
    with tarfile.open(tmp_path / "packed.pth.tar", "w") as archive:
        archive.add(tmp_path / "page.pth", "page.pth")
    reasons = {
        "": "is a folder",
        "gone.pth": "there is no such file",
        "empty.pth": "the file is empty",
        "page.pth": "is no checkpoint of torch",
        "text.npz": r"is no \.npz",
        "objects.npz": r"is no \.npz of plain arrays",
        "texts.npz": "expected plain numbers",
        "archive.npz": r"readme\.txt is no array",
        "locked.npz": "encrypted",
        "lengths.pth": "is no checkpoint of torch",
        "text.safetensors": "is no safetensors file",
        "model.ckpt.data-00000-of-00001": r"save its variables as \.npz",
        "list.pth": "holds a list",
        "numbers.pth": "holds no weights; there is epoch, best",
        "complex.pth": "expected plain numbers",
        "program.pt": "TorchScript program",
        "packed.pth.tar": "tar archive",
    }
    for name, reason in reasons.items():
        with pytest.raises(CheckpointInvalid, match=reason) as caught:
            read_state(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
