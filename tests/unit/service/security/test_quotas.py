"""Quotas: token buckets by the clock that is passed in."""

from __future__ import annotations

from service.security.quotas import FORGOTTEN_S, Bucket, Quotas, Verdict
from service.settings_sections import QuotaSettings


def _verdicts(quotas: Quotas, count: int, size: int, now_s: float, owner: str = "a") -> list[Verdict]:
    return [quotas.take(owner, size, now_s) for _ in range(count)]


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=10, burst_s=2, now_s=0.0)
    taken = 0
    for tick in range(1000):  # ten seconds
        if bucket.has_any(tick / 100):
            bucket.take(1)
            taken += 1
    assert 20 + 100 - 1 <= taken <= 20 + 100 + 1


def test_a_gift_larger_than_the_burst_goes_through_and_is_paid_off() -> None:
    bucket = Bucket(rate=10, burst_s=1, now_s=0.0)
    assert bucket.has_any(0.0)
    bucket.take(50)
    assert not bucket.has_any(4.0)
    assert bucket.has_any(4.1)


def test_frames_beyond_the_rate_are_over_the_quota_and_far_beyond_a_flood() -> None:
    quotas = Quotas(QuotaSettings(frames_per_s=10))
    verdicts = _verdicts(quotas, 100, 1, 0.0)
    assert verdicts[:20] == [Verdict.WITHIN] * 20
    assert verdicts[20:80] == [Verdict.OVER] * 60
    assert verdicts[80:] == [Verdict.FRAMES_FLOOD] * 20
    assert quotas.take("a", 1, 1.0) is Verdict.WITHIN


def test_bytes_have_a_bucket_of_their_own() -> None:
    quotas = Quotas(QuotaSettings(bytes_per_s=1000))
    verdicts = _verdicts(quotas, 25, 1000, 0.0)
    assert verdicts == [Verdict.WITHIN] * 5 + [Verdict.OVER] * 15 + [Verdict.BYTES_FLOOD] * 5


def test_owners_do_not_share_and_sessions_of_one_owner_do() -> None:
    quotas = Quotas(QuotaSettings(frames_per_s=1))
    assert _verdicts(quotas, 3, 1, 0.0, "a")[-1] is Verdict.OVER
    assert quotas.take("b", 1, 0.0) is Verdict.WITHIN


def test_owners_who_send_nothing_are_forgotten() -> None:
    quotas = Quotas(QuotaSettings())
    for i in range(100):
        quotas.take(f"owner {i}", 1, i / 100)
    quotas.take("late", 1, FORGOTTEN_S + 2)
    assert len(quotas) == 1
