"""What every process that works for another one needs: an end when that one is killed, which no queue tells."""

from __future__ import annotations

import multiprocessing
import os
import threading


def follow_parent() -> None:
    """Ends this process as soon as the one that started it has ended, whatever it is doing then."""
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
