"""Where the server listens."""

from __future__ import annotations

import socket

import pytest

from service.server import CannotListen, listeners
from service.settings_sections import ServerSettings


def test_a_host_name_listens_on_one_port_of_all_its_addresses() -> None:
    opened = listeners(ServerSettings(host="localhost", port=0))
    try:
        assert len({listener.getsockname()[1] for listener in opened}) == 1
    finally:
        for listener in opened:
            listener.close()


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_that_is_none_of_this_machines_is_named(host: str) -> None:
    with pytest.raises(CannotListen, match=f"cannot listen on {host}:0: "):
        listeners(ServerSettings(host=host, port=0))


def test_a_port_in_use_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: it is in use, choose another with --port"):
            listeners(ServerSettings(port=port))
