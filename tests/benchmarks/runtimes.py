"""What one search frame costs: every variant in torch, TorchScript, ONNX Runtime and OpenVINO, on one thread.

    python -m tests.benchmarks.runtimes                          # all variants
    python -m tests.benchmarks.runtimes nanotrack_v3 siamrpnpp_r50

prints, as Markdown, CPU milliseconds for one target (median of the rounds), and the ratio to torch in the same round.
The runtimes take turns in random order. Weights are random: they change nothing in the work. GMAC: multiplications of
convolutions, linear layers and matrix products. Variants that differ in constants alone are measured once.
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.networks.exporting import answer, example, write_graphs
from models.package import DEFAULT_MODEL, find_package
from models.runtimes.base import Runtime
from models.runtimes.kinds import GraphFormat
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec
from models.variants import VARIANTS
from tests.random_networks import lively_network
from tests.runtimes import EXACT, graphs_in

ROUNDS = 7
WARM_UP = 3
TURN_S = 0.1
"""How long a runtime's turn lasts at least."""
TORCH = "torch"
COLUMNS = ("torchscript", "onnxruntime", "openvino")

ORIGINAL_LOOP_MS: Mapping[str, float] = {
    "nanotrack_v2": 16.5,
    "nanotrack_v3": 20.5,
    "siamrpn_alexnet": 193,
    "siamrpnpp_r50": 1290,
}
"""CPU time of the original code's whole frame, torch on one thread; measured on another machine (AMD EPYC, Zen 3)."""


def search_call(runtime: Runtime, spec: ModelSpec) -> Callable[[], object]:
    """One run of the search graph for one target, whose template is ready."""
    template, search, size, loop = (part.numpy() for part in example(spec, spec.crop.search_size, 1))
    features = runtime.template(template)
    if spec.template_count > 1:
        features = [runtime.joined(features * spec.template_count)]
    return lambda: runtime.search(features, search, size, loop)


def turn_ms(call: Callable[[], object]) -> float:
    """CPU milliseconds of one call, over as many as fit into a turn."""
    count, began, began_cpu = 0, time.perf_counter(), time.process_time()
    while not count or time.perf_counter() - began < TURN_S:
        call()
        count += 1
    return 1000 * (time.process_time() - began_cpu) / count


def measured(calls: Mapping[str, Callable[[], object]], seed: int) -> dict[str, list[float]]:
    """Milliseconds of each call in each round; the order changes from round to round."""
    order = random.Random(seed)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    gc.collect()
    gc.disable()
    for _ in range(ROUNDS):
        for name in order.sample(list(calls), len(calls)):
            times[name].append(turn_ms(calls[name]))
    gc.enable()
    return times


def gmacs(network: nn.Module, spec: ModelSpec) -> float:
    """Of one search frame: what template and search graph take together, less the template graph."""
    batch = example(spec, spec.crop.search_size, 1)
    runtime = TorchRuntime.of(network, spec)
    with FlopCounterMode(display=False) as whole:
        answer(runtime, spec, batch)
    with FlopCounterMode(display=False) as template:
        runtime.template(batch.template.numpy())
    operations: int = whole.get_total_flops() - template.get_total_flops()
    return operations / 2e9


def row(name: str, spec: ModelSpec) -> list[str]:
    """Measures one variant."""
    network = lively_network(spec)
    with tempfile.TemporaryDirectory() as folder:
        for kind in (GraphFormat.ONNX, GraphFormat.TORCHSCRIPT):
            write_graphs(network, spec, Path(folder), kind)
        runtimes: dict[str, Runtime] = {TORCH: TorchRuntime.of(network, spec)}
        for column in COLUMNS:
            runtimes[column] = EXACT[column].opened(graphs_in(Path(folder), spec, EXACT[column].format))
    times = measured({title: search_call(runtime, spec) for title, runtime in runtimes.items()}, seed=len(name))
    cells = []
    for column in COLUMNS:
        ratio = median(ours / eager for ours, eager in zip(times[column], times[TORCH], strict=True))
        cells.append(f"{median(times[column]):.2f} ({ratio:.2f})")
    original = ORIGINAL_LOOP_MS.get(name)
    best = min(median(times[column]) for column in COLUMNS)
    against = f"{original:g} ({best / original:.2f})" if original else "-"
    return [name, f"{gmacs(network, spec):.3f}", f"{median(times[TORCH]):.2f}", *cells, against]


def main() -> None:
    """Measures the variants and prints the rows as they come."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("variants", nargs="*", help="variants to measure; all by default")
    torch.set_num_threads(1)
    specs = {DEFAULT_MODEL: find_package(DEFAULT_MODEL).spec, **VARIANTS}
    titles = ["variant", "GMAC", "torch, ms", *(f"{column}, ms (ratio)" for column in COLUMNS)]
    titles.append("original loop, ms (best / it)")
    print(f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}", flush=True)  # noqa: T201
    measured_as: dict[Any, str] = {}
    for name in options.parse_args().variants or specs:
        spec = specs[name]
        first = measured_as.setdefault((spec.network, spec.crop.search_size, spec.memory), name)
        cells = row(name, spec) if first == name else [name, f"as {first}", *[""] * (len(titles) - 2)]
        print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
