"""Which sequences a benchmark has, and what is read of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import trees
from tests.drawing import Drawing
from training.benchmarks.sequences import BENCHMARKS, read_benchmark
from training.datasets.tracks import DataInvalid


def test_every_layout_is_read_as_its_toolkit_scores_it(tmp_path: Path) -> None:
    only = {"otb100": ["Basketball", "Jogging.2"], "lasot": ["airplane-1"], "uav123": ["person8_2"]}
    built = {"otb100": "otb", "uav123": "uav123", "trackingnet": "trackingnet", "vot2018": "vot", "got10k": "got10k"}
    for name, tree in built.items():
        root = trees.TREES[tree](tmp_path / name)
        split, sequences = read_benchmark(BENCHMARKS[name], root, None, only.get(name, ()))
        assert split == BENCHMARKS[name].splits[0]
        assert all(len(each) == len(each.truth) == len(each.regions) == len(each.visible) for each in sequences)
        assert sequences[0].size == (trees.WIDTH, trees.HEIGHT)
        assert sequences[0].frame(0).shape == (trees.HEIGHT, trees.WIDTH, 3)
        assert sequences[0].has_truth == (name not in ("trackingnet", "got10k"))
    polygons, boxes = read_benchmark(BENCHMARKS["vot2018"], tmp_path / "vot2018")[1]
    assert (len(polygons.regions[0]), len(boxes.regions[0])) == (8, 4)
    assert polygons.tags["occlusion"].tolist() == [False, True, False]


def test_two_sequences_of_one_name_are_refused(tmp_path: Path) -> None:
    root = trees.TREES["vot"](tmp_path)
    names = (root / "list.txt").read_text().split()
    (root / "list.txt").write_text("\n".join([*names, names[0]]) + "\n")
    with pytest.raises(DataInvalid, match=f"two sequences are named '{names[0]}'"):
        read_benchmark(BENCHMARKS["vot2018"], root)


def test_a_plain_folder_is_a_benchmark_with_attributes_of_its_own(tmp_path: Path) -> None:
    Drawing().write_sequence(tmp_path / "square", 4, absent=(2,))
    (tmp_path / "square" / "meta.json").write_text('{"fps": 10, "attributes": ["square"]}')
    _, (sequence,) = read_benchmark(BENCHMARKS["folder"], tmp_path)
    assert (sequence.fps, set(sequence.attributes), sequence.size) == (10, {"square"}, (320, 240))
    assert sequence.visible.tolist() == [True, True, False, True]
    assert len(sequence.regions[2]) == 1
    (tmp_path / "square" / "meta.json").write_text('{"attributes": "square"}')
    with pytest.raises(DataInvalid, match=r"meta\.json: attributes is no list"):
        read_benchmark(BENCHMARKS["folder"], tmp_path)


def test_attributes_come_from_the_data_sets_own_files(tmp_path: Path) -> None:
    root = trees.uav123(tmp_path)
    path = trees.text(root / "anno" / "UAV123" / "att" / "person8_2.txt", "1,0,0,1,0,0,0,0,0,0,0,1\n")
    _, (sequence,) = read_benchmark(BENCHMARKS["uav123"], root, None, ["person8_2"])
    assert sequence.attributes == {"SV", "FM", "SOB"}
    path.write_text("1,0\n")
    with pytest.raises(DataInvalid, match=r"person8_2\.txt: 2 flags; expected 12"):
        read_benchmark(BENCHMARKS["uav123"], root, None, ["person8_2"])
    path.write_text("1,0,yes\n")
    with pytest.raises(DataInvalid, match=r"person8_2\.txt: .*'yes'; expected 12 flags"):
        read_benchmark(BENCHMARKS["uav123"], root, None, ["person8_2"])
    otb = trees.otb(tmp_path / "otb")
    trees.text(otb / "anno" / "att" / "basketball.txt", "1,1,0,1,1,0,0,0,0,1,0")
    (basketball,) = read_benchmark(BENCHMARKS["otb100"], otb, None, ["Basketball"])[1]
    assert basketball.attributes == {"IV", "OPR", "OCC", "DEF", "BC"}


def test_got10k_scores_a_frame_by_its_cover_label_alone(tmp_path: Path) -> None:
    trees.got10k(tmp_path)
    (tmp_path / "train").rename(tmp_path / "val")
    for folder in (tmp_path / "val").glob("GOT-10k_Train_*"):
        folder.rename(folder.with_name(folder.name.replace("Train", "Val")))
    (tmp_path / "val" / "list.txt").write_text("GOT-10k_Val_000002\n")
    _, (sequence,) = read_benchmark(BENCHMARKS["got10k"], tmp_path, "val")
    assert sequence.visible.tolist() == [True, True, False, True, True]
    assert sequence.attributes == {"root_class: object", "motion_class: boat"}
    assert {name: flags.tolist() for name, flags in sequence.tags.items()} == {
        "cut_by_image": [False] * 5,
        "partly_covered": [False, False, False, False, True],
    }


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    root = trees.vot(tmp_path / "vot")
    for benchmark, split, only, told in (
        ("vot2019", None, (), "holds no VOT short-term, split vot2019 or vot"),
        ("vot2018", "vot", (), "split vot"),
        ("vot2018", "test", (), "has no split 'test'; it has vot2018, vot"),
        ("vot2018", None, ("bag",), "no sequence 'bag'; there are ants3, conduction1"),
    ):
        with pytest.raises(DataInvalid, match=told):
            read_benchmark(BENCHMARKS[benchmark], root, split, only)
    with pytest.raises(DataInvalid, match="no such folder"):
        read_benchmark(BENCHMARKS["otb100"], tmp_path / "gone")


def test_lasot_frames_flagged_as_hidden_are_not_visible(tmp_path: Path) -> None:
    _, (sequence,) = read_benchmark(BENCHMARKS["lasot"], trees.lasot(tmp_path), None, ["airplane-1"])
    assert sequence.visible.tolist() == [True, True, False, False]
    assert np.isfinite(sequence.truth).all()
