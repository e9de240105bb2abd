"""Rates, targets and losses of the published recipes, against numbers of the original code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.anchors import ANCHOR_RULES
from models.grids import points
from models.spec import Family
from tests.golden import conftest
from training.fit_recipe import LossKind, StagedFitRecipe
from training.recipe import read_recipe
from training.schedule import phase_rate
from training.tasks import anchor_targets
from training.tasks.anchor_losses import CONVENTIONS, AnchorLosses
from training.tasks.anchor_targets import TargetRule, Targets
from training.tasks.dense import box_loss, cell_targets, centreness_loss, focal_loss, pixel_iou, retina_loss
from training.tasks.weighing import pair_weights

pytestmark = pytest.mark.shared
RECIPES = Path(__file__).parents[2] / "training" / "recipes"


def expected(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((conftest.GOLDEN / name).read_text())
    return content


def arrays(name: str) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(conftest.GOLDEN / name) as file:
        return dict(file)


def seeded(key: str, *shape: int) -> Tensor:
    return torch.from_numpy(conftest._seed_rule().seeded_tensor(key, shape, 1))


def anchors(family: Family, map_size: int) -> Tensor:
    return torch.from_numpy(ANCHOR_RULES[family].anchors(255, map_size, 8).T.copy())


def from_corners(corners: Any, last_pixel: float = 0.0) -> Tensor:
    """x0, y0, x1, y1 -> cx, cy, w, h; `last_pixel` 1 where x1 - x0 is one less than the width."""
    x0, y0, x1, y1 = torch.as_tensor(corners, dtype=torch.float32).reshape(-1, 4).unbind(1)
    w, h = x1 - x0 + last_pixel, y1 - y0 + last_pixel
    return torch.stack([x0 + w / 2, y0 + h / 2, w, h], dim=1)


# Rates


def fit(name: str) -> StagedFitRecipe:
    recipe = read_recipe(RECIPES / f"{name}.toml").fit
    assert isinstance(recipe, StagedFitRecipe)
    return recipe


def rates(recipe: StagedFitRecipe, *, group: int, epochs: int) -> list[float]:
    """Of one of the recipe's groups, at the beginning of each epoch."""
    share = recipe.groups[group].rate
    return [
        share * phase_rate(recipe.phases, epoch * recipe.epoch_steps, recipe.epoch_steps) for epoch in range(epochs)
    ]


@pytest.mark.parametrize(
    ("recipe", "table"),
    [
        ("siamrpn_alexnet", "siamrpn_alex_dwxcorr_16gpu"),
        ("siamrpnpp_r50", "siamrpn_r50_l234_dwxcorr_8gpu"),
        ("siamrpnpp_r50_otb", "siamrpn_r50_l234_dwxcorr_otb_8gpu"),
        ("siamrpnpp_mobilenetv2", "siamrpn_mobilev2_l234_dwxcorr"),
    ],
)
def test_pysot_learns_with_the_published_rates(recipe: str, table: str) -> None:
    published = expected("training/learning_rates.json")[table]
    rows = np.array(published["per_epoch"])
    learnt = fit(recipe)
    head, backbone = 0, len(learnt.groups) - 1
    np.testing.assert_allclose(rates(learnt, group=head, epochs=len(rows)), rows[:, -1], rtol=1e-9)
    np.testing.assert_allclose(rates(learnt, group=backbone, epochs=len(rows)), rows[:, 1], rtol=1e-9)
    assert learnt.groups[backbone].from_epoch == published["unfreeze_epoch"]
    assert learnt.steps == learnt.epoch_steps * published["epochs"]
    assert (learnt.momentum, learnt.weight_decay, learnt.gradient_clip) == (
        published["momentum"],
        published["weight_decay"],
        published["grad_clip"],
    )


def test_mmtracking_learns_with_the_published_rates() -> None:
    published = expected("training_mmtracking.json")["mmtracking_lr"]
    learnt = fit("siamrpnpp_r50_mmtracking")
    np.testing.assert_allclose(rates(learnt, group=0, epochs=20), published["head_lr_per_epoch"], rtol=1e-9)
    np.testing.assert_allclose(rates(learnt, group=1, epochs=20), published["backbone_lr_per_epoch"], rtol=1e-9)
    assert learnt.groups[1].from_epoch == published["backbone_trains_from_epoch_index"]


def test_the_ports_learn_with_the_published_rates() -> None:
    published = expected("training_ports.json")
    port = published["port_lr"]["lr_per_epoch_1_to_25"]
    np.testing.assert_allclose(rates(fit("siamrpnpp_r50_port"), group=0, epochs=len(port)), port, rtol=1e-9)
    table = published["siamrpn_tf_lr"]["default"]
    learnt = fit("siamrpn_tf_stage1")
    ours = rates(learnt, group=0, epochs=200)
    np.testing.assert_allclose([ours[epoch] for epoch in table["epochs_listed"]], table["lr_at_epoch_start"], rtol=1e-9)
    assert learnt.epoch_steps == table["steps_per_epoch"]


@pytest.mark.parametrize(("recipe", "steps"), [("siamfcpp_alexnet", 12500), ("siamfcpp_googlenet", 1171)])
def test_siamfcpp_learns_with_the_published_rates(recipe: str, steps: int) -> None:
    learnt = fit(recipe)
    assert learnt.epoch_steps == steps
    published = [row for row in expected("siamfcpp_training/training.json")["lr"] if row["iters_per_epoch"] == steps]
    ours = [phase_rate(learnt.phases, row["epoch"] * steps + row["iteration"], steps) for row in published]
    np.testing.assert_allclose(ours, [row["lr"] for row in published], rtol=1e-9)


# SiamFC++


def test_cells_are_labelled_as_published() -> None:
    content = arrays("siamfcpp_training/labels.npz")
    for case in range(3):
        search_size, map_size, _, offset = content[f"config_{case}"].tolist()
        grid = points(search_size, map_size, 8).cells
        assert grid[0, 0] == offset
        truth = torch.from_numpy(content[f"gt_{case}"])
        aims = cell_targets(truth, torch.ones(len(truth), dtype=torch.bool), torch.from_numpy(grid.copy()))
        np.testing.assert_array_equal(aims.label.numpy(), content[f"cls_{case}"])
        np.testing.assert_allclose(aims.centreness.numpy(), content[f"ctr_{case}"], atol=1e-6)


def test_siamfcpp_pays_the_published_losses() -> None:
    content = {name: torch.from_numpy(value) for name, value in arrays("siamfcpp_training/losses.npz").items()}
    values = expected("siamfcpp_training/training.json")["losses"]["values"]
    label = content["cls_gt"].long()
    logits, centres = content["cls_pred"].requires_grad_(), content["ctr_pred"].requires_grad_()
    boxes = content["box_pred"].requires_grad_()
    for name, loss in (("FocalLoss", focal_loss), ("Retina", retina_loss)):
        for weight in (0.25, 0.75):
            logits.grad = None
            paid = loss(logits, label, weight)
            paid.backward()  # type: ignore[no-untyped-call]
            assert paid.item() == pytest.approx(values[f"{name}_a{weight}"], rel=1e-5)
            assert logits.grad is not None
            norm = logits.grad.norm().item()
            assert norm == pytest.approx(values[f"{name}_a{weight}.grad_norm.cls_pred"], rel=1e-4)
    paid = centreness_loss(centres, content["ctr_gt"])
    paid.backward()  # type: ignore[no-untyped-call]
    assert paid.item() == pytest.approx(values["Centerness"], rel=1e-5)
    assert centres.grad is not None
    np.testing.assert_allclose(centres.grad[..., None], content["Centerness.grad.ctr_pred"], rtol=1e-4, atol=1e-8)
    iou = pixel_iou(boxes.permute(0, 2, 1), content["box_gt_xyxy"].float())
    paid = 3 * box_loss(iou, label)
    paid.backward()  # type: ignore[no-untyped-call]
    assert paid.item() == pytest.approx(values["IOULoss_w3"], rel=1e-5)
    assert boxes.grad is not None
    np.testing.assert_allclose(boxes.grad, content["IOULoss_w3.grad.box_pred"], rtol=1e-4, atol=1e-8)
    assert iou[label == 1].mean().item() == pytest.approx(values["IOULoss_w3.iou"], rel=1e-5)


# Networks with anchors


@pytest.mark.parametrize(("name", "map_size"), [("r50", 25), ("alex", 17)])
def test_anchors_answer_as_in_pysot(name: str, map_size: int) -> None:
    content = arrays("training/anchor_targets.npz")
    grid, rule = anchors(Family.SIAMRPN, map_size), TargetRule()
    numbers = torch.tensor([7])
    for case in range(8):
        truth = from_corners(content[f"{name}_{case}_box"])
        overlaps = anchor_targets.overlaps(truth, grid, rule)
        positive, negative = anchor_targets.labels(overlaps, rule)
        before = content[f"{name}_{case}_label_before_sampling"].reshape(-1)
        np.testing.assert_array_equal(positive[0].int() - (~positive & ~negative)[0].int(), before)
        deltas = anchor_targets.encoded(truth, grid)[0]
        if f"{name}_{case}_delta" in content:
            np.testing.assert_allclose(overlaps[0], content[f"{name}_{case}_overlap"].reshape(-1), atol=1e-5)
            np.testing.assert_allclose(deltas, content[f"{name}_{case}_delta"].reshape(4, -1), atol=1e-4)
        else:
            assert deltas.sum().item() == pytest.approx(float(content[f"{name}_{case}_delta_sum"]), rel=1e-3)
        sampled = content[f"{name}_{case}_cls_after_sampling"]
        aims = anchor_targets.targets(truth, torch.tensor([True]), grid, numbers, rule)
        assert (aims.positive.sum(), aims.negative.sum()) == ((sampled == 1).sum(), (sampled == 0).sum())
        assert not (aims.positive & ~positive).any()
        near = content[f"{name}_{case}_negative_pair_candidates"].reshape(-1)
        np.testing.assert_array_equal(anchor_targets.near(truth, grid)[0], np.tile(near, 5) == 1)
        alone = anchor_targets.targets(truth, torch.tensor([False]), grid, numbers, rule)
        assert not alone.positive.any()
        assert alone.negative.sum() == (content[f"{name}_{case}_negative_pair_after_sampling"] == 0).sum()


def test_pysot_pays_the_published_losses() -> None:
    content = arrays("training/losses.npz")
    for case in range(4):
        logits, deltas = (torch.from_numpy(content[f"case{case}_{kind}"]).float() for kind in ("cls", "loc"))
        logits.requires_grad_()
        deltas.requires_grad_()
        label = torch.from_numpy(content[f"case{case}_label_cls"]).flatten(1)
        aims = torch.from_numpy(content[f"case{case}_label_loc"]).float().flatten(2)
        count = len(label)
        paid = CONVENTIONS[LossKind.PYSOT].losses(
            logits.reshape(count, 2, -1), deltas.reshape(count, 4, -1), Targets(label == 1, label == 0, aims),
            torch.ones(count),
        )  # fmt: skip
        total = paid.score + 1.2 * paid.box
        expected_values = content[f"case{case}_losses"]
        np.testing.assert_allclose([paid.score.item(), paid.box.item(), total.item()], expected_values, rtol=2e-5)
        total.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert deltas.grad is not None
        norms = [logits.grad.norm().item(), deltas.grad.norm().item()]
        np.testing.assert_allclose(norms, content[f"case{case}_grad_norms"], rtol=1e-4)


def in_order(chosen: Tensor, most: int) -> Tensor:
    """The first `most` of each row."""
    return chosen & (chosen.cumsum(1) <= most)


def paid_by(
    kind: LossKind, logits: Tensor, deltas: Tensor, aims: Targets, weights: Tensor | None = None
) -> AnchorLosses:
    return CONVENTIONS[kind].losses(logits, deltas, aims, torch.ones(len(logits)) if weights is None else weights)


def test_mmtracking_assigns_and_pays_as_published() -> None:
    content, stored = expected("training_mmtracking.json"), arrays("training_mmtracking.npz")
    grid, rule = anchors(Family.SIAMRPNPP_MMTRACKING, 25), CONVENTIONS[LossKind.MMTRACKING].rule
    cases = content["mmtracking_targets"]["cases"]
    truth = from_corners([case["gt_xyxy"] for case in cases])
    positive, negative = anchor_targets.labels(anchor_targets.overlaps(truth, grid, rule), rule)
    encoded = anchor_targets.encoded(truth, grid)
    for row, case in enumerate(cases):
        np.testing.assert_array_equal(positive[row].int() - (~positive & ~negative)[row].int(), stored[f"assign_{row}"])
        if case["pos_index"]:
            first = case["pos_index"][0]
            np.testing.assert_allclose(encoded[row, :, first], case["bbox_target_first_pos"], atol=1e-5)
    # (A, 2) by cell: the decoder turns (2 A, H, W) into this order.
    logits = by_cell(40 * seeded("loss.cls", 3, 10, 25, 25), 2)
    deltas = by_cell(20 * seeded("loss.reg", 3, 20, 25, 25), 4)
    aims = Targets(in_order(positive, 16), in_order(negative, 48), encoded)
    paid = paid_by(LossKind.MMTRACKING, logits, deltas, aims)
    assert paid.score.item() == pytest.approx(content["mmtracking_loss"]["loss_rpn_cls"], rel=1e-5)
    assert 1.2 * paid.box.item() == pytest.approx(content["mmtracking_loss"]["loss_rpn_bbox"], rel=1e-5)
    for case in content["mmtracking_negative_pair"]:
        near = anchor_targets.near(from_corners(case["gt_xyxy"]), grid)[0].reshape(25, 25, 5).all(-1).nonzero()
        assert [near[:, 0].min(), near[:, 0].max()] == case["region_rows"]
        assert [near[:, 1].min(), near[:, 1].max()] == case["region_cols"]


def by_cell(output: Tensor, parts: int) -> Tensor:
    return output.reshape(len(output), parts, 5, *output.shape[2:]).permute(0, 1, 3, 4, 2).flatten(2)


def test_the_pytorch_port_assigns_and_pays_as_published() -> None:
    content = expected("training_ports.json")["port_loss"]
    grid, rule = anchors(Family.SIAMRPNPP_PYTORCH, 25), CONVENTIONS[LossKind.SIAMRPNPP_PYTORCH].rule
    truth = torch.tensor([case["gt_cxcywh"] for case in content["cases"]])
    truth[:, :2] += 127
    positive, negative = anchor_targets.labels(anchor_targets.overlaps(truth, grid, rule), rule)
    encoded = anchor_targets.encoded(truth, grid, rule.side_epsilon)
    for row, case in enumerate(content["cases"]):
        assert positive[row].nonzero()[:, 0].tolist() == case["pos_index"]
        assert negative[row].sum() == case["n_neg"]
        first = case["pos_index"][0]
        np.testing.assert_allclose(encoded[row, :, first], case["target_first_pos"], atol=1e-5)
    count = rule.negatives(positive.sum(1))
    assert count.tolist() == [3 * case["n_pos"] for case in content["cases"]]
    kept = negative & (negative.cumsum(1) <= count[:, None])
    logits = (20 * seeded("loss.cls", 2, 3125, 2)).transpose(1, 2)
    deltas = (20 * seeded("loss.reg", 2, 3125, 4)).transpose(1, 2)
    paid = paid_by(LossKind.SIAMRPNPP_PYTORCH, logits, deltas, Targets(in_order(positive, 16), kept, encoded))
    assert paid.score.item() == pytest.approx(content["loss_cls"], rel=1e-5)
    assert paid.box.item() == pytest.approx(content["loss_reg"], rel=1e-5)
    assert (paid.score + 5 * paid.box).item() == pytest.approx(content["total"], rel=1e-5)


def test_the_tensorflow_port_assigns_and_pays_as_published() -> None:
    content = expected("training_ports.json")["siamrpn_tf_loss"]
    grid, rule = anchors(Family.SIAMRPN_TF, 17), CONVENTIONS[LossKind.SIAMRPN_TF].rule
    truth = from_corners([case["gt_xyxy"] for case in content["cases"]], last_pixel=1.0)
    overlaps = anchor_targets.overlaps(truth, grid, rule)
    positive, negative = anchor_targets.labels(overlaps, rule)
    encoded = anchor_targets.encoded(truth, grid, rule.side_epsilon)
    for row, case in enumerate(content["cases"]):
        assert overlaps[row].max().item() == pytest.approx(case["best_iou"], rel=1e-5)
        assert overlaps[row].argmax() == case["best_index"]
        assert positive[row].nonzero()[:, 0].tolist() == case["labels_pos"]
        assert negative[row].sum() == case["n_iou_lt_0_3"]
        first = case["labels_pos"][0]
        np.testing.assert_allclose(encoded[row, :, first], case["target_first_pos"], atol=1e-5)
    count = rule.negatives(positive.sum(1))
    assert count.tolist() == [case["n_neg"] for case in content["cases"]]
    aims = Targets(positive, negative & (negative.cumsum(1) <= count[:, None]), encoded)
    # There the target is class 0.
    logits = (40 * seeded("loss.probs", 2, 1445, 2)).flip(-1).transpose(1, 2)
    deltas = (40 * seeded("loss.boxes", 2, 1445, 4)).transpose(1, 2)
    for name, frames in (("time_decay", 100.0), ("no_decay", 0.0)):
        weights = pair_weights(torch.tensor([10, 150]), frames)
        paid = paid_by(LossKind.SIAMRPN_TF, logits, deltas, aims, weights)
        assert paid.score.item() == pytest.approx(content["values"][name]["loss_cls"], rel=1e-5)
        assert 10 * paid.box.item() == pytest.approx(content["values"][name]["loss_reg"], rel=1e-5)


def test_pairs_far_apart_weigh_less_as_published() -> None:
    content = expected("training_ports.json")["siamrpn_tf_time_decay"]
    np.testing.assert_allclose(pair_weights(torch.tensor(content["dt"]), 100.0), content["weight"], rtol=1e-6)
