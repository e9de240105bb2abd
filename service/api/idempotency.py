"""`Idempotency-Key`: a request that is repeated because its answer got lost is answered again, and done once."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import orjson
from fastapi import Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from service.api.problems import Problem

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT_S = 24 * 3600.0
MAX_KEYS = 10_000
"""Answers that are kept for one owner; the oldest go first, and likewise for the bytes."""
OWNER_BYTES = 16 * 1024 * 1024
ALL_BYTES = 64 * 1024 * 1024
_OVERHEAD_BYTES = 512
# A string of a structured field (RFC 9651): printable ASCII in quotes, where \ and " are escaped.
_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){16,128})"')

# For the OpenAPI document; the header is read by `key_of`.
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="A string in quotes that names this request: repeated with it, the request is done once",
        json_schema_extra={"pattern": f"^{_KEY.pattern}$"},
        examples=['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
    ),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; `fingerprint` is that of the request's body."""

    fingerprint: bytes
    status: int
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def size(self) -> int:
        """Bytes that it takes up, about."""
        return len(self.body) + _OVERHEAD_BYTES


class Kept:
    """The answers of the last day, by owner and key, and the requests under way."""

    def __init__(self) -> None:
        self._owners: dict[str, OrderedDict[str, Answer]] = {}
        self._bytes: dict[str, int] = {}
        self.under_way: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return sum(map(len, self._owners.values()))

    @property
    def held_bytes(self) -> int:
        """Bytes that all answers take up, about."""
        return sum(self._bytes.values())

    @contextmanager
    def running(self, owner: str, key: str) -> Iterator[None]:
        """While a request of that key is being worked off. Raises the Problem idempotency-in-progress."""
        if (owner, key) in self.under_way:
            raise Problem("idempotency-in-progress", "the first request with this key is not done", retry_after_s=1)
        self.under_way.add((owner, key))
        try:
            yield
        finally:
            self.under_way.discard((owner, key))

    def find(self, owner: str, key: str, now_s: float) -> Answer | None:
        """What that owner's request with that key was answered, if it was."""
        self._forget_old(owner, now_s)
        return self._owners.get(owner, OrderedDict()).get(key)

    def put(self, owner: str, key: str, answer: Answer) -> None:
        """Keeps an answer; older ones go where there are too many."""
        self._forget_old(owner, answer.at_s)
        mine = self._owners.setdefault(owner, OrderedDict())
        mine[key] = answer
        self._bytes[owner] = self._bytes.get(owner, 0) + answer.size
        while len(mine) > MAX_KEYS or self._bytes[owner] > OWNER_BYTES:
            self._forget_oldest(owner)
        while self.held_bytes > ALL_BYTES:
            self._forget_oldest(max(self._bytes, key=self._bytes.__getitem__))

    def _forget_old(self, owner: str, now_s: float) -> None:
        while (mine := self._owners.get(owner)) and now_s - next(iter(mine.values())).at_s > KEPT_S:
            self._forget_oldest(owner)

    def _forget_oldest(self, owner: str) -> None:
        _, answer = self._owners[owner].popitem(last=False)
        self._bytes[owner] -= answer.size
        if not self._owners[owner]:
            del self._owners[owner], self._bytes[owner]


def key_of(request: Request) -> str | None:
    """The request's key, None if it has none. Raises a Problem."""
    value = request.headers.get(HEADER)
    if value is None:
        return None
    found = _KEY.fullmatch(value.strip())
    if found is None:
        detail = 'the key is a string of 16 to 128 printable characters in quotes: Idempotency-Key: "…"'
        raise Problem("idempotency-key-invalid", detail)
    return found[1]


def fingerprint(body: BaseModel) -> bytes:
    """The same for bodies that ask for the same."""
    return hashlib.sha256(orjson.dumps(body.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()


def again(answer: Answer, asked: bytes) -> Response:
    """The answer once more, to a request of that fingerprint. Raises the Problem idempotency-key-reused."""
    if answer.fingerprint != asked:
        raise Problem("idempotency-key-reused", "this key came with another body before; take a new one")
    return Response(answer.body, answer.status, answer.headers | {REPLAYED: "true"}, "application/json")
