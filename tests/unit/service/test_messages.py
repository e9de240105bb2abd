"""Text messages: what is read, what is refused and where the refusal points."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.protocol.messages import Hello, MessageInvalid, TargetAdd, UnknownType, read_message
from service.protocol.strict_json import JsonRefused, parsed


def test_the_smallest_hello_is_complete() -> None:
    message = read_message('{"type":"hello","create":{"targets":[{"box":[10,20,30,40]}]}}')
    assert isinstance(message, Hello)
    assert message.create is not None
    assert (message.versions, message.create.mode) == ([1], "latest")
    assert message.create.targets[0].on_seq == "next"


def test_a_client_that_speaks_a_later_version_as_well_is_understood() -> None:
    message = read_message('{"type":"hello","versions":[2,1],"resume":{"token":"t"},"x_later":1}')
    assert isinstance(message, Hello)
    with pytest.raises(MessageInvalid, match="speaks 1"):
        read_message('{"type":"hello","versions":[2]}')


def test_an_operation_is_read() -> None:
    message = read_message('{"type":"target.add","op":"a","id":"cup","box":[1,2,3.5,4],"on_seq":7,"x_note":1}')
    assert isinstance(message, TargetAdd)
    assert (message.box, message.on_seq) == ([1, 2, 3.5, 4], 7)


@pytest.mark.parametrize(
    ("text", "code", "pointer", "op"),
    [
        ('{"type":"target.add","op":"a","box":[1,2,3]}', "bad_box", "/box", "a"),
        ('{"type":"target.add","op":"a","box":[1,2,3,true]}', "bad_box", "/box/3", "a"),
        ('{"type":"target.add","op":"a","box":[1,2,3,4],"on_seq":-1}', "not_allowed", "/on_seq", "a"),
        ('{"type":"target.add","op":"a","box":[1,2,3,4],"lable":""}', "unknown_field", "/lable", "a"),
        ('{"type":"targets.set","op":"a","targets":[{"box":[1]}]}', "bad_box", "/targets/0/box", "a"),
        ('{"type":"target.remove","id":"a"}', "not_allowed", "/op", None),
        ('{"type":"ping","n":"1"}', "not_allowed", "/n", None),
        ('{"type":"hello","resume":{}}', "not_allowed", "/resume/token", None),
        ('{"type":7}', "malformed_message", "/type", None),
    ],
)
def test_a_refusal_names_code_field_and_operation(text: str, code: str, pointer: str, op: str | None) -> None:
    with pytest.raises(MessageInvalid) as refusal:
        read_message(text)
    assert (refusal.value.code, refusal.value.pointer, refusal.value.op) == (code, pointer, op)


@given(st.text(max_size=50))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises((MessageInvalid, UnknownType)):
        read_message(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "NaN is no JSON number"),
        ("[Infinity]", "Infinity is no JSON number"),
        ("1e999", "1e999 is too large a number"),
        ('{"a":1,"b":2,"a":3}', "the key 'a' stands twice"),
        ("[" * 9 + "]" * 9, "nested deeper than 8"),
        ("[" * 5000, "nested deeper than 8"),
        ("1" * 5000, "too large an integer"),
        ("9223372036854775808", "9223372036854775808 is too large an integer; the limit is 64 bits"),
        ("-9223372036854775809", "too large an integer"),
        (r'{"a":["\ud800"]}', "half of a surrogate pair"),
        (r'{"\udfff":1}', "half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "half of a surrogate pair"),
        ("\ud800", "not JSON"),
    ],
)
def test_json_that_the_protocol_does_not_take_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(JsonRefused, match=words):
        parsed(text)


def test_whatever_was_taken_can_be_said_again() -> None:
    for value in ({"a": [-(2**63), 2**63 - 1, 1e308]}, {"\U0001f600": "\U0001f600"}):
        assert orjson.loads(orjson.dumps(parsed(json.dumps(value)))) == value


def test_json_of_the_greatest_depth_is_read() -> None:
    assert parsed("[" * 8 + "]" * 8) == [[[[[[[[]]]]]]]]
