"""Where the target comes to lie in a search crop, and how large: a draw of each kind of motion that a recipe knows."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from models.crops import context_side
from models.geometry import Box
from models.spec import CropSpec
from training.cutting import Placement
from training.recipe import AugmentRecipe, Motion

WHOLE_TRIES = 50
"""Then the target stays in the middle."""
DEFORMED = 3.0
"""How much more a deformed target's shape and angle change than those of others."""


def placed(box: Box, crop: CropSpec, recipe: AugmentRecipe, rng: Generator) -> Placement:
    """A place for the target with this box in its picture."""
    match recipe.motion:
        case Motion.MIXED:
            return _mixed(recipe, rng)
        case Motion.STRETCHED:
            return _stretched(recipe, rng)
        case Motion.ZOOMED:
            return _zoomed(box, crop, recipe, rng)


def _mixed(recipe: AugmentRecipe, rng: Generator) -> Placement:
    # Targets mostly move little between two frames and sometimes a lot: half narrow, half wide.
    reach = recipe.shift
    shift = np.clip(rng.normal(0, reach / 4, 2), -reach, reach) if rng.random() < 0.5 else rng.uniform(-reach, reach, 2)
    more = DEFORMED if recipe.deformed_share and rng.random() < recipe.deformed_share else 1.0
    scale = math.exp(float(np.clip(rng.normal(0, recipe.scale), -0.6, 0.6)))
    aspect = math.exp(float(rng.normal(0, recipe.aspect * more)))
    angle = math.radians(float(rng.normal(0, recipe.rotation * more)))
    return Placement(float(shift[0]), float(shift[1]), scale, aspect, angle)


def _stretched(recipe: AugmentRecipe, rng: Generator) -> Placement:
    """The region that becomes the crop is drawn: first its sides, then its shift in pixels of the unstretched crop."""
    wider, higher = 1 + rng.uniform(-recipe.scale, recipe.scale, 2)
    dx, dy = rng.uniform(-recipe.shift, recipe.shift, 2)
    return Placement(float(dx / wider), float(dy / higher), 1 / math.sqrt(wider * higher), float(higher / wider), 0.0)


def _zoomed(box: Box, crop: CropSpec, recipe: AugmentRecipe, rng: Generator) -> Placement:
    side = context_side(box.size, crop.context_amount) * crop.search_size / crop.template_size
    share = np.array([box.w, box.h]) / side
    for _ in range(WHOLE_TRIES):
        scale = 1 / rng.uniform(1 / (1 + recipe.scale), 1 + recipe.scale)
        shift = rng.uniform(-recipe.shift, recipe.shift, 2)
        if (np.abs(shift) + share * scale / 2 <= 0.5).all():
            return Placement(float(shift[0]), float(shift[1]), float(scale), 1.0, 0.0)
    return Placement(0.0, 0.0, 1.0, 1.0, 0.0)
