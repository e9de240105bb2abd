"""A thinned backbone begins with what mattered most in the whole one."""

from __future__ import annotations

import torch

from models.networks.backbones.efficientnet_lite import THINNED, EfficientNetLite0
from training.thinning import thin


def test_what_is_left_out_of_a_block_did_not_matter_if_it_never_spoke() -> None:
    torch.manual_seed(0)
    whole, thinned = EfficientNetLite0().eval(), EfficientNetLite0(THINNED).eval()
    # Silence all inner channels but as many as the thinned block has: the two then do the same.
    for block, small in zip(whole.blocks, thinned.blocks, strict=False):
        silent = torch.randperm(block.middle)[: block.middle - small.middle]
        block._project_conv.weight.data[:, silent] = 0
    thin(whole.state_dict(), thinned)
    crops = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        stride8, own = whole.shallow(crops), thinned.shallow(crops)
        torch.testing.assert_close(own, stride8, rtol=1e-4, atol=1e-4)
        deep = stride8
        for block in whole.blocks[len(whole.blocks) - len(whole.deep_blocks) : len(thinned.blocks)]:
            deep = block(deep)
        torch.testing.assert_close(thinned.deep(own), deep, rtol=1e-4, atol=1e-4)


def test_the_channels_that_weigh_most_stay() -> None:
    torch.manual_seed(1)
    whole, thinned = EfficientNetLite0(), EfficientNetLite0(THINNED)
    block, small = whole.blocks[1], thinned.blocks[1]
    block._bn1.weight.data[:] = 0.1
    heavy = torch.tensor([3, 17, 40])
    block._bn1.weight.data[heavy] = 10.0
    thin(whole.state_dict(), thinned)
    assert (small._bn1.weight == 10.0).sum() == len(heavy)
    kept = small._expand_conv.weight.flatten(1)
    for channel in heavy.tolist():
        assert (kept == block._expand_conv.weight[channel].flatten()).all(1).any()
