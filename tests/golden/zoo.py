"""The networks with golden weights, by golden folder, and how far each runtime is from torch on crops of the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from torch import nn

from models.importing.nanotrack import VARIANTS as NANOTRACK
from models.networks.exporting import answer, write_graphs
from models.runtimes.comparing import Difference, difference, largest
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec
from models.variants import VARIANTS
from tests.golden import (
    test_mmtracking,
    test_nanotrack,
    test_pysot,
    test_siamfcpp,
    test_siamrpn_2018,
    test_siamrpn_tf,
    test_siamrpnpp_pytorch,
)
from tests.golden.conftest import GOLDEN
from tests.runtimes import Way, graphs_in
from training.crops import examples_from_frames


class Case(NamedTuple):
    """The variant of a golden folder, and its network with the golden weights (NanoTrack's own: the published ones)."""

    variant: str
    network: Callable[[], Any]


CASES: Mapping[str, Case] = {
    **{folder: Case(name, partial(test_siamfcpp.network, folder)) for folder, name in test_siamfcpp.FOLDERS.items()},
    **{folder: Case(name, partial(test_pysot.network, folder)) for folder, name in test_pysot.FOLDERS.items()},
    **{name: Case(name, partial(test_nanotrack.published, name)) for name in NANOTRACK},
    test_siamrpn_2018.FOLDER: Case("dasiamrpn_vot", test_siamrpn_2018.network),
    test_siamrpn_tf.FOLDER: Case("siamrpn_tf", test_siamrpn_tf.network),
    test_mmtracking.FOLDER: Case("siamrpnpp_r50_mmtracking", test_mmtracking.network),
    test_siamrpnpp_pytorch.FOLDER: Case("siamrpnpp_r50_port", test_siamrpnpp_pytorch.network),
}


def differences(
    network: nn.Module, spec: ModelSpec, ways: Mapping[str, Way], folder: Path
) -> Iterator[tuple[str, Difference]]:
    """Exports the network into `folder`, and tells for each way how far it is from torch, for every search size."""
    reference = TorchRuntime.of(network, spec)
    batches = [batch for each in examples_from_frames(spec, GOLDEN / "frames").values() for batch in each]
    expected = [answer(reference, spec, batch) for batch in batches]
    for kind in dict.fromkeys(way.format for way in ways.values()):
        write_graphs(network, spec, folder, kind)
    for name, way in ways.items():
        runtime = way.opened(graphs_in(folder, spec, way.format))
        found = [answer(runtime, spec, batch) for batch in batches]
        yield name, largest(map(difference, found, expected))


def network_of(folder: str) -> tuple[ModelSpec, nn.Module]:
    """The spec of a golden folder's variant, and the network."""
    case = CASES[folder]
    return VARIANTS[case.variant], cast("nn.Module", case.network())
