"""The frames of a load."""

from __future__ import annotations

import cv2
import numpy as np

from models.geometry import Box
from service.bench.film import Film, drawn, middle


def test_a_film_runs_to_and_fro_without_a_jump() -> None:
    film = Film("three", [b"0", b"1", b"2"], Box(0, 0, 1, 1), 8, 8)
    assert b"".join(film.file(index) for index in range(9)) == b"012101210"
    assert Film("one", [b"0"], Box(0, 0, 1, 1), 8, 8).file(5) == b"0"


def test_the_drawn_scene_is_the_same_each_time_and_has_its_patch_in_the_box() -> None:
    film = drawn(320, 180)
    assert film.files == drawn(320, 180).files
    first, last = (cv2.imdecode(np.frombuffer(film.files[i], np.uint8), cv2.IMREAD_COLOR) for i in (0, -1))
    assert first is not None
    assert last is not None
    assert first.shape == (180, 320, 3)
    x, y, w, h = map(int, film.box.xywh())
    changed = np.abs(first.astype(int) - last).mean(axis=2)
    assert changed[y : y + h, x : x + w].mean() > 4 * np.median(changed)


def test_small_frames_hold_the_whole_way_of_the_patch() -> None:
    for width, height in ((64, 64), (64, 512), (512, 64)):
        film = drawn(width, height)
        assert film.box.x + film.box.w <= width


def test_the_middle_is_a_quarter_of_the_frame_on_a_side() -> None:
    assert middle(640, 480).xywh() == (240, 180, 160, 120)
