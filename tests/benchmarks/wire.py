"""A client that costs next to nothing: plain sockets, messages put together beforehand, one thread for all streams.

Whatever runs on the machine of a measurement is taken from the server; the usual client libraries take a good deal.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

Buffer = bytes | memoryview


class WireClosed(ConnectionError):
    """The server ended the connection."""


class Wire:
    """One WebSocket. Its mask is 0, so that a message is sent as it lies in memory."""

    def __init__(self, host: str, port: int, path: str = "/") -> None:
        self.socket = socket.create_connection((host, port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        self._buffer = bytearray()
        while b"\r\n\r\n" not in self._buffer:
            self._read()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise WireClosed(head.decode(errors="replace"))
        self._buffer = bytearray(rest)

    def fileno(self) -> int:
        """For a selector."""
        return self.socket.fileno()

    def send(self, *parts: Buffer, text: bool = False) -> None:
        """One message, whose parts are not copied."""
        length = sum(map(len, parts))
        head = bytes([0x81 if text else 0x82])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 2**16:
            head += struct.pack(">BH", 0xFE, length)
        else:
            head += struct.pack(">BQ", 0xFF, length)
        pending: list[Buffer] = [head + bytes(4), *parts]
        while pending:
            sent = self.socket.sendmsg(pending)
            while pending and sent >= len(pending[0]):
                sent -= len(pending.pop(0))
            if sent:
                pending[0] = memoryview(pending[0])[sent:]

    def say(self, message: Any) -> None:
        """One JSON message."""
        self.send(orjson.dumps(message), text=True)

    def hear(self) -> bytes:
        """The next message; waits for it."""
        while (message := next(self._complete(), None)) is None:
            self._read()
        return message

    def heard(self) -> list[bytes]:
        """The messages that are there; to be called when the socket is readable."""
        self._read()
        return list(self._complete())

    def close(self) -> None:
        """Ends the connection without a word."""
        self.socket.close()

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise WireClosed("the server closed the connection")
        self._buffer += data

    def _complete(self) -> Iterator[bytes]:
        """Messages in the buffer, which leave it; the server's are neither masked nor cut into frames."""
        while len(self._buffer) >= 2:
            length, start = self._buffer[1] & 127, 2
            if length == 126:
                start = 4
            elif length == 127:
                start = 10
            if len(self._buffer) < start:
                return
            if start > 2:
                length = int.from_bytes(self._buffer[2:start], "big")
            if len(self._buffer) < start + length:
                return
            opcode, message = self._buffer[0] & 15, bytes(self._buffer[start : start + length])
            del self._buffer[: start + length]
            if opcode == 8:
                raise WireClosed(f"closed by the server: {message!r}")
            if opcode == 9:
                self.socket.sendall(bytes([0x8A, 0x80 | len(message)]) + bytes(4) + message)
            elif opcode in (1, 2):
                yield message


def threads_cpu_s(pid: int) -> dict[int, float]:
    """CPU time of each thread of a process so far, by thread id; the first thread has the process's id."""
    times = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            times[int(task.name)] = int((task / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
        except FileNotFoundError:  # a thread that ended meanwhile
            continue
    return times


def cpu_between(before: dict[int, float], after: dict[int, float], pid: int) -> tuple[float, float]:
    """CPU seconds between two readings: of the first thread, and of all the others."""
    spent = {thread: seconds - before.get(thread, 0.0) for thread, seconds in after.items()}
    first = spent.pop(pid, 0.0)
    return first, sum(spent.values())


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies; nan of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
