"""The REST doors that a load opens sessions by."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("url", ["", "edge.example", "ftp://a", "http://"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(BenchFailed, match="no address"):
        Doors(url, None)
