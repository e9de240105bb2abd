"""Whether a machine without a GPU can follow one target with a large tracker: 5 frames/s at an age below 400 ms.

    python -m tests.benchmarks.large                                        # SiamFC++ GoogLeNet, SiamRPN++ ResNet-50
    python -m tests.benchmarks.large siamfcpp_googlenet --fps 4 --threads 2

streams 720p frames to a server with one worker, whose runs of the network may use so many threads (`models.threads`),
and prints the frames/s that were answered and their ages. The weights are random: they change nothing in the work.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from safetensors.torch import save

from models.networks.exporting import write_onnx
from models.package import WEIGHTS, write_package
from models.variants import VARIANTS
from tests.benchmarks.camera_streams import lockon_server, paced
from tests.benchmarks.films import SHARES, Shots, embedded
from tests.benchmarks.wire import percentile
from tests.conftest import SHARED
from tests.random_networks import lively_network

USUAL = ("siamfcpp_googlenet", "siamrpnpp_r50")
FRAMES, KB = 40, 100


def made(variant: str, folder: Path) -> Path:
    """A package of that variant with random weights."""
    spec = VARIANTS[variant]
    network = lively_network(spec)
    graphs = write_onnx(network, spec, folder)
    weights = save({key: value.contiguous() for key, value in network.state_dict().items()})
    return write_package(folder / variant, variant, spec, {WEIGHTS: weights, **graphs}, {}, {}).folder


def streamed(package: Path, shots: Shots, threads: int, runtime: str, fps: float, seconds: float) -> list[str]:
    """Answers per second, median and 99th percentile of the ages."""
    settings = {
        "LOCKON_MODELS__THREADS": str(threads),
        "LOCKON_MODELS__RUNTIME": runtime,
        "LOCKON_ENGINE__WORKERS": "1",
        "LOCKON_ENGINE__CADENCE_UNDER_LOAD": "1",
    }
    with lockon_server([str(package)], settings) as server:
        streams = server.streams(package.name, [shots], 1, windows=False)
        paced(streams, 3.0, fps)
        answered = paced(streams, seconds, fps)
        streams[0].wire.close()
    ages = answered.ages_ms
    return [f"{len(ages) / seconds:.2f}", f"{percentile(ages, 0.5):.0f}", f"{percentile(ages, 0.99):.0f}"]


def main() -> None:
    """Prints a row for each tracker, number of threads and runtime."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("variants", nargs="*", default=USUAL)
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"])
    options.add_argument("--fps", type=float, default=5.0)
    options.add_argument("--seconds", type=float, default=20.0)
    chosen = options.parse_args()
    name, share = next(iter(SHARES.items()))
    shots = embedded(SHARED / "data" / "eval" / name, share, KB * 1000, FRAMES)
    table = Table("tracker", "runtime", "threads", "answers/s", "age p50 ms", "p99 ms")
    for variant in chosen.variants:
        with tempfile.TemporaryDirectory() as folder:
            package = made(variant, Path(folder))
            for runtime in chosen.runtimes:
                for threads in chosen.threads:
                    row = streamed(package, shots, threads, runtime, chosen.fps, chosen.seconds)
                    table.add_row(variant, runtime, str(threads), *row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
