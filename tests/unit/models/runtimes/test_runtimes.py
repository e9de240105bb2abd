"""What every runtime must do, on graphs whose answers can be worked out by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.runtimes.base import Best, Runtime
from models.runtimes.kinds import Precision
from models.runtimes.opening import Graphs
from tests.runtimes import EXACT, Way

SIDE = 16


def graphs(way: Way, folder: Path) -> Graphs:
    ending = way.format.suffix
    return Graphs(folder / f"template.{ending}", {SIDE: folder / f"search.{ending}"})


@pytest.fixture(params=EXACT, name="way")
def every_way(request: pytest.FixtureRequest) -> Way:
    return EXACT[request.param]


@pytest.fixture
def runtime(way: Way, tiny_folder: Path) -> Runtime:
    return way.opened(graphs(way, tiny_folder))


def flat(*values: int) -> NDArray[np.uint8]:
    """A grey crop of each value."""
    return np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in values])


def answers(runtime: Runtime, templates: NDArray[Any], crops: NDArray[Any]) -> Best:
    count = len(crops)
    size = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    loop = np.tile(np.array([0.1, 0.2, 0.3], np.float32), (count, 1))
    return runtime.search(runtime.template(templates), crops, size, loop)


def test_a_runtime_says_what_it_is(runtime: Runtime, way: Way) -> None:
    assert (runtime.name, runtime.device, runtime.precision) == (way.kind, "cpu", Precision.F32)


def test_inputs_and_outputs_reach_their_places(runtime: Runtime) -> None:
    found = answers(runtime, flat(10, 20, 30), flat(50, 50, 50))
    np.testing.assert_allclose(found.best[:, :3], [[40] * 3, [30] * 3, [20] * 3])
    np.testing.assert_allclose(
        found.best[:, 3:6], [[10.1, 10.2, 10.3], [20.1, 20.2, 20.3], [30.1, 30.2, 30.3]], rtol=1e-6
    )
    np.testing.assert_array_equal(found.best[:, 6:], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(found.peak2, [[0, 1], [2, 3], [4, 5]])
    assert found.best.dtype == found.peak2.dtype == np.float32


def test_a_batch_gives_what_its_members_give_alone(runtime: Runtime) -> None:
    rng = np.random.default_rng(0)
    templates, crops = rng.integers(0, 256, (2, 4, SIDE, SIDE, 3), dtype=np.uint8)
    size, loop = rng.random((4, 2), np.float32), rng.random((4, 3), np.float32)
    together = runtime.search(runtime.template(templates), crops, size, loop)
    for i in range(4):
        row = slice(i, i + 1)
        alone = runtime.search(runtime.template(templates[row]), crops[row], size[row], loop[row])
        np.testing.assert_allclose(together.best[row], alone.best, atol=1e-4)


def test_features_outlive_the_next_run(runtime: Runtime) -> None:
    features = runtime.template(flat(10))
    runtime.template(flat(99))
    size, loop = np.zeros((1, 2), np.float32), np.zeros((1, 3), np.float32)
    np.testing.assert_allclose(runtime.search(features, flat(50), size, loop).best[0, :3], 40)


def test_answers_outlive_the_next_run(runtime: Runtime) -> None:
    first = answers(runtime, flat(10), flat(50))
    answers(runtime, flat(99), flat(0))
    np.testing.assert_allclose(first.best[0, :3], 40)


def test_threads_do_not_disturb_one_another(runtime: Runtime) -> None:
    def differences(value: int) -> NDArray[np.float32]:
        return np.concatenate([answers(runtime, flat(value), flat(100)).best[:, :3] for _ in range(20)])

    with ThreadPoolExecutor(4) as threads:
        for value, found in zip(range(8), threads.map(differences, range(8)), strict=True):
            np.testing.assert_allclose(found, 100 - value)
