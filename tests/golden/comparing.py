"""What the tests of several code bases do alike with golden vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.geometry import Box
from models.networks.build import Network, build
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec
from models.tracker import Tracker
from tests.golden.conftest import frame

Row = dict[str, Any]


def loaded(spec: ModelSpec, weights: Mapping[str, NDArray[Any]]) -> Network:
    """The network with these weights, which must fill every place but the counters that nothing reads."""
    module = build(spec).eval()
    arrays = {key: torch.from_numpy(np.asarray(value)) for key, value in weights.items()}
    misfits = module.load_state_dict(arrays, strict=False)
    assert not misfits.unexpected_keys
    assert all(key.endswith(".num_batches_tracked") for key in misfits.missing_keys)
    return cast("Network", module)


def as_crops(pixels: NDArray[Any]) -> Tensor:
    """(B, 3, S, S) as a network of torch is fed -> (B, S, S, 3)."""
    return torch.from_numpy(pixels).permute(0, 2, 3, 1).contiguous()


def reversed_colours(pixels: NDArray[Any]) -> NDArray[Any]:
    """RGB (..., 3) -> BGR."""
    return np.ascontiguousarray(pixels[..., ::-1])


def assert_near(ours: Tensor | NDArray[Any], expected: NDArray[Any], tolerance: float) -> None:
    """Within `tolerance` everywhere."""
    np.testing.assert_allclose(np.asarray(ours).reshape(expected.shape), expected, rtol=0, atol=tolerance)


def assert_same_pixels(ours: NDArray[Any], expected: NDArray[Any], tolerance: Mapping[str, Any], case: str) -> None:
    """Crops of bytes, as far apart as the golden spec allows for another build of OpenCV."""
    off = np.abs(ours.astype(int) - expected)
    assert off.max() <= tolerance["crop_abs_levels"], case
    assert np.mean(off > 0) <= tolerance["crop_max_fraction_of_pixels_off"], case


class Run:
    """Our loop on a published track."""

    def __init__(self, network: Network, spec: ModelSpec, track: Mapping[str, Any]) -> None:
        self.rows: list[Row] = track["rows"]
        self.tracker = Tracker(spec, TorchRuntime.of(cast("torch.nn.Module", network), spec))
        start = track["start_box"] if "start_box" in track else track["start_box_xywh"]
        self.target = self.tracker.start(frame(self.rows[0]["frame"]), Box(*start))

    def follow(self, box: float, score: float, place: Callable[[Row, Row], Box] | None = None) -> None:
        """The whole track within these tolerances; freely, or each step from the `place` that the row before and the
        row itself tell."""
        for previous, row in zip(self.rows, self.rows[1:], strict=False):
            if place is not None:
                self.target.place = place(previous, row)
            estimate = self.tracker.follow(self.target, frame(row["frame"]))
            assert estimate.index == row["best_index"], row["frame"]
            side = row["search_side"] if "search_side" in row else row["crop_side"]
            assert estimate.window.side == side, row["frame"]
            assert_near(np.array(estimate.box.xywh()), np.array(row["bbox"]), box)
            told = np.array([row["score"], row["best_pscore"]])
            assert_near(np.array([estimate.score, estimate.ranking]), told, score)
