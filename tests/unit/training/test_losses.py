"""Losses, zones, schedule: small cases computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from models.grids import cell_centres
from training.fit_recipe import Phase, Shape
from training.losses import Losses, Weights, iou_and_giou, mean_losses, tracking_loss, zones
from training.schedule import phase_rate, rate_at

GRID = torch.from_numpy(cell_centres(224, 28, 8).cells.copy()).reshape(2, 28, 28)
WEIGHTS = Weights(score=2.0, box=2.0)


def test_iou_and_giou_of_two_boxes_that_share_a_quarter() -> None:
    a = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    b = torch.tensor([[5.0, 5.0, 15.0, 15.0]])
    iou, giou = iou_and_giou(a, b)
    assert iou.item() == pytest.approx(25 / 175)
    assert giou.item() == pytest.approx(25 / 175 - (225 - 175) / 225)


def test_the_middle_of_the_box_answers_and_its_rim_is_left_alone() -> None:
    central, ignored = zones(torch.tensor([[80.0, 80.0, 144.0, 144.0]]), torch.tensor([True]), GRID)
    assert central.sum() == 16
    assert ignored.sum() == 64 - 16
    assert central[0, 12:16, 12:16].all()


def test_a_target_smaller_than_a_cell_still_has_one_that_answers() -> None:
    central, _ = zones(torch.tensor([[101.0, 101.0, 103.0, 103.0]]), torch.tensor([True]), GRID)
    assert central.nonzero().tolist() == [[0, 12, 12]]


def test_no_cell_answers_in_a_negative_pair() -> None:
    central, ignored = zones(torch.tensor([[80.0, 80.0, 144.0, 144.0]]), torch.tensor([False]), GRID)
    assert not central.any()
    assert not ignored.any()


def test_true_boxes_and_sure_scores_cost_next_to_nothing() -> None:
    truth = torch.tensor([[80.0, 80.0, 144.0, 144.0]])
    positive = torch.tensor([True])
    boxes = torch.tensor([112.0, 112.0, 64.0, 64.0]).reshape(1, 4, 1, 1).expand(1, 4, 28, 28)
    central, _ = zones(truth, positive, GRID)
    logits = torch.where(central, 12.0, -12.0)
    losses = tracking_loss(logits, boxes, truth, positive, GRID, WEIGHTS)
    assert losses.total.item() < 1e-3
    assert losses.mean_iou.item() == pytest.approx(1)


def test_a_high_score_where_the_target_is_not_costs_more_than_a_low_one() -> None:
    truth, negative = torch.zeros(1, 4), torch.tensor([False])
    boxes = torch.ones(1, 4, 28, 28)
    sure, unsure = (
        tracking_loss(torch.full((1, 28, 28), logit), boxes, truth, negative, GRID, WEIGHTS).total
        for logit in (3.0, -3.0)
    )
    assert sure > 10 * unsure


def test_the_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    assert rate_at(0, 110, 10, 100) == pytest.approx(0.1)
    assert rate_at(9, 110, 10, 100) == pytest.approx(1)
    assert rate_at(60, 110, 10, 100) == pytest.approx(0.5)
    assert rate_at(109, 110, 10, 100) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))


def test_the_rate_stays_between_warm_up_and_decay_however_long_the_run() -> None:
    assert [rate_at(step, 1000, 10, 100) for step in (10, 500, 900)] == [1, 1, 1]
    assert rate_at(950, 1000, 10, 100) == rate_at(2950, 3000, 10, 100) == pytest.approx(0.5)
    assert rate_at(999, 1000, 10, 0) == 1


def test_losses_of_parts_are_averaged() -> None:
    first, second = (Losses(*torch.tensor(values)) for values in ([1.0, 2.0, 3.0, 0.5], [3.0, 4.0, 5.0, 0.7]))
    mean = mean_losses([first, second])
    assert [mean.total, mean.score, mean.box] == [2, 3, 4]
    assert mean.mean_iou.item() == pytest.approx(0.6)


def test_phases_follow_each_other_and_the_last_one_stays() -> None:
    phases = (
        Phase(Shape.LINEAR, epochs=1, first=1.0, last=3.0, each_step=True),
        Phase(Shape.GEOMETRIC, epochs=3, first=8.0, last=2.0, reaches_last=True),
        Phase(Shape.COSINE, epochs=2, first=2.0, last=1.0),
        Phase(Shape.CONSTANT, epochs=1, first=0.5, last=0.5),
    )
    rates = [phase_rate(phases, step, 2) for step in range(16)]
    assert rates == pytest.approx([1, 2, 8, 8, 4, 4, 2, 2, 2, 2, 1.5, 1.5, 0.5, 0.5, 0.5, 0.5])
