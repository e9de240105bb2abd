"""A template graph and a search graph of a few nodes, whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import pytest
from onnx import TensorProto, helper

_OPSET = 18


@dataclass(frozen=True, slots=True)
class TinyGraphs:
    """Serialised graphs; `strange_search` has `constants` where `loop` is due."""

    template: bytes
    search: bytes
    strange_search: bytes


@pytest.fixture(scope="session")
def tiny_graphs() -> TinyGraphs:
    return TinyGraphs(_template_graph(), _search_graph("loop"), _search_graph("constants"))


def _template_graph() -> bytes:
    """features_0 = mean colour (3,), features_1 = brightest value per channel (3,)."""
    nodes = [
        helper.make_node("Cast", ["crop"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "image_axes"], ["features_0"], keepdims=0),
        helper.make_node("ReduceMax", ["pixels", "image_axes"], ["features_1"], keepdims=0),
    ]
    return _model(nodes, [_crop("side")], [_floats("features_0", 3), _floats("features_1", 3)])


def _search_graph(loop: str) -> bytes:
    """best = (crop's mean - features_0, features_1 + loop, size) and peak2 = size."""
    nodes = [
        helper.make_node("Cast", ["crop"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "image_axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "features_0"], ["difference"]),
        helper.make_node("Add", ["features_1", loop], ["sum"]),
        helper.make_node("Concat", ["difference", "sum", "size"], ["best"], axis=1),
        helper.make_node("Identity", ["size"], ["peak2"]),
    ]
    features = [_floats("features_0", 3), _floats("features_1", 3)]
    inputs = [*features, _crop("side"), _floats("size", 2), _floats(loop, 3)]
    return _model(nodes, inputs, [_floats("best", 8), _floats("peak2", 2)])


def _crop(side: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("crop", TensorProto.UINT8, ["batch", side, side, 3])


def _floats(name: str, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def _model(
    nodes: Sequence[onnx.NodeProto], inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
) -> bytes:
    axes = helper.make_tensor("image_axes", TensorProto.INT64, [2], [1, 2])
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializer=[axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    return bytes(model.SerializeToString())
