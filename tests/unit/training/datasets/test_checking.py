"""What `lockon data check` finds, and the sheet that `lockon data show` draws."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import trees
from training.datasets.catalogue import Found, all_tracks, recognise
from training.datasets.checking import SplitReport, check
from training.datasets.sheet import COLUMNS, ROWS, draw_sheet
from training.datasets.tracks import DataInvalid
from training.packs.crops import CropRule
from training.packs.writing import write_pack


def reports(root: Path) -> dict[str, SplitReport]:
    (found,) = recognise(root)
    return {report.split: report for report in check(found)}


def test_a_set_is_counted_against_what_its_owner_publishes(tmp_path: Path) -> None:
    found = reports(trees.got10k(tmp_path))
    train = found["train"]
    assert (train.sequences, train.expected, train.tracks, train.frames, train.visible) == (2, 9335, 2, 10, 7)
    assert train.problems == []
    assert not train.complete
    assert list(found) == ["train", "test"]


def test_missing_sequences_and_broken_files_are_problems_and_the_rest_is_read(tmp_path: Path) -> None:
    root = trees.got10k(tmp_path)
    trees.text(root / "train/list.txt", "GOT-10k_Train_000001\nGOT-10k_Train_000002\nGOT-10k_Train_000003\n")
    (root / "train/GOT-10k_Train_000001/00000005.jpg").write_bytes(b"no picture")
    train = reports(root)["train"]
    assert train.sequences == 1
    assert [problem.removeprefix(str(root)) for problem in train.problems] == [
        "/train/GOT-10k_Train_000001/00000005.jpg: cannot be read as an image",
        "/train/GOT-10k_Train_000003: is missing",
    ]


def test_a_box_outside_the_picture_and_a_target_that_is_never_seen_are_problems(tmp_path: Path) -> None:
    root = trees.vot(tmp_path)
    trees.text(root / "conduction1/groundtruth.txt", "10,10,20,16\n70,10,20,16\n10,10,20,16\n")
    trees.text(root / "ants3/groundtruth.txt", "nan,nan,nan,nan\n" * 3)
    first, second = reports(root)["vot2018"].problems
    assert "00000001.jpg: ants3 is visible in no frame" in first
    assert "00000002.jpg: the box of conduction1 lies outside the picture" in second


def test_pictures_of_two_sizes_are_a_remark_and_no_problem(tmp_path: Path) -> None:
    root = trees.vot(tmp_path)
    last = root / "ants3/color/00000003.jpg"
    cv2.imwrite(str(last), np.zeros((20, 30, 3), np.uint8))
    report = reports(root)["vot2018"]
    assert report.problems == ["vot2018: 6 frames, its owner publishes 21356"]
    assert ["is 30x20, the first frame of the track 64x48" in remark for remark in report.remarks] == [True]


@pytest.mark.parametrize("name", trees.TREES)
def test_a_check_writes_nothing_and_reads_every_layout(name: str, tmp_path: Path) -> None:
    root = trees.TREES[name](tmp_path / "set")
    before = sorted(root.rglob("*"))
    steps: list[tuple[str, int, int]] = []
    (found,) = recognise(root)
    split = check(found, lambda *step: steps.append(step))
    assert any(report.tracks for report in split)
    assert steps[-1][1] == steps[-1][2]
    assert sorted(root.rglob("*")) == before


def test_a_sheet_shows_a_row_for_each_track_or_of_stills(tmp_path: Path) -> None:
    trees.got10k(tmp_path / "got10k")
    trees.coco(tmp_path / "coco")
    sheet = draw_sheet(tmp_path, (), seed=1)
    assert sheet.shape == (ROWS * 216, COLUMNS * 200, 3)
    green = (sheet[..., 1].astype(int) - sheet[..., 2] > 100).reshape(ROWS, 216, COLUMNS, 200)
    assert green.any(axis=(1, 3)).all()
    np.testing.assert_array_equal(draw_sheet(tmp_path, (), seed=1), sheet)
    assert not np.array_equal(draw_sheet(tmp_path, (), seed=2), sheet)


def test_a_sheet_is_drawn_of_a_pack(tmp_path: Path) -> None:
    root = trees.got10k(tmp_path / "set")
    write_pack(all_tracks(Found(recognise(root)[0].layout, root), ["train"]), tmp_path / "pack", CropRule(), ["test"])
    assert draw_sheet(tmp_path / "pack", (), seed=0).any()


def test_a_set_with_nothing_to_show_is_refused(tmp_path: Path) -> None:
    root = trees.got10k(tmp_path)
    for path in root.glob("*/*/groundtruth.txt"):
        path.unlink()
    with pytest.raises(
        DataInvalid, match=r"50 draws had nothing to show; the first: .*groundtruth\.txt: cannot be read"
    ):
        draw_sheet(root, (), seed=0)
