"""Models that come and go: what is offered, what is refused, and what is left of one that has gone."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import CapturingLogger

from models.geometry import Box
from models.package import PackageInvalid, load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.dummy import DUMMY_SPEC, DummyRuntime
from models.runtimes.kinds import RuntimeUnavailable
from models.spec import LongTermSpec, LostSearch
from models.tracker import Tracker
from service.engine.batching import measured_curve
from service.engine.decoding import HostDecoder
from service.engine.models import (
    MAX_MODELS,
    AlreadyLoading,
    Loader,
    ModelIsDefault,
    ModelRefused,
    Models,
    ModelsFull,
    ModelState,
    UnknownModel,
    model_id,
)
from service.engine.steps import TimedRuntime
from service.engine.views import next_window
from service.protocol.header import Frame
from service.protocol.images import ImageHeader, ImageKind
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing
from tests.waiting import until


def _models(loader: Loader = lambda _: load_tracker("dummy"), folders: tuple[Path, ...] = ()) -> Models:
    return Models(loader, HostDecoder(), 2, folders, Metrics())


def _failing(error: Exception) -> Loader:
    def load(source: str) -> Tracker:
        if source == "bad":
            raise error
        return load_tracker("dummy")

    return load


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """What the models log."""
    logger = CapturingLogger()
    monkeypatch.setattr("service.engine.models._log", logger)
    return logger


def _refused(log: CapturingLogger) -> list[dict[str, Any]]:
    """The fields of the lines that tell of models that were not loaded."""
    return [call.kwargs for call in log.calls if call.kwargs["kind"] == "model_refused"]


async def test_the_first_model_is_the_default_until_another_is_loaded_as_such() -> None:
    models = _models()
    first, second = await models.load("first"), await models.load("folder/second")
    assert (models.chosen(None), models.chosen("second")) == (first, second)
    assert (await models.load("third", default=True)) is models.chosen(None)


@pytest.mark.parametrize(
    "error", [PackageInvalid("wrong sha256"), RuntimeUnavailable("no openvino"), RuntimeError("the graph's own error")]
)
async def test_a_model_that_cannot_be_loaded_is_refused_with_the_reason_and_nothing_changes(error: Exception) -> None:
    models = _models(_failing(error))
    first = await models.load("first")
    with pytest.raises(ModelRefused, match=str(error)):
        await models.load("bad", default=True)
    assert (models.all(), models.default, models.loading) == ([first], "first", None)
    await models.load("second")


async def test_one_model_is_loaded_at_a_time_and_the_loop_goes_on_meanwhile() -> None:
    gate = threading.Event()

    def load(_source: str) -> Tracker:
        assert gate.wait(20)
        return load_tracker("dummy")

    models = _models(load)
    first = asyncio.create_task(models.load("first"))
    await until(lambda: models.loading is not None)
    with pytest.raises(AlreadyLoading, match="first"):
        await models.load("second")
    assert models.all() == []
    gate.set()
    model = await first
    assert models.all() == [model]


async def test_there_are_never_more_models_than_the_metrics_have_labels_for() -> None:
    models = _models()
    for index in range(MAX_MODELS):
        await models.load(f"m{index}")
    with pytest.raises(ModelsFull, match=str(MAX_MODELS)):
        await models.load("one-more")
    models.retire("m1")
    with pytest.raises(ModelsFull):
        await models.load("one-more")
    models.release(())
    await models.load("one-more")


async def test_the_default_stays_until_there_is_another() -> None:
    models = _models()
    await models.load("first")
    with pytest.raises(ModelIsDefault):
        models.retire("first")
    await models.load("second", default=True)
    assert models.retire("first") is models.retire("first")
    with pytest.raises(UnknownModel, match="being retired"):
        models.chosen("first")
    with pytest.raises(UnknownModel, match="not loaded"):
        models.retire("third")


async def test_a_model_that_is_in_use_stays_in_memory_and_its_successor_has_its_name() -> None:
    models = _models()
    old = await models.load("m")
    new = await models.load("m")
    assert (models.chosen("m"), old.state, models.all()) == (new, ModelState.RETIRING, [new, old])
    models.release({old})
    assert models.all() == [new, old]
    gone = weakref.ref(old)
    models.release({new})
    del old
    gc.collect()
    assert (models.all(), gone()) == ([new], None)


async def test_the_series_of_a_model_end_with_the_last_model_of_its_name() -> None:
    metrics = Metrics()
    models = Models(lambda _: load_tracker("dummy"), HostDecoder(), 1, (), metrics)
    await models.load("default")
    for _ in range(2):
        tally = (await models.load("m")).tally
        tally.received(window=False)
        tally.processed(0.01)
        tally.moved("tracking", "lost")
        tally.ran(1)
    models.release(())
    text = metrics.exposition().decode()
    assert 'lockon_frames_received_total{kind="full",model="m"} 2.0' in text
    models.retire("m")
    models.release(())
    assert 'model="m"' not in metrics.exposition().decode()
    assert 'model="default"' in metrics.exposition().decode()


async def test_a_model_that_moved_is_loaded_by_its_name_from_where_it_is_now() -> None:
    models = _models()
    await models.load("old/first")
    await models.follow(["new/first"])
    assert models.source_of("first") == "new/first"


async def test_of_two_sources_with_one_name_the_first_is_followed_and_the_other_is_refused(
    log: CapturingLogger,
) -> None:
    loaded: list[str] = []

    def load(source: str) -> Tracker:
        loaded.append(source)
        return load_tracker("dummy")

    models = _models(load)
    await models.follow(["a/first", "b/first", "second"])
    assert loaded == ["a/first", "second"]
    assert models.default == "first"
    assert [each["reason"] for each in _refused(log)] == ["two models have the name first: a/first and b/first"]


async def test_a_package_whose_files_cannot_be_read_is_refused_and_the_others_are_followed(
    log: CapturingLogger,
) -> None:
    models = _models()
    await models.load("first")
    await models.follow(["first", "x" * 300, "second"])
    assert list(models.ready) == ["first", "second"]
    assert [each["model"] for each in _refused(log)] == ["x" * 300]


async def test_names_from_the_network_lead_into_the_folders_only(tmp_path: Path) -> None:
    for place in ("packages/mine", "elsewhere/other"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "model.json").write_text("{}")
    models = _models(folders=(tmp_path / "packages",))
    await models.load("somewhere/named")
    assert models.source_of("mine") == str(tmp_path / "packages" / "mine")
    assert models.source_of("dummy") == "dummy"
    assert models.source_of("named") == "somewhere/named", "the operator gave that folder"
    outside = str(tmp_path / "elsewhere" / "other")
    for name in ("other", outside, "../elsewhere/other", "mine/../../elsewhere/other", "./mine", ".", "..", "/", "\0"):
        with pytest.raises(UnknownModel, match=r"models\.folders"):
            models.source_of(name)


@pytest.mark.parametrize(
    ("source", "name"), [("nano", "nano"), ("a/nano", "nano"), ("/a/nano/", "nano"), ("/a/nano/x/..", "nano")]
)
def test_a_model_has_the_name_of_its_folder(source: str, name: str) -> None:
    assert model_id(source) == name


def test_a_model_may_be_served_from_the_folder_one_stands_in() -> None:
    assert model_id(".") == Path.cwd().name


class CountingRuntime(DummyRuntime):
    """Notes the sizes of the crops that it is asked to search."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        self.sizes.append(crops.shape[1])
        return super().search(features, crops, size, loop)


LONG_TERM = replace(
    DUMMY_SPEC,
    presence=replace(DUMMY_SPEC.presence, search=LostSearch.STAY),
    long_term=LongTermSpec(
        search_size=448, hold=0.3, found=0.5, window_influence=0.0, judges_ranking=False, free_place=False
    ),
)


def test_every_size_of_crops_is_searched_once_before_a_model_is_offered() -> None:
    runtime = CountingRuntime()
    measured_curve(Tracker(LONG_TERM, runtime), 1)
    assert runtime.sizes == [224, 448, 224, 224, 224]


def test_the_time_of_a_step_that_searches_twice_is_that_of_both_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count()
    monkeypatch.setattr("service.engine.steps.perf_counter", lambda: float(next(seconds)))
    inner = CountingRuntime()
    runtime = TimedRuntime(inner)
    tracker, drawing = Tracker(LONG_TERM, runtime), Drawing()
    targets = [tracker.start(drawing.frame(0), drawing.box(0)) for _ in range(2)]
    targets[1].lost = True
    runs = runtime.measured()
    tracker.step([(target, drawing.frame(1)) for target in targets])
    assert inner.sizes == [224, 448]
    assert runs.total_s == 2, "each search lasts from one look at the clock to the next"


def test_the_next_window_of_a_lost_target_is_asked_for_at_the_scale_it_is_looked_at() -> None:
    tracker, drawing = Tracker(LONG_TERM, DummyRuntime()), Drawing()
    frame = Frame(
        1, b"", ImageHeader(ImageKind.JPEG, 320, 240, 3), None, must_process=False, no_reply=False, received_s=0
    )
    target = tracker.start(drawing.frame(0), Box(40, 40, 120, 120))
    near = next_window(tracker, [target], frame)
    target.lost = True
    wide = next_window(tracker, [target], frame)
    assert wide["window"][2] >= near["window"][2]
    assert wide["max_scale"] == pytest.approx(near["max_scale"], abs=1e-3)
