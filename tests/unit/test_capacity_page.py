"""docs/capacity.md: its formula is run, its examples and the fleets' thresholds are what it gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
FAR = (ROOT / "docs" / "far-end.md").read_text(encoding="utf-8")


def formula() -> tuple[Callable[..., int], Callable[..., int]]:
    """`streams` and `replicas` as the page defines them."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Callable[..., int]] = {}
    exec(code, names)
    return names["streams"], names["replicas"]


STREAMS, REPLICAS = formula()
EXAMPLES = [
    [float(cell) for cell in row.split("|")[1:-1]]
    for row in PAGE.partition("## Examples")[2].partition("\n## ")[0].splitlines()
    if re.match(r"\| \d", row)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_example_is_what_the_formula_gives(example: list[float]) -> None:
    wanted, fps, megapixels, kilobytes, network_ms, cores, targets, each, count = example
    found = STREAMS(fps, megapixels, kilobytes, network_ms, int(cores), int(targets))
    assert (found, REPLICAS(wanted, found)) == (each, count)


@pytest.mark.parametrize(("overlay", "row"), [("cpu", 0), ("gpu", -1)])
def test_an_autoscaler_adds_a_replica_for_as_many_streams_as_one_carries(overlay: str, row: int) -> None:
    assert len(EXAMPLES) == 8
    folder = ROOT / "deploy" / "kubernetes" / "overlays" / overlay
    patches = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["patches"]
    (threshold,) = [each["value"] for patch in patches if "patch" in patch for each in yaml.safe_load(patch["patch"])]
    assert int(threshold) == EXAMPLES[row][7]
    pod = yaml.safe_load((folder / "replicas.yaml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert float(container["resources"]["limits"]["cpu"]) == EXAMPLES[row][5]
    # As many workers as the container may use cores: that is what a server does by itself.
    assert "LOCKON_ENGINE__WORKERS" not in {each["name"] for each in container.get("env", [])}


def row(name: str) -> list[str]:
    """The three figures of a row of the far end's sums."""
    (found,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", FAR, re.MULTILINE)
    return [cell.strip() for cell in str(found).split("|")]


def test_the_far_ends_sums_are_those_of_its_inputs() -> None:
    for streams, cores, gpu in zip(
        (10**3, 10**5, 10**6), row("replicas on processors, cores"), row("replicas with a GPU, cores"), strict=True
    ):
        for cell, each in ((cores, EXAMPLES[0][7]), (gpu, EXAMPLES[-1][7])):
            count = -(-streams // int(each))
            assert cell == f"{count:,}; {count * 4:,}"
    bits = [streams * 30 * 100e3 * 8 for streams in (10**3, 10**5, 10**6)]
    shown = [cell.split() for cell in row("bytes in, whole frames")]
    assert [float(number) * {"Gbit/s": 1e9, "Tbit/s": 1e12}[unit] for number, unit in shown] == bits
