"""What listens on a port of this machine, and its addresses."""

from __future__ import annotations


class Addressed:
    """Listens on `port`, which is set once it is known."""

    port: int

    @property
    def http(self) -> str:
        """Base address of the REST doors."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """Base address of the sockets."""
        return f"ws://127.0.0.1:{self.port}"
