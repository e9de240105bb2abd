"""The ONNX Runtime adapter on two tiny graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.runtimes.onnx import GraphInvalid, OnnxRuntime

if TYPE_CHECKING:
    from tests.unit.models.conftest import TinyGraphs


@pytest.fixture
def graphs(tmp_path: Path, tiny_graphs: TinyGraphs) -> tuple[Path, Path]:
    template, search = tmp_path / "template.onnx", tmp_path / "search.onnx"
    template.write_bytes(tiny_graphs.template)
    search.write_bytes(tiny_graphs.search)
    return template, search


def test_inputs_and_outputs_reach_their_places(graphs: tuple[Path, Path]) -> None:
    runtime = OnnxRuntime(*graphs)
    crops = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (10, 20, 30)])
    features = runtime.template(crops)
    assert [tuple(part.shape for part in each) for each in features] == [((3,), (3,))] * 3
    size = np.arange(6, dtype=np.float32).reshape(3, 2)
    loop = np.tile(np.array([0.1, 0.2, 0.3], np.float32), (3, 1))
    found = runtime.search(features, np.full((3, 16, 16, 3), 50, np.uint8), size, loop)
    np.testing.assert_allclose(found.best[:, :3], [[40] * 3, [30] * 3, [20] * 3])
    np.testing.assert_allclose(found.best[:, 3:], np.array([[10], [20], [30]]) + loop, rtol=1e-6)
    np.testing.assert_array_equal(found.peak2, size)


def test_a_batch_gives_what_its_members_give_alone(graphs: tuple[Path, Path]) -> None:
    runtime = OnnxRuntime(*graphs)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    features = runtime.template(rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8))
    size, loop = rng.random((4, 2), np.float32), rng.random((4, 3), np.float32)
    together = runtime.search(features, crops, size, loop)
    for i in range(4):
        alone = runtime.search(features[i : i + 1], crops[i : i + 1], size[i : i + 1], loop[i : i + 1])
        np.testing.assert_allclose(together.best[i], alone.best[0], atol=1e-4)


def test_features_own_their_memory(graphs: tuple[Path, Path]) -> None:
    runtime = OnnxRuntime(*graphs)
    (features, _) = runtime.template(np.zeros((2, 8, 8, 3), np.uint8))
    assert all(part.base is None for part in features)


def test_a_graph_with_other_inputs_is_refused_with_their_names(
    tmp_path: Path, graphs: tuple[Path, Path], tiny_graphs: TinyGraphs
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_graphs.strange_search)
    with pytest.raises(GraphInvalid, match=r"other\.onnx: the inputs are .*constants.*expected .*loop"):
        OnnxRuntime(graphs[0], other)


def test_a_template_graph_in_place_of_the_search_graph_is_refused(graphs: tuple[Path, Path]) -> None:
    with pytest.raises(GraphInvalid, match="template"):
        OnnxRuntime(graphs[0], graphs[0])


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, graphs: tuple[Path, Path], content: bytes) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(content)
    with pytest.raises(GraphInvalid, match=r"broken\.onnx"):
        OnnxRuntime(graphs[0], broken)
