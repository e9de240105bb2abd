"""The choice of the best box, against a loop over the cells and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.grids import cell_centres, points
from models.runtimes.base import Best, FloatArray
from models.selection import doubted, scale_penalty, select

STRIDE = 8
CELLS = 9
COUNT = CELLS * CELLS
GRID = cell_centres(CELLS * STRIDE, CELLS, STRIDE)


def maps(count: int, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    score = rng.random((count, COUNT), np.float32)
    boxes = rng.uniform(5, 70, (count, 4, COUNT)).astype(np.float32)
    size = rng.uniform(10, 60, (count, 2)).astype(np.float32)
    loop = rng.uniform(0.05, 0.5, (count, 3)).astype(np.float32)
    return score, boxes, size, loop


def flat(score: float = 0.1) -> tuple[FloatArray, FloatArray]:
    """One map of equal scores, whose boxes are all 16 x 16 and centred on their cells."""
    boxes = np.full((1, 4, COUNT), 16, np.float32)
    boxes[0, :2] = GRID.cells
    return np.full((1, COUNT), score, np.float32), boxes


def penalty_by_hand(w: float, h: float, target_w: float, target_h: float, k: float) -> float:
    def padded(a: float, b: float) -> float:
        return math.sqrt((a + (a + b) / 2) * (b + (a + b) / 2))

    size = padded(w, h) / padded(target_w, target_h)
    ratio = (target_w / target_h) / (w / h)
    return math.exp(-(max(size, 1 / size) * max(ratio, 1 / ratio) - 1) * k)


def test_the_best_cell_is_the_one_that_a_loop_over_cells_finds() -> None:
    score, boxes, size, loop = maps(5)
    found = select(score, boxes, size, loop, GRID, STRIDE).best
    for i in range(5):
        ranked = []
        for index in range(COUNT):
            _, _, w, h = map(float, boxes[i, :, index])
            penalty = penalty_by_hand(w, h, float(size[i, 0]), float(size[i, 1]), float(loop[i, 0]))
            cosine = float(GRID.window[index])
            ranking = penalty * score[i, index] * (1 - loop[i, 1]) + cosine * loop[i, 1]
            ranked.append((ranking, penalty, index))
        ranking, penalty, index = max(ranked)
        expected = [*boxes[i, :, index], score[i, index], penalty, ranking, index]
        np.testing.assert_allclose(found[i], expected, rtol=1e-5)


def test_a_batch_gives_what_its_members_give_alone() -> None:
    arrays = maps(4)
    together = select(*arrays, GRID, STRIDE)
    for i in range(4):
        score, boxes, size, loop = (array[i : i + 1] for array in arrays)
        alone = select(score, boxes, size, loop, GRID, STRIDE)
        np.testing.assert_array_equal(together.best[i], alone.best[0])
        np.testing.assert_array_equal(together.peak2[i], alone.peak2[0])


def test_without_penalty_and_window_the_highest_score_wins() -> None:
    score, boxes, size, loop = maps(3)
    found = select(score, boxes, size, np.zeros_like(loop), GRID, STRIDE).best
    np.testing.assert_array_equal(found[:, 4], score.max(axis=1))
    np.testing.assert_array_equal(found[:, 5], 1)


def test_the_window_prefers_the_middle_and_the_first_of_equals_wins() -> None:
    score, boxes = flat()
    size = np.full((1, 2), 16, np.float32)
    best = select(score, boxes, size, np.array([[0, 0.3, 0.5]], np.float32), GRID, STRIDE).best[0]
    assert tuple(best[:2]) == (36, 36)
    best = select(score, boxes, size, np.zeros((1, 3), np.float32), GRID, STRIDE).best[0]
    assert tuple(best[:2]) == (4, 4)


def test_a_box_of_the_targets_size_is_not_penalised_and_degenerate_ones_stay_finite() -> None:
    boxes = np.array([[0, 0, 40, 20], [0, 0, 80, 20], [0, 0, 0, 0]], np.float32)[:, :, None]
    size = np.array([[40, 20]] * 3, np.float32)
    penalty = scale_penalty(boxes, size, np.full(3, 0.3, np.float32)).ravel()
    assert penalty[0] == pytest.approx(1)
    assert 0 < penalty[1] < 1
    assert penalty[2] == 0


def test_the_runner_up_lies_outside_the_targets_neighbourhood() -> None:
    score, boxes = flat()
    row = 4 * CELLS
    score[0, row + 1], score[0, row + 2], score[0, row + 7] = 0.9, 0.8, 0.6
    size = np.full((1, 2), 16, np.float32)
    peak2 = select(score, boxes, size, np.zeros((1, 3), np.float32), GRID, STRIDE).peak2[0]
    np.testing.assert_allclose(peak2, [0.6, 6 * STRIDE])


def test_a_target_that_covers_the_map_has_no_runner_up() -> None:
    score, boxes = flat()
    score[0, 4 * CELLS + 4] = 0.9
    size = np.full((1, 2), 200, np.float32)
    np.testing.assert_array_equal(
        select(score, boxes, size, np.zeros((1, 3), np.float32), GRID, STRIDE).peak2, [[0, 0]]
    )


def test_our_window_is_symmetric_and_nowhere_zero() -> None:
    window = GRID.window
    assert window.max() == pytest.approx(1)
    assert window.min() > 0
    np.testing.assert_allclose(window, window[::-1], atol=1e-6)


def test_the_published_grid_lies_round_the_middle_pixel_under_a_window_that_ends_at_zero() -> None:
    grid = points(303, 17, 8)
    assert grid.cells[:, 0].tolist() == [87, 87]
    assert grid.cells[:, 17 * 8 + 8].tolist() == [151, 151]
    assert grid.window.max() == 1
    assert grid.window[:17].tolist() == [0] * 17


def test_a_map_with_an_even_number_of_cells_lies_a_stride_to_the_left() -> None:
    cells = points(255, 16, 16).cells
    assert (cells[0].min(), cells[0].max()) == (127 - 128, 127 + 112)


def test_the_plain_template_doubts_what_the_second_one_chose() -> None:
    def chosen(*rows: tuple[float, ...]) -> Best:
        return Best(np.array([[*row, 0.9, 0.8, 5] for row in rows], np.float32), np.zeros((len(rows), 2), np.float32))

    # Overlaps: 20 x 40 of 2,400 (a third), all, 20 x 40 of 2,400, none.
    second = chosen((50, 50, 40, 40, 0.6), (50, 50, 40, 40, 0.6), (50, 50, 40, 40, 0.6), (50, 50, 40, 40, 0.6))
    plain = chosen((70, 50, 40, 40, 0.7), (50, 50, 40, 40, 0.7), (70, 50, 40, 40, 0.2), (99, 50, 40, 40, 0.9))
    result = doubted(second, plain, agreement=0.3)
    np.testing.assert_allclose(result.best[:, 4], [0.6, 0.6, 0.2, 0.0])
    np.testing.assert_array_equal(np.delete(result.best, 4, axis=1), np.delete(second.best, 4, axis=1))
    np.testing.assert_allclose(doubted(second, plain, agreement=0.4).best[:, 4], [0.0, 0.6, 0.0, 0.0])
