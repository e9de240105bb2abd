"""The network and the torch twin of the choice of the best box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.grids import cell_centres
from models.networks.correlation import depthwise, pixelwise
from models.networks.selection import Selection, Twofold
from models.networks.siamfcpp_light import SiamFCppLight
from models.selection import doubted
from models.selection import select as select_in_numpy
from models.spec import ModelSpec
from training.recipe import read_recipe

RECIPE = Path(__file__).parents[3] / "training" / "recipes" / "siamfcpp_light.toml"
SEARCH, CELLS = 208, 26


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return read_recipe(RECIPE).model


@pytest.fixture(scope="module")
def network(spec: ModelSpec) -> SiamFCppLight:
    torch.manual_seed(0)
    return SiamFCppLight(spec).eval()


def crops(count: int, side: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(side)
    )


def test_maps_have_a_score_and_a_box_for_every_cell(network: SiamFCppLight) -> None:
    with torch.no_grad():
        score, boxes = network.maps(network.template(crops(2, 112)), crops(2, SEARCH))
    assert score.shape == (2, CELLS * CELLS)
    assert boxes.shape == (2, 4, CELLS * CELLS)
    assert 0 <= score.min() <= score.max() <= 1


def test_distances_become_a_box_around_the_centre_of_their_cell(network: SiamFCppLight) -> None:
    distances = torch.full((1, 4, CELLS, CELLS), 28.0)
    boxes = network.boxes(distances)
    assert boxes[0, :, 0, 0].tolist() == [4.0, 4.0, 56.0, 56.0]
    assert boxes[0, :, 2, 5].tolist() == [44.0, 20.0, 56.0, 56.0]


def test_a_batch_gives_what_its_members_give_alone(network: SiamFCppLight) -> None:
    with torch.no_grad():
        templates, searches = crops(3, 112), crops(3, SEARCH)
        together = network.maps(network.template(templates), searches)
        for row in range(3):
            alone = network.maps(network.template(templates[row : row + 1]), searches[row : row + 1])
            for a, b in zip(together, alone, strict=True):
                torch.testing.assert_close(a[row], b[0], rtol=1e-4, atol=1e-4)


def test_several_templates_give_what_each_gives_alone(network: SiamFCppLight) -> None:
    with torch.no_grad():
        (templates,), searches = network.template(crops(4, 112)), crops(2, SEARCH)
        together = network.maps((torch.stack([templates[:2], templates[2:]], 1),), searches)
        for which, template in enumerate((templates[:2], templates[2:])):
            for a, b in zip(together, network.maps((template,), searches), strict=True):
                torch.testing.assert_close(a[:, which], b)


@pytest.mark.parametrize(("name", "at_most", "correlated_cells"), [("light", 300e6, 64 + 9), ("tiny", 50e6, 36 + 9)])
def test_a_search_frame_costs_at_most_so_many_multiplications(name: str, at_most: float, correlated_cells: int) -> None:
    spec = read_recipe(RECIPE.with_name(f"siamfcpp_{name}.toml")).model
    network = SiamFCppLight(spec).eval()
    counted = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal counted
        assert isinstance(module, nn.Conv2d)
        counted += output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        (template,) = network.template(crops(1, spec.crop.template_size))
        counted = 0
        network.maps((torch.stack([template] * spec.template_count, 1),), crops(1, spec.crop.search_size))
    for hook in hooks:
        hook.remove()
    (channels,), cells = spec.network.channels, (spec.crop.search_size // spec.network.stride) ** 2
    correlation = spec.template_count * correlated_cells * channels * cells
    assert 0.8 * at_most < counted + correlation <= at_most


def test_gradients_reach_every_parameter_of_neck_and_head(network: SiamFCppLight) -> None:
    network.train()
    score, boxes = network.maps(network.template(crops(2, 112)), crops(2, SEARCH))
    (score.square().mean() + boxes.mean()).backward()  # type: ignore[no-untyped-call]
    network.eval()
    without = [
        name
        for part in (network.neck, network.head)
        for name, parameter in part.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    network.zero_grad(set_to_none=True)
    assert without == []


def test_pixelwise_correlation_is_a_dot_product_with_every_template_cell() -> None:
    template, search = torch.randn(2, 5, 3, 3), torch.randn(2, 5, 4, 6)
    result = pixelwise(template, search)
    expected = (template[1, :, 2, 1] * search[1, :, 3, 4]).sum()
    assert result.shape == (2, 9, 4, 6)
    torch.testing.assert_close(result[1, 2 * 3 + 1, 3, 4], expected)


def test_depthwise_correlation_equals_a_grouped_convolution() -> None:
    kernel, search = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 9, 9)
    weight = kernel.reshape(8, 1, 3, 3)
    grouped = nn.functional.conv2d(search.reshape(1, 8, 9, 9), weight, padding=2, dilation=2, groups=8) / 9
    torch.testing.assert_close(depthwise(kernel, search, dilation=2), grouped.reshape(2, 4, 9, 9))


@pytest.mark.parametrize("seed", range(5))
def test_the_exported_choice_equals_the_numpy_reference(seed: int) -> None:
    generator = np.random.default_rng(seed)
    grid = cell_centres(SEARCH, CELLS, 8)
    score = generator.random((4, CELLS * CELLS), np.float32)
    boxes = generator.uniform(1, 200, (4, 4, CELLS * CELLS)).astype(np.float32)
    size = generator.uniform(5, 150, (4, 2)).astype(np.float32)
    loop = generator.uniform(0, 0.5, (4, 3)).astype(np.float32)
    expected = select_in_numpy(score, boxes, size, loop, grid, 8)
    best, peak2 = Selection(grid, 8)(*map(torch.from_numpy, (score, boxes, size, loop)))
    np.testing.assert_allclose(best.numpy(), expected.best, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(peak2.numpy(), expected.peak2, rtol=1e-4, atol=1e-4)


def test_the_exported_doubt_equals_the_numpy_reference() -> None:
    generator = np.random.default_rng(7)
    grid = cell_centres(SEARCH, CELLS, 8)
    score = generator.random((6, 2, CELLS * CELLS), np.float32)
    score[:3, 1] = 0.9 * score[:3, 0]
    places = generator.uniform(60, 200, (6, 1, 4, CELLS * CELLS)) + generator.uniform(0, 5, (6, 2, 4, CELLS * CELLS))
    boxes = places.astype(np.float32)
    size = generator.uniform(5, 150, (6, 2)).astype(np.float32)
    loop = generator.uniform(0, 0.5, (6, 3)).astype(np.float32)
    plain, second = (select_in_numpy(score[:, k], boxes[:, k], size, loop, grid, 8) for k in (0, 1))
    expected = doubted(second, plain, 0.3)
    assert 0 < np.count_nonzero(expected.best[:, 4]) < 6
    best, peak2 = Twofold(Selection(grid, 8), 0.3)(*map(torch.from_numpy, (score, boxes, size, loop)))
    np.testing.assert_allclose(best.numpy(), expected.best, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(peak2.numpy(), expected.peak2, rtol=1e-4, atol=1e-4)
