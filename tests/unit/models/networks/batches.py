"""What every network must do with a batch."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from models.networks.build import Network
from models.networks.exporting import example
from models.spec import ModelSpec


def settle(network: nn.Module, spec: ModelSpec, search_size: int) -> None:
    """Gives the norms of fresh layers the statistics of two made-up targets; else deep networks overflow."""
    template, search, *_ = example(spec, search_size, 2)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        trained = cast("Network", network.train())
        trained.outputs(trained.template(template), search)
    network.eval()


def assert_a_batch_gives_what_its_members_give_alone(network: Network, spec: ModelSpec, search_size: int) -> None:
    """Scores within 1e-4, boxes within 1e-4 of their coordinates."""
    template, search, *_ = example(spec, search_size, 2)
    with torch.inference_mode():
        features = network.template(template)
        together = network.maps(features, search)
        for member in range(2):
            one = slice(member, member + 1)
            own = network.template(template[one])
            for joint, alone in zip(features, own, strict=True):
                assert_close(joint[one], alone)
            for joint, alone in zip(together, network.maps(own, search[one]), strict=True):
                assert_close(joint[one], alone)


def assert_close(ours: Tensor, expected: Tensor) -> None:
    """Within 1e-4, absolute for small numbers and relative for large ones."""
    assert expected.isfinite().all()
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
