"""Answers that are kept for repeated requests: bounded in number, bytes and time."""

from __future__ import annotations

import pytest

from service.api import idempotency
from service.api.idempotency import ALL_BYTES, KEPT_S, MAX_KEYS, OWNER_BYTES, Answer, Kept, again, fingerprint
from service.api.problems import Problem
from service.protocol.requests import CreateRequest


def answer(at_s: float = 0.0, size: int = 10) -> Answer:
    """An answer with a body of that many bytes."""
    return Answer(b"fingerprint", 201, {"location": "/here"}, bytes(size), at_s)


def test_an_answer_is_found_by_its_owner_for_a_day() -> None:
    kept = Kept()
    kept.put("me", "key", answer())
    assert kept.find("me", "key", KEPT_S) == answer()
    assert kept.find("you", "key", 0.0) is None
    assert kept.find("me", "key", KEPT_S + 1) is None
    assert (len(kept), kept.held_bytes) == (0, 0)


def test_the_oldest_of_too_many_keys_is_forgotten() -> None:
    kept = Kept()
    for number in range(MAX_KEYS + 1):
        kept.put("me", str(number), answer())
    assert len(kept) == MAX_KEYS
    assert kept.find("me", "0", 0.0) is None
    assert kept.find("me", "1", 0.0) is not None


def test_bytes_are_bounded_for_each_owner_and_for_all() -> None:
    kept = Kept()
    kept.put("small", "key", answer())
    for number in range(100):
        kept.put("large", str(number), answer(size=OWNER_BYTES // 10))
    assert len(kept) == 1 + 9
    for number in range(100):
        kept.put(f"owner {number}", "key", answer(size=OWNER_BYTES // 2))
    assert kept.held_bytes <= ALL_BYTES
    assert kept.find("small", "key", 0.0) is not None


def test_a_key_is_free_again_once_its_request_came_to_an_end() -> None:
    kept = Kept()
    with kept.running("me", "key"), pytest.raises(Problem) as refusal, kept.running("me", "key"):
        pass
    assert refusal.value.code == "idempotency-in-progress"
    with kept.running("me", "key"), kept.running("you", "key"):
        pass
    assert not kept.under_way


def test_bodies_that_ask_for_the_same_are_the_same() -> None:
    one = CreateRequest.model_validate({"label": "a", "metadata": {"x": 1, "y": 2}})
    same = CreateRequest.model_validate({"metadata": {"y": 2, "x": 1}, "label": "a", "mode": "latest"})
    assert fingerprint(one) == fingerprint(same) != fingerprint(CreateRequest())
    response = again(answer(), b"fingerprint")
    assert (response.status_code, response.headers["location"]) == (201, "/here")
    assert response.headers[idempotency.REPLAYED] == "true"
