"""A runtime without weights: normalised cross-correlation of the template's middle with the search region.

It lets every test of the service run without a model package, and follows plain objects on plain ground well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np

from models.grids import cell_centres
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.kinds import Precision
from models.spec import Architecture, CropSpec, Family, LoopSpec, LostSearch, ModelSpec, NetworkSpec, PresenceSpec

DUMMY_SPEC = ModelSpec(
    family=Family.LOCKON,
    # Nothing is built from this part: the dummy runtime has no network.
    network=NetworkSpec(architecture=Architecture.SIAMFCPP_LIGHT, stride=2, channels=(1,)),
    crop=CropSpec(template_size=112, search_size=224, context_amount=0.5),
    loop=LoopSpec(penalty_k=0.0, window_influence=0.1, size_lr=0.5, min_size=4.0),
    presence=PresenceSpec(
        lost=0.35,
        fallen=0.0,
        leave=0.35,
        enter=0.5,
        reacquire=0.6,
        lost_after_s=0.6,
        reacquire_after=3,
        search=LostSearch.AROUND,
    ),
)

_REDUCTION = 2
_MIDDLE = 0.75
"""Share of the template that is compared: the target's outline is inside, most of the ground around it is not."""
_FLAT = 1.0
"""Standard deviation in grey levels below which a patch has nothing to compare."""


class DummyRuntime:
    """Obeys `models.runtimes.base.Runtime`. Boxes keep the size that they come with; score = correlation, 0..1."""

    name = "dummy"
    device = "cpu"
    precision = Precision.F32

    def template(self, crops: ByteArray) -> list[Features]:
        """The grey, reduced middle of each crop."""
        return [(_middle(_grey(crop)),) for crop in crops]

    def joined(self, templates: Sequence[Features]) -> Features:
        """The first template: this runtime compares with one."""
        return templates[0]

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        """The place of each crop that correlates best with the target's patch; penalty is always 1."""
        best = np.empty((len(crops), 8), np.float32)
        peak2 = np.empty((len(crops), 2), np.float32)
        for i, ((patch,), crop) in enumerate(zip(features, crops, strict=True)):
            score = _correlation(patch, _grey(crop))
            influence = float(loop[i, 1])
            window = cell_centres(crop.shape[0], score.shape[0], _REDUCTION).window.reshape(score.shape)
            ranking = score * (1 - influence) + window * influence
            index = int(ranking.argmax())
            row, column = divmod(index, score.shape[1])
            cx, cy = (column + patch.shape[1] / 2) * _REDUCTION, (row + patch.shape[0] / 2) * _REDUCTION
            best[i] = (cx, cy, *size[i], score[row, column], 1.0, ranking[row, column], index)
            peak2[i] = _runner_up(score, row, column, size[i])
        return Best(best, peak2)


def _grey(crop: ByteArray) -> FloatArray:
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    side = crop.shape[0] // _REDUCTION
    return cast("FloatArray", cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32))


def _middle(grey: FloatArray) -> FloatArray:
    edge = round(grey.shape[0] * (1 - _MIDDLE) / 2)
    return grey[edge:-edge, edge:-edge].copy()


def _correlation(patch: FloatArray, grey: FloatArray) -> FloatArray:
    """(rows, columns) in 0..1; all 0 where the patch or the whole search region is flat."""
    if patch.std() < _FLAT or grey.std() < _FLAT:
        shape = (grey.shape[0] - patch.shape[0] + 1, grey.shape[1] - patch.shape[1] + 1)
        return np.zeros(shape, np.float32)
    matched = cv2.matchTemplate(grey, patch, cv2.TM_CCOEFF_NORMED)
    # Flat places inside the region divide 0 by 0.
    return np.clip(np.nan_to_num(matched, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0).astype(np.float32)


def _runner_up(score: FloatArray, row: int, column: int, size: FloatArray) -> tuple[float, float]:
    """The highest score more than half the target's size away from the best one, and its distance in crop pixels."""
    reach_x, reach_y = (max(2, int(side / 2 / _REDUCTION)) for side in size)
    others = score.copy()
    others[max(0, row - reach_y) : row + reach_y + 1, max(0, column - reach_x) : column + reach_x + 1] = 0
    second_row, second_column = np.unravel_index(others.argmax(), others.shape)
    distance = float(np.hypot(second_row - row, second_column - column)) * _REDUCTION
    peak = float(others[second_row, second_column])
    return (peak, distance) if peak > 0 else (0.0, 0.0)
