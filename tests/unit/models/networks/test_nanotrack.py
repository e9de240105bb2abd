"""NanoTrack's three versions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.networks.nanotrack import NanoTrack
from models.spec import ModelSpec, SpecInvalid
from models.variants.nanotrack import VARIANTS

versions = pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)


def network(spec: ModelSpec) -> NanoTrack:
    torch.manual_seed(0)
    return NanoTrack(spec).eval()


def crops(count: int, side: int) -> Tensor:
    generator = torch.Generator().manual_seed(side)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


@versions
def test_maps_have_a_score_and_a_box_for_every_point_of_the_grid(spec: ModelSpec) -> None:
    module, side = network(spec), spec.crop.search_size
    with torch.inference_mode():
        score, boxes = module.maps(module.template(crops(2, spec.crop.template_size)), crops(2, side))
    cells, window = module.grid(side)
    assert score.shape == (2, len(window))
    assert boxes.shape == (2, 4, len(window))
    assert cells.shape == (2, len(window))
    assert ((score >= 0) & (score <= 1)).all()
    assert (boxes[:, 2:] > 0).all()


@versions
def test_a_batch_gives_what_its_members_give_alone(spec: ModelSpec) -> None:
    module = network(spec)
    templates, searches = crops(3, spec.crop.template_size), crops(3, spec.crop.search_size)
    with torch.inference_mode():
        together = module.maps(module.template(templates), searches)
        for row in range(3):
            alone = module.maps(module.template(templates[row : row + 1]), searches[row : row + 1])
            for a, b in zip(together, alone, strict=True):
                torch.testing.assert_close(a[row], b[0], rtol=1e-4, atol=1e-4)


def test_distances_become_a_box_around_their_point() -> None:
    spec = VARIANTS["nanotrack_v3"]
    module = network(spec)
    distances = torch.tensor([10.0, 20.0, 30.0, 60.0])[None, :, None, None].expand(1, 4, 15, 15)
    score, boxes = module.decode((torch.zeros(1, 2, 15, 15), distances), spec.crop.search_size)
    middle = 15 * 7 + 7
    assert score[0, middle] == 0.5
    assert boxes[0, :, middle].tolist() == [127 + 10, 127 + 20, 40, 80]


def test_maps_with_an_even_side_reach_farther_to_the_left_and_the_top() -> None:
    cells, _ = network(VARIANTS["nanotrack_v1"]).grid(255)
    assert cells.min() == 127 - 128
    assert cells.max() == 127 + 112


@versions
def test_training_reaches_every_weight(spec: ModelSpec) -> None:
    module = network(spec)
    score, boxes = module.maps(module.template(crops(2, spec.crop.template_size)), crops(2, spec.crop.search_size))
    (score.sum() + boxes.sum()).backward()  # type: ignore[no-untyped-call]
    assert [name for name, weight in module.named_parameters() if weight.grad is None] == []


def test_a_spec_with_other_channels_is_refused() -> None:
    spec = VARIANTS["nanotrack_v1"]
    with pytest.raises(SpecInvalid, match=r"nanotrack_v1 has channels \(48,\), stride 16"):
        NanoTrack(replace(spec, network=replace(spec.network, channels=(96,))))
