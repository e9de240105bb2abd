"""Every reader on a tiny tree in the true layout: what it reads, and what it says of a broken file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import trees
from training.datasets.catalogue import LAYOUTS, Found, chosen_splits, recognise
from training.datasets.textfiles import read_table
from training.datasets.tracks import DataInvalid, Files, Track, decoded
from training.datasets.vot import read_tags


def only(root: Path) -> Found:
    (found,) = recognise(root)
    return found


def read(root: Path, split: str, name: str) -> list[Track]:
    found = only(root)
    return list(found.layout.tracks(found.root, split, name))


def one(root: Path, split: str, name: str) -> Track:
    (track,) = read(root, split, name)
    return track


@pytest.mark.parametrize("name", trees.TREES)
def test_each_data_set_is_recognised_as_itself_and_its_pictures_decode(name: str, tmp_path: Path) -> None:
    root = trees.TREES[name](tmp_path / "set")
    assert [found.layout.name for found in recognise(root)] == [name]
    # The folder above is as good.
    found = only(tmp_path)
    assert (found.layout.name, found.root) == (name, root)
    for split in found.layout.present(root):
        for sequence in found.layout.sequences(root, split)[:1]:
            try:
                tracks = list(found.layout.tracks(root, split, sequence))
            except DataInvalid:
                continue  # a tree holds some of the official names only
            for track in tracks:
                view = track.views[len(track) - 1]
                assert decoded(view.pictures, view.picture).shape == (trees.HEIGHT, trees.WIDTH, 3)


def test_the_two_sets_of_ilsvrc_are_found_in_one_folder(tmp_path: Path) -> None:
    trees.ilsvrc_det(trees.ilsvrc_vid(tmp_path))
    assert [found.layout.name for found in recognise(tmp_path)] == ["ilsvrc_vid", "ilsvrc_det"]


def test_a_folder_of_something_else_is_refused_with_what_is_known(tmp_path: Path) -> None:
    trees.text(tmp_path / "a" / "notes.txt", "")
    with pytest.raises(DataInvalid, match="holds none of GOT-10k, TrackingNet"):
        recognise(tmp_path)
    with pytest.raises(DataInvalid, match="no such folder"):
        recognise(tmp_path / "b")


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_first_layout_that_fits_a_folder_has_it(split: str, tmp_path: Path) -> None:
    """A split's folder of GOT-10k would do for VOT as well."""
    found = only(trees.got10k(tmp_path) / split)
    assert found.layout.name == "got10k"
    assert found.layout.present(found.root) == [split]


def test_names_of_layouts_are_unique_and_training_splits_exist() -> None:
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)
    for layout in LAYOUTS:
        assert set(layout.training) <= set(layout.splits)


def test_a_benchmark_is_never_trained_on_by_default(tmp_path: Path) -> None:
    found = only(trees.otb(tmp_path))
    with pytest.raises(DataInvalid, match="OTB is a benchmark; name a split: otb100"):
        chosen_splits(found, ())
    assert chosen_splits(found, ("otb50",)) == ["otb50"]
    with pytest.raises(DataInvalid, match="has no split 'train'; it has otb100"):
        chosen_splits(found, ("train",))


def test_got10k_hides_absent_and_covered_frames_and_boxes_without_size(tmp_path: Path) -> None:
    trees.got10k(tmp_path)
    first, second = (one(tmp_path, "train", f"GOT-10k_Train_{n:06d}") for n in (1, 2))
    assert first.visible.all()
    assert first.category == "ship"
    assert first.frames.tolist() == [1, 2, 3, 4, 5]
    assert second.visible.tolist() == [True, False, False, False, True]
    np.testing.assert_array_equal(second.boxes[1], (12, 12, 20, 16))


def test_the_test_split_has_only_its_first_box(tmp_path: Path) -> None:
    track = one(trees.got10k(tmp_path), "test", "GOT-10k_Test_000001")
    assert track.visible.tolist() == [True, False, False]
    assert np.isnan(track.boxes[1:]).all()
    assert track.category is None


def test_got10k_is_read_from_the_folders_of_its_downloads_too(tmp_path: Path) -> None:
    trees.got10k(tmp_path)
    part = tmp_path / "train" / "GOT-10k_Train_split_01"
    part.mkdir()
    (tmp_path / "train" / "GOT-10k_Train_000001").rename(part / "GOT-10k_Train_000001")
    assert len(one(tmp_path, "train", "GOT-10k_Train_000001")) == 5
    (tmp_path / "train" / "list.txt").unlink()
    found = only(tmp_path)
    assert found.layout.sequences(tmp_path, "train") == ["GOT-10k_Train_000001", "GOT-10k_Train_000002"]


def test_trackingnet_sorts_frames_as_numbers_and_takes_names_apart_from_the_right(tmp_path: Path) -> None:
    track = one(trees.trackingnet(tmp_path), "train_0", "-a_b_0")
    assert isinstance(track.pictures, Files)
    assert track.pictures.names[-2:] == ("9.jpg", "10.jpg")
    assert track.scene == "youtube/-a_b"
    assert only(tmp_path).layout.present(tmp_path) == ["train_0", "test"]


def test_lasot_is_split_by_the_official_lists_and_hides_occluded_and_outside_frames(tmp_path: Path) -> None:
    found = only(trees.lasot(tmp_path))
    names = {split: found.layout.sequences(tmp_path, split) for split in ("train", "test", "ext")}
    assert [len(names[split]) for split in names] == [1120, 280, 1]
    assert "airplane-2" in names["train"]
    assert "airplane-1" in names["test"]
    assert not set(names["train"]) & set(names["test"])
    # Flags in one line and one a line; the last box has no size.
    assert one(tmp_path, "train", "airplane-2").visible.tolist() == [True, False, False, False]
    assert one(tmp_path, "test", "airplane-1").visible.tolist() == [True, True, False, False]
    assert one(tmp_path, "ext", "misc-1").category == "misc"


def test_vid_gives_a_track_for_each_object_and_its_gaps_in_frame_numbers(tmp_path: Path) -> None:
    name = "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
    dog, car = read(trees.ilsvrc_vid(tmp_path), "train", name)
    assert dog.name == "ILSVRC2015_train_00000000/0"
    assert dog.frames.tolist() == [0, 1, 3]
    assert car.frames.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(dog.boxes[2], (16, 12, 20, 16))
    assert dog.scene == car.scene
    assert [track.category for track in read(tmp_path, "val", "val/ILSVRC2015_val_00000000")] == ["n02084071"]


def test_det_reads_flat_folders_and_folders_of_classes(tmp_path: Path) -> None:
    found = only(trees.ilsvrc_det(tmp_path))
    stills = read(tmp_path, "train", "train/ILSVRC2013_train") + read(tmp_path, "train", "train/ILSVRC2014_train_0000")
    assert [len(still) for still in stills] == [1, 1, 1]
    assert stills[0].scene == stills[1].scene != stills[2].scene
    assert len({still.name for still in stills}) == 3
    assert len(found.layout.sequences(tmp_path, "train")) == 8


def test_coco_leaves_crowds_out_and_boxes_without_area_unseen(tmp_path: Path) -> None:
    stills = read(trees.coco(tmp_path), "train", "train2017")
    assert [still.name for still in stills] == [
        "train2017/000000000009/0",
        "train2017/000000000009/1",
        "train2017/000000000025/0",
    ]
    assert [still.category for still in stills] == ["person", "toothbrush", "person"]
    assert [bool(still.visible[0]) for still in stills] == [True, True, False]
    np.testing.assert_array_equal(stills[0].boxes[0], (10, 12, 20.5, 16))


def test_youtube_bb_turns_shares_into_pixels_and_leaves_out_what_was_not_fetched(tmp_path: Path) -> None:
    first, second = read(trees.youtube_bb(tmp_path), "train", "yt_bb_detection_train")
    assert first.frames.tolist() == [1, 2, 3]
    assert first.visible.tolist() == [True, False, True]
    # 0.25..0.5 of 64 px, 0.125..0.375 of 48 px: both x come before both y.
    np.testing.assert_array_equal(first.boxes[0], (16, 6, 16, 12))
    assert first.scene == second.scene == "youtube/A_b-C"
    assert second.visible.tolist() == [False, False, False]  # 0.5..0.5 has no width


def test_otb_reads_every_separator_both_targets_and_the_special_ranges(tmp_path: Path) -> None:
    trees.otb(tmp_path)
    for name in ("Basketball", "Boy", "Human4"):
        np.testing.assert_array_equal(one(tmp_path, "otb100", name).boxes, trees.moving(3))
    first, second = one(tmp_path, "otb100", "Jogging.1"), one(tmp_path, "otb100", "Jogging.2")
    assert first.scene == second.scene
    np.testing.assert_array_equal(second.boxes[0], (40, 8, 9, 9))
    assert one(tmp_path, "otb2013", "David").frames.tolist() == [300, 301, 770]
    layout = only(tmp_path).layout
    assert {split: len(layout.sequences(tmp_path, split)) for split in layout.splits} == {
        "otb100": 100,
        "otb50": 50,
        "otb2013": 51,
    }


def test_uav123_cuts_its_sequence_out_of_the_shared_folder_and_nan_means_out_of_view(tmp_path: Path) -> None:
    track = one(trees.uav123(tmp_path), "uav123", "person8_2")
    assert (track.frames[0], track.frames[-1], len(track)) == (1075, 1525, 451)
    assert track.visible[:3].tolist() == [True, False, True]
    assert track.scene == "uav123/person8"
    with pytest.raises(DataInvalid, match="bike1: cannot be listed"):
        read(tmp_path, "uav20l", "bike1")


@pytest.mark.parametrize("split", ["uav123", "uav20l"])
def test_our_table_of_uav123_has_the_published_number_of_sequences_and_frames(split: str) -> None:
    layout = next(layout for layout in LAYOUTS if layout.name == "uav123")
    table = read_table(f"{split}.txt")
    published = layout.splits[split]
    assert len(table) == published.sequences
    assert sum(int(last) - int(first) + 1 for _, _, first, last in table) == published.frames


def test_vot_keeps_polygons_beside_the_boxes_around_them(tmp_path: Path) -> None:
    found = only(trees.vot(tmp_path))
    assert found.layout.present(tmp_path) == ["vot2018"]
    ants, conduction = (one(tmp_path, "vot2018", name) for name in ("ants3", "conduction1"))
    assert ants.polygons is not None
    np.testing.assert_array_equal(ants.polygons[0], (12, 10, 30, 14, 28, 26, 10, 22))
    np.testing.assert_array_equal(ants.boxes[0], (10, 10, 20, 16))
    assert conduction.polygons is None
    np.testing.assert_array_equal(conduction.boxes[0], (10, 10, 20, 16))


def test_tags_of_vot_may_end_early_or_late(tmp_path: Path) -> None:
    tags = read_tags(trees.vot(tmp_path) / "ants3", 3)
    assert tags["occlusion"].tolist() == [False, True, False]
    assert tags["camera_motion"].tolist() == [True, True, True]
    assert not tags["size_change"].any()


def test_davis_reads_palette_numbers_without_void_and_2016_as_one_object(tmp_path: Path) -> None:
    bear, second = read(trees.davis(tmp_path), "2017-train", "bear")
    np.testing.assert_array_equal(bear.boxes, [(10, 12, 20, 16)] * 3)
    assert second.visible.tolist() == [False, True, True]
    np.testing.assert_array_equal(second.boxes[1], (40, 30, 1, 5))
    single = one(tmp_path, "2016-train", "bear")
    np.testing.assert_array_equal(single.boxes, [(10, 12, 20, 16)] * 3)


def test_davis_2016_counts_all_objects_of_the_masks_of_2017_as_one(tmp_path: Path) -> None:
    trees.davis(tmp_path)
    for path in (tmp_path / "Annotations/480p_2016/bear").iterdir():
        path.unlink()
    (tmp_path / "Annotations/480p_2016/bear").rmdir()
    (tmp_path / "Annotations/480p_2016").rmdir()
    track = one(tmp_path, "2016-train", "bear")
    np.testing.assert_array_equal(track.boxes[1], (10, 12, 31, 23))
