"""Every runtime gives the boxes of torch, for every variant.

The default run takes our own default model and the smallest published one. All of them, in an hour:

    pytest -m "slow or not slow" tests/unit/models/test_parity.py
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from models.networks import build
from models.networks.exporting import answer, example, write_graphs
from models.package import DEFAULT_MODEL, WEIGHTS, find_package, package_graphs
from models.runtimes.base import Best
from models.runtimes.comparing import BOX_TOLERANCE_PX, SCORE_TOLERANCE
from models.runtimes.kinds import GraphFormat, Precision, RuntimeKind
from models.runtimes.opening import Graphs
from models.runtimes.torch import TorchRuntime
from models.spec import Architecture, ModelSpec
from models.variants import VARIANTS
from tests.random_networks import lively_network
from tests.runtimes import EXACT, Way, graphs_in

QUICK = ("siamfcpp_tinyconv",)
HALF = Way(RuntimeKind.TORCHSCRIPT, Precision.F16)
HEAVY = (
    *(Architecture.SIAMRPNPP_RESNET50, Architecture.SIAMRPNPP_RESNET50_BRANCHES),
    *(Architecture.SIAMFCPP_GOOGLENET, Architecture.SIAMRPN_UPCHANNEL),
)
"""Processors have no half-precision convolutions worth the name: a trace of these takes minutes."""


class Case:
    """A variant's network and its graphs, written when they are first asked for."""

    def __init__(self, spec: ModelSpec, network: nn.Module, folder: Path) -> None:
        self.network = network
        self._spec = spec
        self._folder = folder
        self._write = cache(lambda kind: write_graphs(network, spec, folder, kind))

    def graphs(self, kind: GraphFormat) -> Graphs:
        self._write(kind)
        return graphs_in(self._folder, self._spec, kind)


class Shipped(Case):
    """The default model with the ONNX graphs that ship with it."""

    def __init__(self, folder: Path) -> None:
        self.package = find_package(DEFAULT_MODEL)
        network = build(self.package.spec)
        network.load_state_dict(load_file(self.package.file(WEIGHTS)))
        super().__init__(self.package.spec, network.eval(), folder)

    def graphs(self, kind: GraphFormat) -> Graphs:
        return package_graphs(self.package, kind) if kind is GraphFormat.ONNX else super().graphs(kind)


def graphs_depend_on(spec: ModelSpec) -> ModelSpec:
    """The spec without what varies between variants of the same graphs: constants of the loop are inputs."""
    sample = VARIANTS[QUICK[0]]
    sizes = spec.long_term and replace(spec.long_term, hold=0, found=1, window_influence=0)
    return replace(spec, loop=sample.loop, presence=sample.presence, long_term=sizes)


def by_graphs(variants: list[str]) -> list[str]:
    """In an order that keeps variants of the same graphs together."""
    return sorted(variants, key=lambda name: (repr(graphs_depend_on(VARIANTS[name])), name))


EVERY_VARIANT = [
    pytest.param(DEFAULT_MODEL),
    *(pytest.param(name) for name in QUICK),
    *(
        pytest.param(name, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])
        for name in by_graphs([name for name in VARIANTS if name not in QUICK])
    ),
]


@pytest.fixture(scope="module")
def made() -> dict[ModelSpec, Case]:
    """The last case, which the next variant may share; all at once would take gigabytes."""
    return {}


@pytest.fixture(scope="module", params=EVERY_VARIANT)
def variant(
    request: pytest.FixtureRequest, made: dict[ModelSpec, Case], tmp_path_factory: pytest.TempPathFactory
) -> tuple[ModelSpec, Case]:
    name = request.param
    spec = find_package(DEFAULT_MODEL).spec if name == DEFAULT_MODEL else VARIANTS[name]
    key = graphs_depend_on(spec)
    if key not in made:
        made.clear()
        folder = tmp_path_factory.mktemp(name)
        made[key] = Shipped(folder) if name == DEFAULT_MODEL else Case(spec, lively_network(spec), folder)
    return spec, made[key]


def test_every_runtime_gives_the_boxes_of_torch(variant: tuple[ModelSpec, Case]) -> None:
    spec, case = variant
    reference = TorchRuntime.of(case.network, spec)
    batches = [example(spec, size, count) for size in spec.search_sizes for count in (1, 3)]
    expected = [answer(reference, spec, batch) for batch in batches]
    for name, way in EXACT.items():
        runtime = way.opened(case.graphs(way.format))
        for batch, answered in zip(batches, expected, strict=True):
            assert_close(answer(runtime, spec, batch), answered, f"{name}, {tuple(batch.search.shape)}")


def test_half_precision_decodes_in_single_precision(variant: tuple[ModelSpec, Case]) -> None:
    spec, case = variant
    if spec.network.architecture in HEAVY:
        pytest.skip("minutes for each half-precision run on a processor")
    runtime = HALF.opened(case.graphs(HALF.format))
    batch = example(spec, spec.crop.search_size, 2)
    assert {part.dtype for part in runtime.template(batch.template.numpy())[0]} == {torch.float16}
    found = answer(runtime, spec, batch).best
    assert np.isfinite(found).all()
    assert (found[:, :4] != found[:, :4].astype(np.float16)).any()


def test_no_torchscript_is_bound_to_the_processor_that_wrote_it(variant: tuple[ModelSpec, Case]) -> None:
    spec, case = variant
    half = () if spec.network.architecture in HEAVY else (GraphFormat.TORCHSCRIPT_F16,)
    for kind in (GraphFormat.TORCHSCRIPT, *half):
        template, searches = case.graphs(kind)
        for path in (template, *searches.values()):
            with zipfile.ZipFile(path) as archive:
                code = [archive.read(name) for name in archive.namelist() if name.endswith(".py")]
            assert code
            assert not any(b"torch.device" in each for each in code)


def assert_close(found: Best, expected: Best, where: str) -> None:
    assert np.isfinite(expected.best).all(), where
    np.testing.assert_array_equal(found.best[:, 7], expected.best[:, 7], err_msg=where)
    np.testing.assert_allclose(found.best[:, :4], expected.best[:, :4], rtol=0, atol=BOX_TOLERANCE_PX, err_msg=where)
    np.testing.assert_allclose(found.best[:, 4:7], expected.best[:, 4:7], rtol=0, atol=SCORE_TOLERANCE, err_msg=where)
    np.testing.assert_allclose(found.peak2[:, 0], expected.peak2[:, 0], rtol=0, atol=SCORE_TOLERANCE, err_msg=where)
    np.testing.assert_allclose(found.peak2[:, 1], expected.peak2[:, 1], rtol=0, atol=BOX_TOLERANCE_PX, err_msg=where)
