"""The REST doors that a load opens sessions by."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from models.geometry import Box
from service.bench.doors import BenchFailed, Doors


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://a:1", "http://a:1/"),
        ("ws://a:1/", "http://a:1/"),
        ("wss://edge.example/n/x", "https://edge.example/n/x/"),
    ],
)
def test_an_address_may_be_a_sockets_and_have_a_path(url: str, base: str) -> None:
    assert Doors(url, None).base == base


@pytest.mark.parametrize(
    "url", ["", "edge.example", "ftp://a", "http://", "http://[::1", "http://a:80x", "http://a b/"]
)
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(BenchFailed, match="no address"):
        Doors(url, None)


@contextmanager
def _answering(answer: bytes) -> Iterator[str]:
    """The address of a server that says this to the first who asks, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(65536)
                line.sendall(answer)

        thread = Thread(target=speak)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n", r"SSH-2\.0-OpenSSH$"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "98 more expected"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n{}", "503"),
    ],
)
def test_an_answer_that_is_no_http_or_not_whole_is_said(answer: bytes, said: str) -> None:
    with _answering(answer) as url, pytest.raises(BenchFailed, match=said):
        Doors(url, None).create(None, Box(1, 1, 2, 2))
