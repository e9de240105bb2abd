"""Sessions as bytes: whoever reads them goes on as if nothing had happened, or says that they are no good."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import pytest

from models.package import load_tracker
from models.presence import State
from models.spec import MemorySpec, SecondTemplateSpec
from models.tracker import Tracker
from service.engine.decoding import HostDecoder
from service.engine.models import Model
from service.engine.session import Session
from service.engine.snapshots import (
    MAX_BYTES,
    VERSION,
    SnapshotOfOtherVersion,
    SnapshotUnreadable,
    captured,
    packed,
    restore,
    revived,
    unpacked,
)
from service.engine.steps import Stepper
from service.protocol.requests import CreateRequest, TargetRequest
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing

DRAWING = Drawing()
FILES = list(DRAWING.jpegs(24))
BOXES = [list(DRAWING.box(0).xywh()), [200.0, 100.0, 50.0, 40.0]]
HALF = 10
ROOT = Path(__file__).parents[3]

Boxes = list[tuple[float, ...]]


def made(tracker: Tracker, *targets: TargetRequest, name: str = "ses_1") -> Session:
    """A session of that tracker's."""
    model = Model("m", tracker, Stepper(tracker, HostDecoder()), Metrics().tally("m"), digest="d")
    create = CreateRequest(targets=list(targets), label="door", metadata={"camera": 3})
    return Session(name, create, model, LimitSettings(), lambda _session: None, 0.0, owner="me")


def followed(session: Session, files: list[bytes]) -> Boxes:
    """Boxes of all targets in these frames."""
    boxes: Boxes = []
    for file in files:
        session.receive(file, 0.0)
        job = session.take(0.0)
        assert job is not None
        (outcome,) = session.model.stepper.run([job])
        session.finish(outcome, 0.0)
        boxes += [entry.target.box.xywh() for entry in session.followed.values() if entry.target is not None]
    return boxes


def saved(session: Session) -> bytes:
    """What a store gets of it."""
    return packed(captured(session, 0.0))


def loaded(data: bytes, tracker: Tracker) -> Session:
    """The session of a snapshot."""
    snapshot = unpacked(data)
    session = made(tracker)
    restore(session, snapshot, revived(snapshot, tracker))
    return session


def two() -> list[TargetRequest]:
    """Two targets, as a create names them."""
    return [TargetRequest(id=name, label=name.upper(), box=box) for name, box in zip("ab", BOXES, strict=True)]


def remembering() -> Tracker:
    """A tracker that renews its templates."""
    dummy = load_tracker("dummy")
    return Tracker(replace(dummy.spec, memory=MemorySpec(length=3, interval=4, share=0.5)), dummy.runtime)


def twofold() -> Tracker:
    """A tracker with a second template."""
    dummy = load_tracker("dummy")
    return Tracker(
        replace(dummy.spec, second_template=SecondTemplateSpec(background=0.4, agreement=0.5)), dummy.runtime
    )


@pytest.mark.parametrize(
    "tracker", [load_tracker("dummy"), twofold(), remembering()], ids=["one template", "two", "several"]
)
def test_a_restored_session_goes_on_with_the_very_boxes_of_one_that_was_never_interrupted(tracker: Tracker) -> None:
    whole = made(tracker, *two())
    expected = followed(whole, FILES)
    broken = made(tracker, *two())
    before = followed(broken, FILES[:HALF])
    session = loaded(saved(broken), tracker)
    assert before + followed(session, FILES[HALF:]) == expected
    assert session.counters.view() == whole.counters.view()
    assert session.target_views() == whole.target_views()


@pytest.mark.parametrize(("before", "after"), [(load_tracker("dummy"), twofold()), (twofold(), load_tracker("dummy"))])
def test_a_session_goes_on_where_its_model_has_another_number_of_templates(before: Tracker, after: Tracker) -> None:
    session = made(before, *two())
    expected = followed(session, FILES[:HALF])[-2:]
    restored = loaded(saved(session), after)
    targets = [entry.target for entry in restored.followed.values()]
    assert [target.box.xywh() for target in targets if target is not None] == expected
    assert all(target.shape is not None for target in targets if target is not None)
    assert len(followed(restored, FILES[HALF:])) == 2 * len(FILES[HALF:])


def test_a_network_in_a_fresh_process_goes_on_with_the_very_same_boxes(tmp_path: Path) -> None:
    tracker = load_tracker("siamfcpp_light")
    expected = followed(made(tracker, *two()), FILES[: HALF + 3])[2 * HALF :]
    broken = made(tracker, *two())
    followed(broken, FILES[:HALF])
    path = tmp_path / "snapshot"
    path.write_bytes(saved(broken))
    code = (
        "import json, sys, pathlib; from tests.unit.service.test_snapshots import *;"
        "session = loaded(pathlib.Path(sys.argv[1]).read_bytes(), load_tracker('siamfcpp_light'));"
        "print(json.dumps(followed(session, FILES[HALF:HALF + 3])))"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, cwd=ROOT, check=True)
    assert [tuple(box) for box in json.loads(run.stdout)] == expected


def test_what_was_asked_for_counted_and_lost_is_kept() -> None:
    session = made(load_tracker("dummy"), *two())
    followed(session, FILES[:3])
    session.receive(b"not an image", 0.0)
    entry = session.followed["a"]
    entry.state, entry.lost_since_s = State.LOST, -5.0
    again = loaded(saved(session), session.model.tracker)
    assert (again.request.label, again.request.metadata) == ("door", {"camera": 3})
    assert again.counters.view() == session.counters.view()
    assert (again.last_seq, again.followed["a"].label, again.followed["a"].state) == (3, "A", State.LOST)
    since_s = again.followed["a"].lost_since_s
    assert since_s is not None
    assert perf_counter() - since_s == pytest.approx(5, abs=1)


def test_a_session_that_had_no_frame_yet_still_has_its_targets_to_start() -> None:
    snapshot = unpacked(saved(made(load_tracker("dummy"), *two())))
    assert [target.id for target in snapshot.request.targets] == ["a", "b"]
    assert snapshot.record["last_seq"] == -1


def _changed(data: bytes, **fields: Any) -> bytes:
    """The snapshot with other fields, and the checksum that fits."""
    record = msgspec.msgpack.decode(data[10:]) | fields
    body = msgspec.msgpack.encode(record)
    return struct.pack("<4sHI", b"LKSN", 1, zlib.crc32(body)) + body


def test_what_a_later_release_adds_is_left_out() -> None:
    tracker = load_tracker("dummy")
    session = made(tracker, *two())
    followed(session, FILES[:2])
    data = saved(session)
    record = msgspec.msgpack.decode(data[10:])
    record["targets"][0]["tracker"]["mood"] = "good"
    record["targets"][1]["state"] = "daydreaming"
    request = record["request"] | {"sound": True, "result": record["request"]["result"] | {"smell": True}}
    drops, rejections = record["drops"] | {"bored": 1}, record["rejections"] | {"ugly": 1}
    changed = {"request": request, "targets": record["targets"], "drops": drops, "rejections": rejections}
    again = loaded(_changed(data, **changed, weather="fine"), tracker)
    assert [entry.state for entry in again.followed.values()] == [State.TRACKING, State.UNCERTAIN]
    assert again.counters.view() == session.counters.view()
    assert followed(again, FILES[2:4]) == followed(session, FILES[2:4])


def test_what_an_earlier_release_did_not_save_is_as_in_a_new_session() -> None:
    tracker = load_tracker("dummy")
    session = made(tracker, *two())
    followed(session, FILES[:2])
    data = saved(session)
    record = msgspec.msgpack.decode(data[10:])
    for name in record.keys() - {"id", "owner", "model", "request", "epoch", "last_seq", "targets"}:
        del record[name]
    for target in record["targets"]:
        del target["label"], target["lost_for_s"]
    record["request"] = {"mode": "latest"}
    body = msgspec.msgpack.encode(record)
    again = loaded(struct.pack("<4sHI", b"LKSN", VERSION, zlib.crc32(body)) + body, tracker)
    assert (again.last_seq, again.counters.received, again.followed["a"].label) == (2, 0, None)
    assert followed(again, FILES[2:4]) == followed(session, FILES[2:4])


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
def test_a_snapshot_of_another_version_is_for_servers_of_that_version(version: int) -> None:
    data = saved(made(load_tracker("dummy")))
    with pytest.raises(SnapshotOfOtherVersion, match=f"of version {version}; this server reads {VERSION}"):
        unpacked(struct.pack("<4sH", b"LKSN", version) + data[6:])


def test_damaged_foreign_and_endless_bytes_are_no_snapshots() -> None:
    tracker = load_tracker("dummy")
    session = made(tracker, *two())
    followed(session, FILES[:1])
    good = saved(session)
    flipped = bytes([*good[:200], good[200] ^ 1, *good[201:]])
    older = struct.pack("<4sH", b"LKSN", 0) + good[6:]
    for data in (b"", good[:9], good[:-1], flipped, older, b"XXXX" + good[4:], good + bytes(MAX_BYTES)):
        with pytest.raises(SnapshotUnreadable):
            unpacked(data)
    for field in ({"request": {"mode": "never"}}, {"request": 1}, {"model": 1, "id": None, "request": None}):
        with pytest.raises(SnapshotUnreadable):
            unpacked(_changed(good, **field))
    record = msgspec.msgpack.decode(good[10:])
    del record["epoch"]
    body = msgspec.msgpack.encode(record)
    with pytest.raises(SnapshotUnreadable, match="lacks epoch"):
        unpacked(struct.pack("<4sHI", b"LKSN", 1, zlib.crc32(body)) + body)
    record = record["targets"][0]
    small = {"shape": [2, 2, 3], "dtype": "|u1", "data": bytes(12)}
    for target in (record | {"crops": [small]}, record | {"order": [7]}, record | {"tracker": {}}, {"id": "a"}):
        with pytest.raises(SnapshotUnreadable):
            revived(unpacked(_changed(good, targets=[target])), tracker)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_changed_in_a_snapshot_is_noticed(seed: int) -> None:
    session = made(load_tracker("dummy"), *two())
    followed(session, FILES[:1])
    data = bytearray(saved(session))
    rng = np.random.default_rng(seed)
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    with pytest.raises(SnapshotUnreadable):
        unpacked(bytes(data))


def test_a_snapshot_of_a_target_takes_no_more_than_its_template() -> None:
    session = made(load_tracker("siamfcpp_light"), two()[0])
    followed(session, FILES[:1])
    assert len(saved(session)) < 64 * 1024
