"""How many cores this process may keep busy."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/cpu.max")
"""Of a container with a limit, as it sees it (cgroup v2): processor time and period in microseconds, or `max`."""


def usable_cores(limit: Path = CGROUP) -> int:
    """The cores that the process may run on, and no more than the container's limit, rounded up; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return max(1, cores)
    return max(1, cores if quota == "max" else min(cores, -(-int(quota) // int(period))))
