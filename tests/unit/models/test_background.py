"""What lies around a target in its template, shown with less contrast."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.background import EDGE, fade
from models.geometry import Box, Size
from models.runtimes.dummy import DUMMY_SPEC, DummyRuntime
from models.spec import SpecInvalid
from models.tracker import Tracker

SIDE, TARGET = 112, Size(56.0, 28.0)


def crop(kind: type[np.uint8] | type[np.float32]) -> NDArray[Any]:
    return np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3)).astype(kind)


def radius() -> NDArray[Any]:
    """1 on the ellipse in the target's box."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return np.asarray(np.hypot(x / (TARGET.w / 2), y / (TARGET.h / 2)))


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_target_stays_and_its_background_keeps_a_share_of_its_contrast(
    kind: type[np.uint8] | type[np.float32], share: float
) -> None:
    before = crop(kind)
    after = before.copy()
    fade(after, TARGET, share)
    inside, outside = radius() <= 1, radius() >= 1 + EDGE
    assert after.dtype == kind
    assert np.array_equal(after[inside], before[inside])
    expected = before.mean((0, 1)) + share * (before - before.mean((0, 1)))
    assert after[outside] == pytest.approx(expected[outside], abs=0.5 if kind is np.uint8 else 1e-3)


def test_between_target_and_background_the_contrast_falls_evenly() -> None:
    picture = np.zeros((SIDE, SIDE, 3), np.float32)
    picture[:, : SIDE // 2] = 255
    fade(picture, TARGET, 0.0)
    row = picture[SIDE // 2, SIDE // 2 :, 0]  # from the middle to the right, where there was black on a grey mean
    assert row[0] == 0
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() < 20
    assert row[-1] == pytest.approx(127.5)


def test_a_tracker_shows_its_network_templates_with_faded_backgrounds() -> None:
    frame = np.random.default_rng(5).integers(0, 256, (240, 320, 3), np.uint8)
    box = Box(130, 90, 60, 40)
    plain = Tracker(DUMMY_SPEC, DummyRuntime()).start(frame, box).crops[0]
    faded = Tracker(replace(DUMMY_SPEC, background=0.4), DummyRuntime()).start(frame, box).crops[0]
    middle, corner = np.s_[SIDE // 2 - 8 : SIDE // 2 + 8], np.s_[:16]
    assert np.array_equal(plain[middle, middle], faded[middle, middle])
    assert faded[corner, corner].std() == pytest.approx(0.4 * plain[corner, corner].std(), rel=0.1)


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_other_shares_are_refused(wrong: float) -> None:
    with pytest.raises(SpecInvalid, match=r"background must be in 0\.\.1"):
        replace(DUMMY_SPEC, background=wrong)
