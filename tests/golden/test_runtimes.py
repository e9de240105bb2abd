"""Every runtime gives the boxes of torch with the golden weights, on crops of the golden frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.runtimes.kinds import Precision, RuntimeKind
from tests.golden.conftest import GOLDEN
from tests.golden.zoo import CASES, differences, network_of
from tests.runtimes import EXACT, Way

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.timeout(1200)]

# A half number has 11 bits: some tenths of a pixel of 255.
HALF_TOLERANCE_PX = 1.0
HALF_SCORE_TOLERANCE = 1e-2

HALF = {"torchscript, f16": Way(RuntimeKind.TORCHSCRIPT, Precision.F16)}


def test_every_published_variant_is_tested_here() -> None:
    specs = {path.parent.name: json.loads(path.read_text()) for path in GOLDEN.glob("*/spec.json")}
    assert {name for name, spec in specs.items() if "state_dict" in spec} == set(CASES)


@pytest.mark.parametrize("folder", CASES)
def test_every_runtime_gives_the_boxes_of_torch(folder: str, tmp_path: Path) -> None:
    spec, network = network_of(folder)
    for name, found in differences(network, spec, EXACT, tmp_path):
        assert found.negligible, (folder, name, str(found))


# With trained weights: random ones make the damage of fewer digits look worse than it is.
@pytest.mark.parametrize("folder", [name for name in CASES if name.startswith("nanotrack")])
def test_half_precision_hardly_moves_the_boxes_of_trained_networks(folder: str, tmp_path: Path) -> None:
    spec, network = network_of(folder)
    ((_, found),) = differences(network, spec, HALF, tmp_path)
    assert found.other_choices == 0
    assert found.box_px <= HALF_TOLERANCE_PX
    assert found.score <= HALF_SCORE_TOLERANCE
