"""Runs of the published recipe with the smallest network, on drawn shards."""

from __future__ import annotations

import re
from pathlib import Path

RECIPES = Path(__file__).parents[3] / "training" / "recipes"


def short_recipe(shards: Path, path: Path) -> Path:
    """SiamFC++ on TinyConv: three epochs of two steps of four pairs, in two parts."""
    text = (RECIPES / "siamfcpp_tinyconv.toml").read_text().split("[judge]")[0]
    phase = '{ shape = "constant", epochs = 3, first = 0.01, last = 0.01 }'
    for key, value in {"sources": f'{{ path = "{shards}" }}', "phases": phase}.items():
        text = re.sub(rf"^{key} = \[.*?^\]", f"{key} = [{value}]", text, flags=re.DOTALL | re.MULTILINE)
    path.write_text(text)
    return changed(path, search_size=207, epoch_pairs=8, batch=4, accumulate=2, workers=0, checkpoint_every=2)


def changed(recipe: Path, **values: object) -> Path:
    """A copy with other values, beside the recipe; strings as they stand in TOML."""
    text = recipe.read_text()
    for key, value in values.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    path = recipe.with_name(f"{recipe.stem}-{'-'.join(values)}.toml")
    path.write_text(text)
    return path
