"""What ONNX Runtime and OpenVINO make of the same files: good ones, graphs for one target at a time, and bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from models.runtimes.base import GraphInvalid, Runtime
from models.runtimes.opening import Graphs
from tests.runtimes import EXACT, Way
from tests.unit.models.runtimes.test_runtimes import SIDE, answers, flat

READERS = [name for name, way in EXACT.items() if way.format == "onnx"]


@pytest.fixture(params=READERS, name="way")
def every_reader(request: pytest.FixtureRequest) -> Way:
    return EXACT[request.param]


def opened(way: Way, folder: Path, template: str = "template.onnx", search: str = "search.onnx") -> Runtime:
    return way.opened(Graphs(folder / template, {SIDE: folder / search}))


def test_graphs_for_one_target_take_several_row_by_row(way: Way, tiny_folder: Path, tmp_path: Path) -> None:
    for name in ("template.onnx", "search.onnx"):
        model = onnx.load(tiny_folder / name)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1
        onnx.save(model, tmp_path / name)
    found = answers(opened(way, tmp_path), flat(10, 20, 30), flat(50, 50, 50))
    np.testing.assert_allclose(found.best[:, 0], [40, 30, 20])
    np.testing.assert_array_equal(found.peak2, [[0, 1], [2, 3], [4, 5]])


def test_several_templates_are_stacked_in_their_order(way: Way, tiny_folder: Path) -> None:
    runtime = opened(way, tiny_folder)
    first, second = runtime.template(flat(10, 20))
    stacked, brightest = (np.asarray(part.numpy() if way.bound else part) for part in runtime.joined([first, second]))
    np.testing.assert_array_equal(stacked.reshape(2, 3), [[10] * 3, [20] * 3])
    np.testing.assert_array_equal(brightest.reshape(3), [10] * 3)


def test_a_graph_with_other_inputs_is_refused_with_their_names(way: Way, tiny_folder: Path) -> None:
    with pytest.raises(GraphInvalid, match=r"other\.onnx: the inputs are .*constants.*expected .*loop"):
        opened(way, tiny_folder, search="other.onnx")


def test_a_template_graph_in_place_of_the_search_graph_is_refused(way: Way, tiny_folder: Path) -> None:
    with pytest.raises(GraphInvalid, match="template"):
        opened(way, tiny_folder, search="template.onnx")


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_a_file_that_is_no_graph_is_refused(way: Way, tiny_folder: Path, tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(content)
    with pytest.raises(GraphInvalid, match=r"broken\.onnx"):
        way.opened(Graphs(tiny_folder / "template.onnx", {SIDE: broken}))
