"""What the graph's numbers mean for a target: its box, its state, and where it is looked for next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from models.calibration import probability
from models.crops import Window
from models.families.rules import FamilyRules
from models.frames import Picture
from models.geometry import Box, Size, distance, kept_in_frame
from models.presence import (
    SAME_PLACE,
    Presence,
    Sight,
    State,
    advance,
    advance_long_term,
    frame_duration,
    in_doubt,
    reacquire_score,
)
from models.scanning import NO_GUESSES, Guesses, guessed, pattern_of, scan_due
from models.searching import AGREEMENT, HOME_REACH, Search, follows_guess, goes_home, is_global, visited_place
from models.spec import LostSearch, ModelSpec, PresenceSpec
from models.target import Estimate, Target


@dataclass(frozen=True, slots=True)
class Look:
    """Where a target is looked for in a frame."""

    target: Target
    picture: Picture
    window: Window
    search_size: int
    complete: bool
    """whether the picture has all that this look needs"""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What one frame changes in a target."""

    estimate: Estimate
    place: Box
    presence: Presence
    lost: bool
    guesses: Guesses


class Found(NamedTuple):
    """What the graph gave for one look."""

    look: Look
    best: Sequence[float]
    peak2: Sequence[float]


def concluded(answer: Found, spec: ModelSpec, rules: FamilyRules) -> Conclusion:
    """What the graph's numbers mean for one target. Numbers that are not finite count as not having seen it."""
    look, best, peak2 = answer
    valid = all(map(math.isfinite, best))
    score, ranking, index = (best[4], best[6], int(best[7])) if valid else (0.0, 0.0, 0)
    target, frame = look.target, Size(float(look.picture.frame_width), float(look.picture.frame_height))
    moved = _moved(look, best, spec, rules) if valid else look.target.place
    kept = kept_in_frame(moved, frame, spec.loop.min_size)
    thresholds = target.thresholds or spec.presence
    lost, presence = _judged(look, kept, score, ranking, spec, thresholds)
    box, place, guesses = rules.report(kept), kept, NO_GUESSES
    if spec.long_term is not None and spec.long_term.free_place:
        place = moved
    if presence.state is State.LOST and thresholds.search is LostSearch.AROUND:
        # The box stays where the target was seen last; so does the size, since a wrong one would spoil later crops.
        box = target.box
        guesses = _scanned(look, spec, rules)
        found = score >= reacquire_score(presence, thresholds, at_home=_sight(look, kept).at_home)
        if found or (score >= thresholds.leave and not target.presence.closer):
            place = Box.from_centre(kept.cx, kept.cy, box.w, box.h)
            presence = replace(presence, closer=not found)
        else:
            place, presence, guesses = _searched_next(look, frame, presence, guesses, rules)
    runner_up = peak2[0] if math.isfinite(peak2[0]) else 0.0
    search = _search(presence, spec)
    estimate = Estimate(
        *(box, score, presence.state, runner_up, look.window, ranking, index, search),
        probability(score, spec.calibration),
    )
    return Conclusion(estimate, place, presence, lost, guesses)


def _scanned(look: Look, spec: ModelSpec, rules: FamilyRules) -> Guesses:
    """Where a lost target may be: as before, or anew after a look at the whole frame."""
    target, crop = look.target, spec.crop
    if not (scan_due(target.presence) and look.picture.whole and target.crops):
        return target.guesses
    window_side = rules.search_window(target.place, crop, crop.template_size).side
    pattern = pattern_of(target.crops[0], target.box, window_side)
    return guessed(look.picture.pixels, pattern, target.box, target.guesses.tried)


def _searched_next(
    look: Look, frame: Size, presence: Presence, guesses: Guesses, rules: FamilyRules
) -> tuple[Box, Presence, Guesses]:
    """Where a lost target is looked for next, its presence with that visit counted, and the guesses that are left."""
    last = look.target.box
    if goes_home(presence):
        return rules.start(last), presence, guesses
    if guesses.places and follows_guess(presence):
        guess, guesses = guesses.next()
        return rules.start(Box.from_centre(guess.x, guess.y, last.w, last.h)), presence, guesses
    place = visited_place(last, look.window.side, frame, presence)
    return rules.start(place), replace(presence, visits=presence.visits + 1), guesses


def _search(presence: Presence, spec: ModelSpec) -> Search:
    """How far the target is searched from now on."""
    if presence.state is not State.LOST:
        return Search.LOCAL
    if spec.presence.search is LostSearch.STAY:
        return Search.LOCAL if spec.long_term is None else Search.WIDE
    return Search.GLOBAL if is_global(presence) else Search.WIDE


def _moved(look: Look, best: Sequence[float], spec: ModelSpec, rules: FamilyRules) -> Box:
    """The place after the network has pointed somewhere: its centre, and a size between the old and the new one.

    w = old.w (1 - rate) + new.w rate; h alike (the same in every published loop)."""
    cx, cy, w, h, score, penalty, ranking, _ = best
    old, long_term = look.target.place, spec.long_term
    if long_term is not None and score < long_term.hold:
        return old
    crop_box = Box.from_centre(cx, cy, w, h)
    new = rules.measured(crop_box, old, look.window, spec.crop, look.search_size)
    rate = rules.rate(penalty, score, ranking) * spec.loop.size_lr
    return Box.from_centre(new.cx, new.cy, old.w * (1 - rate) + new.w * rate, old.h * (1 - rate) + new.h * rate)


def _sight(look: Look, kept: Box) -> Sight:
    """What the look at a lost target pointed to."""
    target = look.target
    agrees = distance(kept, target.place) <= AGREEMENT * math.sqrt(kept.w * kept.h)
    return Sight(agrees, distance(kept, target.box) <= HOME_REACH * look.window.side)


def _judged(
    look: Look, kept: Box, score: float, ranking: float, spec: ModelSpec, thresholds: PresenceSpec
) -> tuple[bool, Presence]:
    """Whether a long-term tracker has lost the target now, and the target's presence."""
    target, long_term = look.target, spec.long_term
    if long_term is None:
        duration_s = frame_duration(target.time_s, look.picture.time_s)
        sight = _sight(look, kept) if target.presence.state is State.LOST else SAME_PLACE
        presence = advance(target.presence, score, thresholds, duration_s, sight)
    else:
        judged = ranking if long_term.judges_ranking else score
        lost = judged < long_term.hold or (target.lost and judged <= long_term.found)
        presence = advance_long_term(target.presence, lost, score, thresholds)
    if not look.complete:
        presence = in_doubt(target.presence, presence)
    return long_term is not None and presence.state is State.LOST, presence
