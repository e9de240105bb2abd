"""A real HAProxy with the configuration of `deploy/compose`, in front of servers on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.addressed import Addressed

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "compose" / "haproxy.cfg"
MISSING = "haproxy is not installed (Debian, Ubuntu: sudo apt-get install haproxy)"
TIMEOUT_S = 10.0
NAME = "lockon-{}"
"""How the configuration calls a replica, which has /n/ and that for its `fleet.address`."""


class Edge(Addressed):
    """Listens on a free port; `ports` are those of the replicas."""

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        binary = shutil.which("haproxy")
        assert binary is not None, MISSING
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._file = folder / "haproxy.cfg"
        self._write(ports)
        self._log = (folder / "haproxy.log").open("wb")
        self._process = subprocess.Popen(
            [binary, "-W", "-f", str(self._file)],
            env=os.environ | {"EDGE_BIND": f"127.0.0.1:{self.port}"},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait()

    @property
    def pid(self) -> int:
        """Its process's number; the workers are its children."""
        return self._process.pid

    def reload(self, ports: Sequence[int] | None = None) -> None:
        """Reads the configuration again, with other replicas if they are given."""
        if ports is not None:
            self._write(ports)
        self._process.send_signal(signal.SIGUSR2)

    def end(self) -> None:
        """Ends it and its workers."""
        self._process.terminate()
        self._process.wait(TIMEOUT_S)
        self._log.close()

    def _write(self, ports: Sequence[int]) -> None:
        """The file as it is shipped, with a line like that of the first replica for each."""
        lines: list[str] = []
        for line in CONFIGURATION.read_text(encoding="utf-8").splitlines():
            if line.startswith("    server lockon-1 "):
                for i, port in enumerate(ports, 1):
                    lines.append(line.replace("lockon-1", NAME.format(i)).replace("${LOCKON_1}", f"127.0.0.1:{port}"))
            elif not line.startswith("    server "):
                lines.append(line)
        self._file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _wait(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.1).close()
                return
            except OSError:
                assert self._process.poll() is None, Path(self._log.name).read_text()
                assert time.monotonic() < deadline


def edge_or_skip() -> None:
    """Skips where there is no HAProxy to run, and fails under CI=true."""
    if shutil.which("haproxy") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
