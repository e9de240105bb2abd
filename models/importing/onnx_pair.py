"""NanoTrack's ONNX pairs, a backbone and a head, as NanoTrack and OpenCV use them -> our two graphs.

The published files have a batch of 1 written into their layers, so the graphs made of them take one row at a time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, checker, compose, helper, version_converter
from onnx.external_data_helper import uses_external_data
from onnx.shape_inference import InferenceError
from torch import Tensor, nn

from models.importing.checkpoints import CheckpointInvalid
from models.networks.nanotrack import NanoTrack
from models.networks.selection import Selection
from models.package import search_graph, template_graph
from models.spec import ModelSpec


class PairInvalid(CheckpointInvalid):
    """Two files are no ONNX pair of NanoTrack; the message names the file and what is wrong with it."""


class Signs(NamedTuple):
    """What tells the versions apart: channels and map side of the head, and the largest kernel in its towers."""

    channels: int
    map_size: int
    kernel: int


_VARIANTS: Mapping[Signs, str] = MappingProxyType({
    Signs(channels=48, map_size=16, kernel=5): "nanotrack_v1",
    Signs(channels=48, map_size=16, kernel=3): "nanotrack_v2",
    Signs(channels=96, map_size=15, kernel=3): "nanotrack_v3",
})  # fmt: skip

_BACKBONE = ("input", "output")
_HEAD = ("input1", "input2", "output1", "output2")
"""Names in the published files: what goes in, what comes out."""
_TEMPLATE_CELLS, _SEARCH_CELLS = 8, 16


def recognise_pair(backbone: Path, head: Path) -> str:
    """The variant that the two files are; raises PairInvalid if they are none."""
    _, maps = _shapes(_read(backbone, _BACKBONE).graph)
    comparison = _read(head, _HEAD).graph
    template, search, logits, distances = _shapes(comparison)
    kernels = [tensor.dims[-1] for tensor in comparison.initializer if len(tensor.dims) == 4]
    signs = Signs(template[1], logits[-1], max(kernels, default=0))
    if signs not in _VARIANTS:
        raise PairInvalid(f"{head}: a head with {signs} is none of {', '.join(map(str, _VARIANTS))}")
    for path, found, channels, side in (
        (backbone, maps, signs.channels, _SEARCH_CELLS),
        (head, template, signs.channels, _TEMPLATE_CELLS),
        (head, search, signs.channels, _SEARCH_CELLS),
        (head, logits, 2, signs.map_size),
        (head, distances, 4, signs.map_size),
    ):
        expected = (1, channels, side, side)
        if found != expected:
            raise PairInvalid(f"{path}: a map is {found}; in a pair of {_VARIANTS[signs]} it is {expected}")
    return _VARIANTS[signs]


def graphs_from_pair(backbone: Path, head: Path, spec: ModelSpec) -> dict[str, bytes]:
    """File name -> content of the template graph and the search graph (`models.networks.graphs`), for a batch of 1.

    Raises PairInvalid, also where the two files are of another variant than `spec`."""
    if (found := recognise_pair(backbone, head)) != spec.network.architecture:
        raise PairInvalid(f"{head}: is of {found}, not of {spec.network.architecture}")
    choice = _choice(spec)
    opset = choice.opset_import[0].version
    backbone_graph, head_graph = (
        version_converter.convert_version(_read(path, names), opset).graph
        for path, names in ((backbone, _BACKBONE), (head, _HEAD))
    )
    head_graph = _renamed(head_graph, "head/", ("features_0", "maps", "logits", "distances"))
    features, _ = head_graph.input
    _, _, size, loop = choice.graph.input
    of_template = _renamed(backbone_graph, "backbone/", ("image", "features_0"))
    of_search = _renamed(backbone_graph, "backbone/", ("image", "maps"))
    template_crop, search_crop = _crop(spec.crop.template_size), _crop(spec.crop.search_size)
    inputs = [features, search_crop, size, loop]
    template = _joined([_front(), of_template], [template_crop], [features], choice)
    search = _joined([_front(), of_search, head_graph, choice.graph], inputs, choice.graph.output, choice)
    return {template_graph(): template, search_graph(spec.crop.search_size, spec): search}


def _joined(
    parts: Sequence[GraphProto], inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto], like: ModelProto
) -> bytes:
    """A model of all nodes of the parts, which find each other by their names; versions as those of `like`."""
    nodes = [node for part in parts for node in part.node]
    weights = [weight for part in parts for weight in part.initializer]
    graph = helper.make_graph(nodes, "nanotrack", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _crop(side: int) -> ValueInfoProto:
    return helper.make_tensor_value_info("crop", TensorProto.UINT8, (1, side, side, 3))


def _front() -> GraphProto:
    """(1, S, S, 3) uint8 `crop` -> (1, 3, S, S) `image`, BGR in 0..255."""
    nodes = [
        helper.make_node("Cast", ["crop"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["image"], perm=(0, 3, 1, 2)),
    ]
    return helper.make_graph(nodes, "front", [], [])


class _Choice(nn.Module):
    """What follows the published graphs: raw outputs of the head, size and loop constants -> best and peak2."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.network = NanoTrack(spec)
        self.search_size = spec.crop.search_size
        self.selection = Selection(self.network.grid(self.search_size), spec.network.stride)

    def forward(self, logits: Tensor, distances: Tensor, size: Tensor, loop: Tensor) -> tuple[Tensor, Tensor]:
        score, boxes = self.network.decode((logits, distances), self.search_size)
        best: tuple[Tensor, Tensor] = self.selection(score, boxes, size, loop)
        return best


def _choice(spec: ModelSpec) -> ModelProto:
    """`_Choice` as a graph for a batch of 1, with inputs `logits`, `distances`, `size`, `loop`."""
    choice = _Choice(spec).eval()
    side = math.isqrt(len(choice.selection.window))
    inputs = (torch.zeros(1, 2, side, side), torch.ones(1, 4, side, side), torch.ones(1, 2), torch.ones(1, 3))
    names = ["logits", "distances", "size", "loop"]
    # The exporter tells of packages that it could use and does not need.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(choice, inputs, input_names=names, output_names=["best", "peak2"], verbose=False)
    assert program is not None
    return program.model_proto


def _read(path: Path, names: tuple[str, ...]) -> ModelProto:
    """The model in a file: sound, whole, and with inputs and outputs of these names."""
    try:
        model = onnx.load(path, load_external_data=False)
        if any(map(uses_external_data, model.graph.initializer)):
            raise PairInvalid(f"{path}: keeps its weights in another file; save it as one")
        checker.check_model(model, full_check=True)
    except (OSError, DecodeError, checker.ValidationError, InferenceError) as error:
        raise PairInvalid(f"{path}: is no sound ONNX file: {error}") from error
    found = tuple(value.name for value in (*model.graph.input, *model.graph.output))
    if found != names:
        raise PairInvalid(f"{path}: inputs and outputs are {', '.join(found)}; expected {', '.join(names)}")
    return model


def _shapes(graph: GraphProto) -> list[tuple[int, ...]]:
    """Shapes of the inputs, then of the outputs; 0 for a side without a fixed length."""
    values = (*graph.input, *graph.output)
    return [tuple(side.dim_value for side in value.type.tensor_type.shape.dim) for value in values]


def _renamed(graph: GraphProto, prefix: str, names: tuple[str, ...]) -> GraphProto:
    """A copy whose inputs and outputs have these names, and everything else its own after the prefix."""
    copy = compose.add_prefix_graph(graph, prefix)
    ends = (*copy.input, *copy.output)
    ours = dict(zip((value.name for value in ends), names, strict=True))
    for value in ends:
        value.name = ours[value.name]
    for node in copy.node:
        node.input[:] = [ours.get(name, name) for name in node.input]
        node.output[:] = [ours.get(name, name) for name in node.output]
    return copy
