"""How large batches get, by what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.dummy import DummyRuntime
from models.tracker import Tracker
from service.engine import batching
from service.engine.batching import measured_curve


class PricedRuntime(DummyRuntime):
    """Every search moves the clock on by what its batch costs, in ms."""

    def __init__(self, price_ms: Callable[[int], float]) -> None:
        self.price_ms = price_ms
        self.now_s = 0.0

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        self.now_s += self.price_ms(len(crops)) / 1e3
        return super().search(features, crops, size, loop)


@pytest.mark.parametrize(
    ("price_ms", "most", "largest", "measured"),
    [
        (lambda count: 4.0 * count, 64, 1, [1, 2]),  # a processor core
        (lambda count: 3.0 + 0.1 * count, 64, 64, [1, 2, 4, 8, 16, 32, 64]),  # a GPU
        (lambda count: 3.0 + 0.1 * count, 8, 8, [1, 2, 4, 8]),  # as much as is allowed
        (lambda count: 3.0 + 0.5 * count, 64, 16, [1, 2, 4, 8, 16, 32]),  # 32 at once would take 19 ms
        (lambda count: 4.0 * count, 1, 1, [1]),
    ],
)
def test_a_batch_is_doubled_while_that_pays_and_is_not_too_long(
    price_ms: Callable[[int], float], most: int, largest: int, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = PricedRuntime(price_ms)
    monkeypatch.setattr(batching, "perf_counter", lambda: runtime.now_s)
    curve = measured_curve(Tracker(load_tracker("dummy").spec, runtime), most)
    assert curve.largest == largest
    assert list(curve.step_ms) == measured
    assert curve.step_ms[1] == pytest.approx(price_ms(1))
