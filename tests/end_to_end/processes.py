"""Servers as processes of their own, which get signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.addressed import Addressed

TIMEOUT_S = 30.0


class ServerProcess(Addressed):
    """`lockon serve` on a free port with the dummy model; settings as {section__key: value}."""

    def __init__(self, log: Path, **settings: Any) -> None:
        variables = {f"LOCKON_{name.upper()}": str(value) for name, value in settings.items()}
        command = [sys.executable, "-c", "from service.cli import main; main()", "serve", "--port", "0"]
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [*command, "--model", "dummy"],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | variables,
        )

    def ready(self) -> ServerProcess:
        """Waits until it takes connections."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("Lockon is ready: "), Path(self._log.name).read_text()
        self.port = int(line.rsplit(":", 1)[1])
        return self

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self._process.kill()

    def pause(self) -> None:
        """SIGSTOP: it says nothing any more, and its sockets stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self._process.wait(TIMEOUT_S)

    def log(self) -> str:
        """What it has logged."""
        return Path(self._log.name).read_text()

    def end(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.wait(TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()
