"""Running a benchmark: protocols, files, what is done before, many processes; and what is made of the results."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from models.geometry import Box, Size
from models.presence import State
from models.runtimes.base import ByteArray
from models.target import check_box
from tests import trees
from tests.drawing import Drawing
from training.benchmarks.page import draw_worst, write_page
from training.benchmarks.protocols import run_protocol
from training.benchmarks.report import draw_plot, plots_of, to_json
from training.benchmarks.results import read_regions, result_files, write_archive
from training.benchmarks.running import MARK, BenchmarkRun, RunRefused, open_model, run_benchmark
from training.benchmarks.scoring import score_benchmark
from training.benchmarks.sequences import BENCHMARKS, BenchmarkSequence, Protocol, read_benchmark
from training.datasets.tracks import DataInvalid
from training.evaluation.ope import Answer

DRAWING = Drawing(width=160, height=120, side=24)


class Drifts:
    """Follows the drawing for `good` frames after each start, and then looks elsewhere."""

    def __init__(self, good: int) -> None:
        self._good = good
        self.starts: list[Box] = []
        self.times_s: list[float] = []

    def start(self, frame: ByteArray, box: Box) -> None:
        self.starts.append(box)
        self._box, self._followed = box, 0

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        self._followed += 1
        self.times_s.append(time_s)
        x = self._box.x + DRAWING.speed_x * self._followed
        away = Box(0, 100, 10, 10)
        box = Box(x, self._box.y, self._box.w, self._box.h) if self._followed <= self._good else away
        return Answer(box, 0.9 - self._followed / 100, State.TRACKING)


class Picky(Drifts):
    """Takes the boxes that our trackers take."""

    def start(self, frame: ByteArray, box: Box) -> None:
        check_box(box, Size(frame.shape[1], frame.shape[0]))
        super().start(frame, box)


def drawn(folder: Path, *names: str, count: int = 20) -> list[BenchmarkSequence]:
    for name in names:
        DRAWING.write_sequence(folder / name, count)
    return read_benchmark(BENCHMARKS["folder"], folder)[1]


def as_vot(sequence: BenchmarkSequence, root: Path) -> list[BenchmarkSequence]:
    """The same film in VOT's layout."""
    folder = root / "ants3"
    for index, path in enumerate(sequence.frame_paths):
        target = folder / "color" / f"{index + 1:08d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    trees.text(folder / "groundtruth.txt", trees.rows(sequence.truth.tolist()))
    trees.text(folder / "occlusion.tag", "0\n" * 10 + "1\n" * 10)
    trees.text(root / "list.txt", "ants3\n")
    return read_benchmark(BENCHMARKS["vot2018"], root)[1]


def test_a_supervised_run_starts_anew_five_frames_after_a_failure(tmp_path: Path) -> None:
    (sequence,) = as_vot(drawn(tmp_path / "plain", "square")[0], tmp_path / "vot")
    tracker = Drifts(good=4)
    outcome = run_protocol(Protocol.SUPERVISED, tracker, sequence)
    codes = [int(region[0]) if len(region) == 1 else -1 for region in outcome.trajectory]
    assert codes == [1, *[-1] * 4, 2, 0, 0, 0, 0] * 2
    assert tracker.starts == [DRAWING.box(0), DRAWING.box(10)]
    assert tracker.times_s == [step / 25 for step in range(1, 6)] * 2, "times count from each start"
    assert np.isnan(outcome.confidences[[0, 6, 10]]).all()
    assert (outcome.times_s[6:10] == 0).all()


def test_long_term_results_have_a_confidence_for_each_frame_but_the_first(tmp_path: Path) -> None:
    sequences = as_vot(drawn(tmp_path / "plain", "square")[0], tmp_path / "vot")
    run = BenchmarkRun(BENCHMARKS["votlt"], sequences, tmp_path / "out", "drifts")
    assert run_benchmark(run, partial(Drifts, 30), 1) == 1
    files = result_files(BENCHMARKS["votlt"], tmp_path / "out", "ants3")
    assert files.boxes == tmp_path / "out/longterm/ants3/ants3_001.txt"
    assert files.boxes.read_text().startswith("1\n")
    assert files.confidences is not None
    assert files.confidences.read_text().splitlines()[:3] == ["", "0.890000", "0.880000"]
    scores = score_benchmark(BENCHMARKS["votlt"], sequences, tmp_path / "out", "drifts")
    assert scores is not None
    assert scores.overall["vot.f_score"] == pytest.approx(scores.overall["pysot.f_score"], abs=0.05)
    # Tags are those that the sequences have files of; the only sequence has one of them.
    assert list(scores.attributes) == ["occlusion"]
    assert scores.attributes["occlusion"] == {"sequences": 1, **scores.sequences["ants3"]}


def test_got10k_is_scored_by_labels_of_frames_and_of_sequences(tmp_path: Path) -> None:
    names = ("a", "b")
    shown = np.arange(20) % 4 > 0
    labels = {"cut_by_image": np.arange(20) < 6, "partly_covered": np.zeros(20, np.bool_)}
    sequences = [
        replace(each, visible=shown, tags=labels, attributes=frozenset({f"root_class: {each.name}"}))
        for each in drawn(tmp_path / "data", *names)
    ]
    run = BenchmarkRun(BENCHMARKS["got10k"], sequences, tmp_path / "out", "drifts")
    run_benchmark(run, partial(Drifts, 10), 1)
    scores = score_benchmark(run.benchmark, sequences, run.folder, "drifts")
    assert scores is not None
    assert set(scores.attributes) == {"cut_by_image", "root_class: a", "root_class: b"}
    cut = scores.attributes["cut_by_image"]
    assert (cut["frames"], cut["got10k.sr50"]) == (2 * 4, 1.0), "frames 1, 2, 3 and 5 of each"
    assert scores.attributes["root_class: a"] == {"frames": 15, **scores.sequences["a"]}


def test_what_has_results_is_not_run_again_and_folders_are_not_shared(tmp_path: Path) -> None:
    sequences = drawn(tmp_path / "data", "a", "b", "c", count=6)
    run = BenchmarkRun(BENCHMARKS["folder"], sequences, tmp_path / "out", "drifts")
    told: list[str] = []
    assert run_benchmark(run, partial(Drifts, 9), 1, told.append) == 3
    kept = (tmp_path / "out" / "a.txt").read_bytes()
    (tmp_path / "out" / "b.txt").unlink()
    assert run_benchmark(run, partial(Drifts, 2), 1, told.append) == 1
    assert told[-1] == "b"
    assert (tmp_path / "out" / "a.txt").read_bytes() == kept
    with pytest.raises(RunRefused, match="holds results of"):
        run_benchmark(BenchmarkRun(run.benchmark, sequences, run.folder, "other"), partial(Drifts, 9), 1)


def test_results_of_other_data_are_not_taken_as_done(tmp_path: Path) -> None:
    sequences = drawn(tmp_path / "data", "a", "b", count=6)
    run = BenchmarkRun(BENCHMARKS["folder"], sequences, tmp_path / "out", "drifts")
    run_benchmark(run, partial(Drifts, 9), 1)
    moved = replace(sequences[0], regions=(sequences[0].regions[0] + 1, *sequences[0].regions[1:]))
    renamed = replace(sequences[0], frame_paths=(Path("other.png"), *sequences[0].frame_paths[1:]))
    elsewhere = replace(
        sequences[0], frame_paths=tuple(Path("/moved") / path.name for path in sequences[0].frame_paths)
    )
    for other in (moved, renamed, replace(sequences[0], fps=10.0)):
        with pytest.raises(RunRefused, match=r"a\.txt: is of other data"):
            run_benchmark(replace(run, sequences=[other]), partial(Drifts, 9), 1)
    assert run_benchmark(replace(run, sequences=[elsewhere]), partial(Drifts, 9), 1) == 0
    result_files(run.benchmark, run.folder, "a").boxes.unlink()
    assert run_benchmark(replace(run, sequences=[moved]), partial(Drifts, 9), 1) == 1
    with pytest.raises(RunRefused, match="other data"):
        run_benchmark(run, partial(Drifts, 9), 1)


def test_results_of_a_version_that_noted_nothing_of_the_data_go_on(tmp_path: Path) -> None:
    run = BenchmarkRun(BENCHMARKS["folder"], drawn(tmp_path / "data", "a", "b", count=6), tmp_path / "out", "drifts")
    run_benchmark(run, partial(Drifts, 9), 1)
    mark = run.folder / MARK
    kept = mark.read_text()
    mark.write_text('{"benchmark": "folder", "tracker": "drifts"}')
    assert run_benchmark(run, partial(Drifts, 9), 1) == 0
    assert mark.read_text() == kept, "from here on it is noted"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"data": 1}'])
def test_a_broken_mark_is_named(tmp_path: Path, content: str) -> None:
    run = BenchmarkRun(BENCHMARKS["folder"], [], tmp_path, "drifts")
    (tmp_path / MARK).write_text(content)
    with pytest.raises(RunRefused, match=r"run\.json: is no .*; remove it"):
        run_benchmark(run, partial(Drifts, 9), 1)


def test_processes_give_what_one_gives(tmp_path: Path) -> None:
    sequences = drawn(tmp_path / "data", "a", "b", "c", count=6)
    for jobs in (1, 2):
        run = BenchmarkRun(BENCHMARKS["folder"], sequences, tmp_path / str(jobs), "dummy")
        assert run_benchmark(run, partial(open_model, "dummy"), jobs) == 3
    for name in "abc":
        alone, together = (tmp_path / str(jobs) / f"{name}.txt" for jobs in (1, 2))
        assert alone.read_bytes() == together.read_bytes()


def test_scores_report_and_page_tell_the_same(tmp_path: Path) -> None:
    sequences = drawn(tmp_path / "data", "good", "bad", count=20)
    benchmark, folder = BENCHMARKS["folder"], tmp_path / "out"
    run_benchmark(BenchmarkRun(benchmark, sequences[1:], folder, "drifts"), partial(Drifts, 30), 1)
    run_benchmark(BenchmarkRun(benchmark, sequences[:1], folder, "drifts"), partial(Drifts, 3), 1)
    scores = score_benchmark(benchmark, sequences, folder, "drifts")
    assert scores is not None
    assert scores.worst == ["bad", "good"]
    overall = json.loads(json.dumps(to_json("folder", "", [scores]), allow_nan=False))["trackers"]["drifts"]["overall"]
    mean = np.mean([scores.sequences[name]["pysot.success"] for name in ("good", "bad")])
    assert overall["pysot.success"] == pytest.approx(mean)
    pictures = []
    for plot in plots_of([scores]):
        pictures.append(tmp_path / f"{plot.name}.png")
        draw_plot(plot, pictures[-1])
        assert plot.scores["drifts"] == overall[f"pysot.{plot.name}"]
    results = {each.name: read_regions(result_files(benchmark, folder, each.name), each) for each in sequences}
    write_page(tmp_path / "page.html", "<drifts>", [scores], pictures, draw_worst(scores, sequences, results))
    page = (tmp_path / "page.html").read_text()
    assert "&lt;drifts&gt;" in page
    assert page.count("data:image/png") == 3
    assert page.count("data:image/jpeg") == 12
    assert page.index("<h3>bad") < page.index("<h3>good")


def test_supervised_scores_are_told_by_sequence_and_tag(tmp_path: Path) -> None:
    sequences = as_vot(drawn(tmp_path / "plain", "square", count=150)[0], tmp_path / "vot")
    run_benchmark(BenchmarkRun(BENCHMARKS["vot2018"], sequences, tmp_path / "out", "drifts"), partial(Drifts, 300), 1)
    scores = score_benchmark(BENCHMARKS["vot2018"], sequences, tmp_path / "out", "drifts")
    assert scores is not None
    assert scores.overall["failures"] >= 1, "the drawing turns round at the edge, the tracker does not"
    assert 0 < scores.overall["pysot.eao"] < 1
    assert set(scores.attributes) == {"occlusion"}
    json.dumps(to_json("vot2018", "vot2018", [scores]), allow_nan=False)


def test_archives_are_laid_out_for_their_servers_and_never_incomplete(tmp_path: Path) -> None:
    for name, tree, inside in (
        ("trackingnet", trees.trackingnet, ["xyz_1.txt"]),
        ("got10k", trees.got10k, [f"GOT-10k_Test_000001/GOT-10k_Test_000001_{end}.txt" for end in ("001", "time")]),
    ):
        benchmark, folder, archive = BENCHMARKS[name], tmp_path / name / "out", tmp_path / f"{name}.zip"
        _, sequences = read_benchmark(benchmark, tree(tmp_path / name / "data"))
        with pytest.raises(DataInvalid, match="is missing"):
            write_archive(benchmark, folder, sequences, archive)
        assert not archive.exists()
        run_benchmark(BenchmarkRun(benchmark, sequences, folder, "drifts"), partial(Drifts, 9), 1)
        write_archive(benchmark, folder, sequences, archive)
        with zipfile.ZipFile(archive) as packed:
            assert packed.namelist() == inside
            assert packed.read(inside[0]).decode().splitlines()[0] == "10.0000,12.0000,20.0000,16.0000"
        assert score_benchmark(benchmark, sequences, folder, "drifts") is None


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("GOT-10k_Test_000001_001.txt", "1,2,3,4\n", r"001\.txt: 1 results for 3 frames"),
        ("GOT-10k_Test_000001_001.txt", "1,2,3,4\nnan,2,3,4\n1,2,3,4\n", "line 2: is no box of four finite numbers"),
        ("GOT-10k_Test_000001_001.txt", "1,2,3,4\n1,2,3,4\n1,2,inf,4\n", "line 3: is no box of four finite numbers"),
        ("GOT-10k_Test_000001_time.txt", "0.1\n0.1\n", r"time\.txt: 2 times for 3 frames"),
        ("GOT-10k_Test_000001_time.txt", "0.1\nsoon\n0.1\n", "line 2: 'soon' is no number of seconds"),
        ("GOT-10k_Test_000001_time.txt", "0.1\n0.1\n-1\n", "line 3: '-1' is no number of seconds from 0 on"),
    ],
)
def test_results_that_a_server_would_score_as_nothing_are_not_packed(
    tmp_path: Path, name: str, lines: str, words: str
) -> None:
    benchmark, folder, archive = BENCHMARKS["got10k"], tmp_path / "out", tmp_path / "got10k.zip"
    _, sequences = read_benchmark(benchmark, trees.got10k(tmp_path / "data"))
    run_benchmark(BenchmarkRun(benchmark, sequences, folder, "drifts"), partial(Drifts, 9), 1)
    trees.text(folder / "GOT-10k_Test_000001" / name, lines)
    with pytest.raises(DataInvalid, match=words):
        write_archive(benchmark, folder, sequences, archive)
    assert not archive.exists()


def test_results_that_do_not_fit_are_named(tmp_path: Path) -> None:
    sequences = drawn(tmp_path / "data", "a", count=6)
    benchmark, folder = BENCHMARKS["folder"], tmp_path / "out"
    trees.text(folder / "a.txt", "1,2,3,4\n" * 5)
    with pytest.raises(DataInvalid, match=r"a\.txt: 5 results for 6 frames"):
        score_benchmark(benchmark, sequences, folder, "x")
    trees.text(folder / "a.txt", "1,2,3,4\n" * 5 + "2\n")
    with pytest.raises(DataInvalid, match=r"a\.txt, line 6: is no box"):
        score_benchmark(benchmark, sequences, folder, "x")


def test_a_box_that_no_tracker_starts_with_is_named_by_sequence_and_frame(tmp_path: Path) -> None:
    (plain,) = drawn(tmp_path / "plain", "square")
    small = np.array([10.0, 10.0, 3.0, 3.0])
    words = r"square, frame 1: no tracker can start with its box: w is 3 px; it must be at least 4 px"
    with pytest.raises(DataInvalid, match=words):
        run_protocol(Protocol.OPE, open_model("dummy"), replace(plain, regions=(small, *plain.regions[1:])))
    (film,) = as_vot(plain, tmp_path / "vot")
    regions = tuple(small if number == 10 else region for number, region in enumerate(film.regions))
    with pytest.raises(DataInvalid, match="ants3, frame 11: no tracker can start with its box"):
        run_protocol(Protocol.SUPERVISED, Picky(good=4), replace(film, regions=regions))


def test_a_film_whose_first_frame_has_no_box_is_refused(tmp_path: Path) -> None:
    (sequence,) = as_vot(drawn(tmp_path / "plain", "square")[0], tmp_path / "vot")
    path = tmp_path / "vot" / "ants3" / "groundtruth.txt"
    path.write_text("nan,nan,nan,nan\n" + path.read_text().partition("\n")[2])
    (sequence,) = read_benchmark(BENCHMARKS["votlt"], tmp_path / "vot")[1]
    with pytest.raises(DataInvalid, match="ants3, frame 1: has no true box"):
        run_protocol(Protocol.LONG_TERM, Drifts(3), sequence)
