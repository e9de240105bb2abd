"""A runtime that waits for the test, which makes every count of frames certain."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.kinds import Precision

TIMEOUT_S = 10.0


class GatedRuntime:
    """Obeys the port with the dummy model; every search waits until the gate is open."""

    name = "gated"
    device = "cpu"
    precision = Precision.F32

    def __init__(self) -> None:
        self._inner = load_tracker("dummy").runtime
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def template(self, crops: ByteArray) -> list[Features]:
        return self._inner.template(crops)

    def joined(self, templates: Sequence[Features]) -> Features:
        return self._inner.joined(templates)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        self.entered.set()
        assert self.gate.wait(TIMEOUT_S)
        return self._inner.search(features, crops, size, loop)
