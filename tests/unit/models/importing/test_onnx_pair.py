"""ONNX pairs, made here of networks with random weights as NanoTrack publishes its own."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.importing import import_checkpoint
from models.importing.onnx_pair import PairInvalid, graphs_from_pair, recognise_pair
from models.networks.exporting import example
from models.networks.nanotrack import NanoTrack
from models.runtimes.onnx import OnnxRuntime
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec
from models.variants.nanotrack import VARIANTS


class Pair(NamedTuple):
    spec: ModelSpec
    network: NanoTrack
    backbone: Path
    head: Path


class Head(nn.Module):
    def __init__(self, network: NanoTrack) -> None:
        super().__init__()
        self.head = network.head

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        logits, distances = self.head(self.head.template(template), search)
        return logits, distances


class Other(nn.Module):
    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.layer(search) + self.layer(template).mean()
        return maps[:, :2], maps[:, 2:]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    torch.manual_seed(0)
    spec = VARIANTS["nanotrack_v1"]
    network = NanoTrack(spec).eval()
    made = Pair(spec, network, folder / "backbone.onnx", folder / "head.onnx")
    write_backbone(network, made.backbone)
    maps = (torch.ones(1, 48, 8, 8), torch.ones(1, 48, 16, 16))
    write(Head(network), maps, made.head, ["input1", "input2"], ["output1", "output2"])
    return made


def write_backbone(network: NanoTrack, path: Path) -> None:
    write(network.backbone, (torch.zeros(1, 3, 255, 255),), path, ["input"], ["output"])


def write(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, names: list[str], outputs: list[str]) -> None:
    # The exporter that made the published files; it says at several places that it is old.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, path, input_names=names, output_names=outputs, dynamo=False)


def test_the_two_files_tell_the_variant(pair: Pair) -> None:
    assert recognise_pair(pair.backbone, pair.head) == "nanotrack_v1"


def test_the_graphs_do_what_the_network_does(pair: Pair, tmp_path: Path) -> None:
    for name, content in graphs_from_pair(pair.backbone, pair.head, pair.spec).items():
        (tmp_path / name).write_bytes(content)
    side = pair.spec.crop.search_size
    graphs = OnnxRuntime(tmp_path / "template.onnx", {side: tmp_path / "search.onnx"})
    template, *search = (part.numpy() for part in example(pair.spec, side, 1))
    ours, theirs = (
        runtime.search(runtime.template(template), *search)
        for runtime in (TorchRuntime.of(pair.network, pair.spec), graphs)
    )
    np.testing.assert_allclose(theirs.best, ours.best, atol=1e-3)
    # Random weights make many runners-up of nearly the same score: only that is compared, and not which one it was.
    np.testing.assert_allclose(theirs.peak2[:, 0], ours.peak2[:, 0], atol=1e-3)


def test_files_in_the_wrong_order_are_refused(pair: Pair) -> None:
    with pytest.raises(PairInvalid, match=r"head\.onnx: inputs and outputs are input1, .*; expected input, output"):
        recognise_pair(pair.head, pair.backbone)


def test_files_of_one_name_in_two_folders_are_both_noted(pair: Pair, tmp_path: Path) -> None:
    for file in (pair.backbone, pair.head):
        (tmp_path / file.stem).mkdir()
        shutil.copy(file, tmp_path / file.stem / "model.onnx")
    files = [tmp_path / "backbone" / "model.onnx", tmp_path / "head" / "model.onnx"]
    noted = import_checkpoint(files, tmp_path / "packages").package.origin["files"]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    assert noted == dict(zip(("backbone/model.onnx", "head/model.onnx"), digests, strict=True))


def test_a_broken_file_is_refused(pair: Pair, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    for content in (b"", b"no protobuf at all", pair.head.read_bytes()[:-1000]):
        broken.write_bytes(content)
        with pytest.raises(PairInvalid, match=r"broken\.onnx"):
            recognise_pair(pair.backbone, broken)
    with pytest.raises(PairInvalid, match=r"missing\.onnx"):
        recognise_pair(tmp_path / "missing.onnx", pair.head)


def test_a_backbone_of_another_width_is_refused(pair: Pair, tmp_path: Path) -> None:
    wide = tmp_path / "wide.onnx"
    write_backbone(NanoTrack(VARIANTS["nanotrack_v3"]), wide)
    with pytest.raises(PairInvalid, match=r"wide\.onnx: a map is \(1, 96, 16, 16\); .* it is \(1, 48, 16, 16\)"):
        recognise_pair(wide, pair.head)


def test_a_spec_of_another_variant_is_refused(pair: Pair) -> None:
    with pytest.raises(PairInvalid, match=r"head\.onnx: is of nanotrack_v1, not of nanotrack_v3"):
        graphs_from_pair(pair.backbone, pair.head, VARIANTS["nanotrack_v3"])


def test_a_head_of_another_tracker_is_refused(pair: Pair, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    narrow = nn.Conv2d(32, 6, 1)
    maps = (torch.ones(1, 32, 8, 8), torch.ones(1, 32, 16, 16))
    write(Other(narrow), maps, other, ["input1", "input2"], ["output1", "output2"])
    with pytest.raises(
        PairInvalid, match=r"other\.onnx: a head with Signs\(channels=32, map_size=16, kernel=1\) is none"
    ):
        recognise_pair(pair.backbone, other)
