"""How much one owner may send: token buckets for frames and bytes, shared by all of its sessions."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum, auto

from service.settings_sections import QuotaSettings

FRAMES_BURST_S = 2.0
BYTES_BURST_S = 5.0
FLOOD = 4.0
FORGOTTEN_S = 60.0


class Verdict(Enum):
    """What becomes of a frame: it is within the quota, over it, or one of so many that the socket has to go."""

    WITHIN = auto()
    OVER = auto()
    FRAMES_FLOOD = auto()
    BYTES_FLOOD = auto()


class Bucket:
    """Fills at `rate` a second up to what `burst_s` seconds bring; gives while anything is in it, and may end up in
    debt by one gift, so that a frame larger than the burst gets through in its turn."""

    def __init__(self, rate: float, burst_s: float, now_s: float) -> None:
        self._rate = rate
        self._most = rate * burst_s
        self._level = self._most
        self._filled_s = now_s

    def has_any(self, now_s: float) -> bool:
        """Whether `take` would be in order."""
        self._level = min(self._most, self._level + (now_s - self._filled_s) * self._rate)
        self._filled_s = now_s
        return self._level > 0

    def take(self, amount: float) -> None:
        """Takes that much out."""
        self._level -= amount


class Allowance:
    """The buckets of one owner."""

    def __init__(self, settings: QuotaSettings, now_s: float) -> None:
        frames, size = settings.frames_per_s, settings.bytes_per_s
        self._frames, self._bytes = Bucket(frames, FRAMES_BURST_S, now_s), Bucket(size, BYTES_BURST_S, now_s)
        self._frames_flood = Bucket(frames * FLOOD, FRAMES_BURST_S, now_s)
        self._bytes_flood = Bucket(size * FLOOD, BYTES_BURST_S, now_s)
        self.used_s = now_s

    def take(self, size: int, now_s: float) -> Verdict:
        """Counts a frame of that many bytes in."""
        self.used_s = now_s
        frames_flood, bytes_flood = not self._frames_flood.has_any(now_s), not self._bytes_flood.has_any(now_s)
        if frames_flood or bytes_flood:
            return Verdict.FRAMES_FLOOD if frames_flood else Verdict.BYTES_FLOOD
        self._frames_flood.take(1)
        self._bytes_flood.take(size)
        has_frames, has_bytes = self._frames.has_any(now_s), self._bytes.has_any(now_s)
        if not (has_frames and has_bytes):
            return Verdict.OVER
        self._frames.take(1)
        self._bytes.take(size)
        return Verdict.WITHIN


class Quotas:
    """The allowances of all owners who sent something lately."""

    def __init__(self, settings: QuotaSettings) -> None:
        self.sessions = settings.sessions
        self._settings = settings
        self._allowances: OrderedDict[str, Allowance] = OrderedDict()

    def __len__(self) -> int:
        return len(self._allowances)

    def take(self, owner: str, size: int, now_s: float) -> Verdict:
        """Counts in a frame of that owner's."""
        allowance = self._allowances.get(owner)
        if allowance is None:
            self._forget_old(now_s)
            allowance = self._allowances[owner] = Allowance(self._settings, now_s)
        self._allowances.move_to_end(owner)
        return allowance.take(size, now_s)

    def _forget_old(self, now_s: float) -> None:
        # Buckets that nobody took from for so long are as full as new ones.
        while self._allowances and now_s - next(iter(self._allowances.values())).used_s > FORGOTTEN_S:
            self._allowances.popitem(last=False)
