"""A server as a tracker of evaluations: what ends a stream is told, whatever it is."""

from __future__ import annotations

import numpy as np
import pytest

from models.geometry import Box
from service.commands.through import ServiceTracker, ThroughFailed, served_model

FRAME = np.zeros((48, 64, 3), np.uint8)


def test_a_fault_that_is_none_of_the_client_is_raised_and_not_waited_for() -> None:
    tracker = ServiceTracker("ws://127.0.0.1:9", None)
    tracker.start(FRAME, Box(8, 8, 16, 16))
    with pytest.raises(ValueError, match="fps"):
        tracker.follow(FRAME, -0.04)
    tracker.close()


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9", "ws://127.0.0.1:80000"])
def test_a_server_that_is_not_there_is_named_by_its_address(url: str) -> None:
    tracker = ServiceTracker(url, None)
    tracker.start(FRAME, Box(8, 8, 16, 16))
    with pytest.raises(ThroughFailed, match=url):
        tracker.follow(FRAME, 0.04)
    tracker.close()
    with pytest.raises(ThroughFailed, match=url):
        served_model(url, None)
