"""What is an address of a server."""

from __future__ import annotations

import pytest
from lockon_client.connection import stream_url
from lockon_client.errors import ConnectFailed


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://127.0.0.1:8000", "ws://127.0.0.1:8000/v1/stream"),
        ("http://[::1]:8000/", "ws://[::1]:8000/v1/stream"),
        ("https://far/v1/sessions/x/stream?a=1", "wss://far/v1/sessions/x/stream?a=1"),
    ],
)
def test_an_address_leads_to_the_stream(url: str, address: str) -> None:
    assert stream_url(url) == address


@pytest.mark.parametrize(
    "url", ["", "far:8000", "ftp://far", "ws://", "ws://:80", "ws://far:80000", "ws://far:x", "ws://[::1"]
)
def test_what_is_no_address_is_named(url: str) -> None:
    with pytest.raises(ConnectFailed, match="is no address of a server") as refused:
        stream_url(url)
    assert repr(url) in str(refused.value)
