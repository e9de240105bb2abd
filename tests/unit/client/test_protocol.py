"""The client's protocol without sockets: bytes, messages, and how many frames may be on their way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lockon_client import errors, images, messages, protocol
from lockon_client.messages import Box, Credit, NextWindow, Result, State, Welcome
from lockon_client.windows import Placement

RESULT = {
    "type": "result", "seq": 7, "epoch": 1, "ts_us": 1000, "age_ms": 4.2, "dropped": 1, "dropped_total": 3,
    "targets": [{"id": "a", "box": [1, 2, 3, 4], "score": 0.9, "raw": 0.8, "state": "tracking", "lost_ms": None}],
    "next": {"full": False, "window": [16, 0, 64, 48], "max_scale": 0.8}, "fps": {"in": 30.0, "out": 29.5},
    "field_of_a_later_version": 1,
}  # fmt: skip


def test_the_header_equals_the_golden_bytes() -> None:
    frame = protocol.encode_frame(b"image", 1, 1_000_000, must_process=False)
    golden = "4c4b4f4e01000400010000000000000040420f00000000000000000000000000"
    assert frame[: protocol.HEADER_BYTES].hex() == golden
    assert frame[protocol.HEADER_BYTES :] == b"image"
    assert protocol.encode_frame(b"", 1, 0, must_process=True)[6] & 1


def test_the_header_of_a_window_says_where_it_lies() -> None:
    placement = Placement(282, 96, 320, 320, 1280, 720, 320, 320)
    window = protocol.encode_frame(b"image", 1234, 0, must_process=True, placement=placement)
    golden = "4c4b4f4e01010500d20400004001400100000000000000001a0160000005d002"
    assert window[: protocol.HEADER_BYTES].hex() == golden
    scaled = placement._replace(image_width=160, image_height=160)
    window = protocol.encode_frame(b"image", 1234, 0, must_process=True, placement=scaled)
    assert window[: protocol.HEADER_BYTES].hex() == golden.replace("0500d204", "0501d204")


def test_a_session_is_asked_for_with_no_more_than_is_wanted() -> None:
    plain = {"mode": "latest", "targets": [], "detached_ttl_s": 0}
    assert protocol.create_request(None, [], every=False) == plain
    wanted = protocol.create_request("m", [], every=False, cadence=4, thresholds=protocol.Thresholds(leave=0.25))
    assert wanted == plain | {"model": "m", "cadence": 4, "thresholds": {"leave": 0.25}}


@pytest.mark.parametrize("name", "xywh")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_box_with_a_number_that_json_has_not_is_refused_by_its_name(name: str, value: float) -> None:
    box = [value if name == one else 9.0 for one in "xywh"]
    with pytest.raises(ValueError, match=f"^{name} of a box .* got {value}$"):
        protocol.target_request(box)


def test_thresholds_of_another_type_are_refused_by_the_name_of_theirs() -> None:
    wrong: Any = {"leave": 0.3}
    with pytest.raises(TypeError, match=r"lockon_client\.Thresholds; got \{'leave': 0\.3\}"):
        protocol.create_request(None, [], every=False, thresholds=wrong)


def test_a_result_is_read_with_its_true_age() -> None:
    result = messages.parse(json.dumps(RESULT), now_us=6000, skipped=2)
    assert isinstance(result, Result)
    assert (result.seq, result.true_age_ms, result.skipped, result.fps_out) == (7, 5.0, 2, 29.5)
    assert result.targets[0].box == Box(1, 2, 3, 4)
    assert result.next == NextWindow(full=False, window=(16, 0, 64, 48), max_scale=0.8)


def test_a_result_without_targets_asks_for_a_whole_frame() -> None:
    empty = RESULT | {"targets": [], "next": {"full": True, "window": None, "max_scale": 1.0}}
    result = messages.parse(json.dumps(empty), 0, 0)
    assert isinstance(result, Result)
    assert result.next == NextWindow(full=True, window=None)


def test_an_unknown_state_reads_as_uncertain_and_an_unknown_type_as_nothing() -> None:
    strange = json.loads(json.dumps(RESULT))
    strange["targets"][0]["state"] = "dreaming"
    result = messages.parse(json.dumps(strange), 0, 0)
    assert isinstance(result, Result)
    assert result.targets[0].state is State.UNCERTAIN
    assert messages.parse('{"type":"news"}', 0, 0) is None


LATER = {"field_of_a_later_version": {"a": 1}}
CREDIT = {"frames": 4, "must": 8}
# Of an earlier server, and of this one with what a later one may add.
BOTH_WAYS = [
    (
        {"type": "welcome", "session": "s", "model": {"id": "m"}, "credit": CREDIT},
        {"epoch": 2, "mode": "every", "targets": [{"id": "a"} | LATER], "resume_token": "t", "resume_ttl_s": 9},
    ),
    ({"type": "error", "code": "c"}, {"detail": "d", "fatal": True, "stream_url": "/n/2", "retry_after_ms": 5}),
    (
        {"type": "goaway", "reason": "of a later version"},
        {"resume_token": "t", "reconnect_after_ms": [0, 5], "stream_url": "/n/2"},
    ),
    ({"type": "warning", "code": "of_a_later_version"}, {"detail": "d", "data": LATER}),
]


@pytest.mark.parametrize(("earlier", "added"), BOTH_WAYS)
def test_messages_of_earlier_and_of_later_servers_are_read(earlier: dict[str, Any], added: dict[str, Any]) -> None:
    old, new = (messages.parse(json.dumps(text), 0, 0) for text in (earlier, earlier | added | LATER))
    assert old is not None
    assert type(new) is type(old)
    assert new != old


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type":"result"}', '{"type":"ack","op":1'])
def test_what_breaks_the_protocol_closes_the_stream(text: str) -> None:
    with pytest.raises(errors.StreamClosed, match="protocol"):
        messages.parse(text, 0, 0)


def test_the_window_opens_when_results_are_read_and_passes_over_dropped_frames() -> None:
    window = protocol.FrameWindow(2)
    assert [window.sent(), window.sent()] == [1, 2]
    assert not window.has_room()
    assert window.has_room(given_up=1)
    assert window.answered(2) == (1,)
    assert window.unanswered == 0
    assert window.has_room()
    assert not window.expects(1)
    window.sent()
    assert not window.has_room(), "one result is unread and one frame unanswered"
    window.read()
    assert window.has_room()
    window.refused(3)
    assert window.unanswered == 0


def test_results_that_nobody_reads_hold_no_operation_back_however_many_come_in_a_row() -> None:
    window = protocol.FrameWindow(2)
    for _ in range(2):
        window.answered(window.sent())
    for op in ("op1", "op2", "op3"):
        assert not window.has_room()
        window.operation_begins(op)
        for _ in range(2):
            assert window.has_room(), op
            window.answered(window.sent())
        assert not window.has_room(), "results must not pile up without end"
        window.operation_ends(op)
    for _ in range(6):
        window.read()
    assert not window.has_room()
    window.read()
    assert window.has_room()


def test_an_operation_leaves_the_credit_of_the_server_as_it_is() -> None:
    window = protocol.FrameWindow(2)
    assert [window.sent(), window.sent()] == [1, 2]
    window.operation_begins("op1")
    assert not window.has_room()
    window.answered(1)
    assert window.has_room()


def test_the_window_is_as_large_as_the_server_says_and_forgets_what_gets_no_result() -> None:
    window = protocol.FrameWindow(4)
    assert [window.sent() for _ in range(4)] == [1, 2, 3, 4]
    window.size = 2
    window.done(2)
    assert (window.unanswered, window.has_room()) == (2, False)
    window.size = 3
    assert window.has_room()


def test_credit_comes_with_the_welcome_and_alone() -> None:
    welcome = {"type": "welcome", "session": "ses_1", "model": {"id": "m"}, "credit": {"frames": 4, "must": 8}}
    parsed = messages.parse(json.dumps(welcome), 0, 0)
    assert isinstance(parsed, Welcome)
    assert parsed.credit == Credit(4, 8)
    assert messages.parse('{"type":"credit","frames":2,"must":8,"done_seq":7}', 0, 0) == Credit(2, 8, 7)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1006, errors.StreamClosed), (4404, errors.NotFound), (4503, errors.Busy), (4999, errors.StreamClosed)],
)
def test_close_codes_become_errors(code: int, kind: type[errors.LockonError]) -> None:
    error = errors.from_close(code, "")
    assert type(error) is kind
    assert error.code == str(code)
    assert error.detail


def test_a_full_server_tells_when_to_come_back() -> None:
    error = errors.from_refusal(503, "no-capacity", "the server is full", 5.0)
    assert isinstance(error, errors.Busy)
    assert error.retry_after_s == 5.0


def test_only_images_are_sent() -> None:
    assert images.checked(b"\xff\xd8\xff....") == b"\xff\xd8\xff...."
    with pytest.raises(errors.FrameInvalid, match="JPEG"):
        images.checked(b"GIF89a")
    with pytest.raises(errors.FrameInvalid, match="str"):
        images.encoded("picture.jpg")
    with pytest.raises(ValueError, match="x, y, w, h"):
        protocol.target_request((1, 2, 3))
