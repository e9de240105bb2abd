"""What every reader says of a broken data set: the file, the line, and what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests import trees
from training.datasets.catalogue import LAYOUTS, Found
from training.datasets.checking import check
from training.datasets.tracks import DataInvalid

VIDEO = "ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
GOT10K = "train/GOT-10k_Train_000001"
LASOT = "airplane/airplane-2"
COCO = "annotations/instances_train2017.json"
NO_IMAGE = '{"images": [], "categories": [], "annotations": [{"id": 7, "image_id": 3, "iscrowd": 0}]}'


class Sequence(NamedTuple):
    """Layout, split and name."""

    layout: str
    split: str
    name: str


SEQUENCES = {
    "got10k": Sequence("got10k", "train", "GOT-10k_Train_000001"),
    "trackingnet": Sequence("trackingnet", "train_0", "-a_b_0"),
    "lasot": Sequence("lasot", "train", "airplane-2"),
    "vid": Sequence("ilsvrc_vid", "train", f"train/{VIDEO}"),
    "coco": Sequence("coco", "train", "train2017"),
    "human4": Sequence("otb", "otb100", "Human4"),
    "basketball": Sequence("otb", "otb100", "Basketball"),
    "uav123": Sequence("uav123", "uav123", "person8_2"),
    "vot": Sequence("vot", "vot2018", "ants3"),
    "davis": Sequence("davis", "2017-train", "bear"),
}
VID_XML = f"Annotations/VID/train/{VIDEO}/000001.xml"
VID_COPY = f"Annotations/VID/train/{VIDEO}/000000 (copy).xml"


@pytest.mark.parametrize(
    ("sequence", "file", "content", "message"),
    [
        ("got10k", f"{GOT10K}/groundtruth.txt", "1,2,3,4\n1,2,x,4\n", "line 2: '1,2,x,4'"),
        ("got10k", f"{GOT10K}/groundtruth.txt", "1,2,3,4\n\n1,2,3,4\n", "line 2: expected 4 numbers, got 0"),
        ("got10k", f"{GOT10K}/groundtruth.txt", "1,2,3,inf\n", "line 1: .* is not finite"),
        ("got10k", f"{GOT10K}/groundtruth.txt", None, r"groundtruth\.txt: cannot be read"),
        ("got10k", f"{GOT10K}/groundtruth.txt", "\n", r"groundtruth\.txt: is empty"),
        ("got10k", f"{GOT10K}/cover.label", "8\n8\n9\n8\n8\n", r"cover\.label, line 3: '9' is none of 0\.\.8"),
        ("got10k", f"{GOT10K}/absence.label", "0\n", "1 flags for 5 frames"),
        ("got10k", f"{GOT10K}/00000003.jpg", None, "5 boxes, but .* has 4 frames"),
        ("got10k", f"{GOT10K}/groundtruth.txt", "1,2,3,4\n", "1 flags for 5 frames|5 flags for 1 frames"),
        ("trackingnet", "TRAIN_0/anno/-a_b_0.txt", "1,2,3,4\n", "1 boxes, but .* has 11 frames"),
        ("lasot", f"{LASOT}/groundtruth.txt", "1,2,3,4\n", "4 flags for 1 frames"),
        ("uav123", "anno/UAV123/person8_2.txt", "1,2,3,4\n", "1 boxes, but .* frames"),
        ("vot", "ants3/groundtruth.txt", "1,2,3,4\n", "1 boxes, but .* has 3 frames"),
        ("trackingnet", "TRAIN_0/anno/-a_b_0.txt", "1,2,3\n", "line 1: expected 4 numbers, got 3"),
        ("trackingnet", "TRAIN_0/frames/-a_b_0/00.jpg", "", "frame 0 is there twice"),
        ("lasot", f"{LASOT}/out_of_view.txt", "0,0,2,0", r"line 1: '2' is none of 0\.\.1"),
        ("vid", VID_XML, "<annotation>\n<object>\n", r"000001\.xml, line 3"),
        ("vid", VID_XML, "<annotation><object><bndbox/></object></annotation>", "object 1 has no sound bndbox"),
        ("vid", VID_XML, "<!DOCTYPE a>\n<annotation/>", "document type"),
        ("vid", VID_COPY, "<annotation/>", r"000000 \(copy\)\.xml: the name is no frame number"),
        ("vid", f"Data/VID/train/{VIDEO}/000002.JPEG", None, r"000002\.JPEG: is missing \(1 of 5"),
        ("coco", COCO, '{"images": [],\n"annotations": }', "line 2"),
        ("coco", COCO, '{"images": []}', "lacks 'annotations'"),
        ("coco", COCO, NO_IMAGE, r"annotation 0 \(id 7\)"),
        ("human4", "Human4/groundtruth_rect.2.txt", "", r"groundtruth_rect\.2\.txt: is missing or empty"),
        ("basketball", "Basketball/img/cover.jpg", "", r"cover\.jpg: has no frame number"),
        ("uav123", "data_seq/UAV123/person8/001100.jpg", None, "frame 001100 is missing"),
        ("vot", "ants3/groundtruth.txt", "1,2,3,4,5,6,7,8\n1,2,3,4\n", "line 2: expected 8 numbers, got 4"),
        ("vot", "ants3/groundtruth.txt", "1,2,3,4,5,6\n", "line 1: expected 8 or 4 numbers, got 6"),
        ("davis", "Annotations/480p/bear/00000.png", None, r"00000\.png: is missing"),
        ("davis", "Annotations/480p/bear/00001.png", "no picture", "cannot be read as an image"),
    ],
)
def test_an_error_names_the_file_and_the_line(
    sequence: str, file: str, content: str | None, message: str, tmp_path: Path
) -> None:
    broken = SEQUENCES[sequence]
    root = trees.TREES[broken.layout](tmp_path)
    if content is None:
        (root / file).unlink()
    else:
        trees.text(root / file, content)
    with pytest.raises(DataInvalid, match=message) as caught:
        read(root, broken)
    assert re.search(re.escape(str(tmp_path)), str(caught.value))


@pytest.mark.parametrize(
    "missing",
    [
        Sequence("lasot", "train", "airplane-3"),
        Sequence("got10k", "train", "GOT-10k_Train_000003"),
        Sequence("ilsvrc_det", "train", "train/ILSVRC2014_train_0006"),
        Sequence("otb", "otb100", "Bolt"),
        Sequence("vot", "vot2018", "bag"),
    ],
)
def test_a_missing_sequence_is_named(missing: Sequence, tmp_path: Path) -> None:
    root = trees.TREES[missing.layout](tmp_path)
    with pytest.raises(DataInvalid, match=rf"{Path(missing.name).name}: is missing"):
        read(root, missing)


def test_empty_frames_of_youtube_bb_cost_no_more_than_themselves(tmp_path: Path) -> None:
    root = trees.youtube_bb(tmp_path)
    sequence = Sequence("youtube_bb", "train", "yt_bb_detection_train")
    (layout,) = (layout for layout in LAYOUTS if layout.name == "youtube_bb")
    whole, other = layout.tracks(root, *sequence[1:])
    frames = sorted((root / "yt_bb_detection_train/3").glob("*_3_0.jpg"))
    trees.text(frames[0], "")
    first, second = layout.tracks(root, *sequence[1:])
    np.testing.assert_array_equal(first.boxes, whole.boxes)
    np.testing.assert_array_equal(second.boxes, other.boxes)
    for frame in frames:
        trees.text(frame, "")
    first, second = layout.tracks(root, *sequence[1:])
    assert not first.visible.any()
    np.testing.assert_array_equal(second.boxes, other.boxes)
    (report, *_) = check(Found(layout, root))
    assert any("is visible in no frame" in problem for problem in report.problems)


def test_a_broken_row_of_youtube_bb_is_named(tmp_path: Path) -> None:
    good, bad = "a,1000,3,dog,0,present,0,1,0,1\n", "a,2000,3,dog,0,maybe,0,1,0,1\n"
    trees.text(tmp_path / "yt_bb_detection_train.csv", good + bad)
    with pytest.raises(DataInvalid, match=r"yt_bb_detection_train\.csv, line 2: expected 10 columns"):
        read(tmp_path, Sequence("youtube_bb", "train", "yt_bb_detection_train"))


def test_a_zip_that_was_not_unpacked_is_named(tmp_path: Path) -> None:
    root = trees.trackingnet(tmp_path)
    (root / "TRAIN_0" / "frames" / "-a_b_0").rename(tmp_path / "elsewhere")
    trees.text(root / "TRAIN_0" / "zips" / "-a_b_0.zip", "")
    with pytest.raises(DataInvalid, match=r"is missing; unpack .*-a_b_0\.zip"):
        read(root, SEQUENCES["trackingnet"])


def read(root: Path, sequence: Sequence) -> None:
    layout = next(layout for layout in LAYOUTS if layout.name == sequence.layout)
    list(layout.tracks(root, sequence.split, sequence.name))
