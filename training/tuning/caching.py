"""A runtime that remembers what the network said of a crop: other constants of the loop choose from the same maps.

Trials with other constants look at the same places until they come apart, and often meet again, as windows are cut at
whole pixels; what they share is then computed once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file

from models.grids import Grid
from models.networks.build import Network, build
from models.networks.exporting import write_maps
from models.package import WEIGHTS, ModelPackage, search_graph
from models.runtimes import arrays
from models.runtimes.base import Best, Features, FloatArray, Runtime
from models.runtimes.onnx import session
from models.selection import doubted, select
from models.spec import ModelSpec
from training.drafts import drafted

MEMORY_BYTES = 600_000_000
"""How much is remembered; what was asked for longest ago is forgotten first."""

Maps = tuple[FloatArray, FloatArray]
"""(N,) scores and (4, N) boxes of one crop, or (T, N) and (T, 4, N) of T templates."""


class CachingRuntime:
    """Obeys `models.runtimes.base.Runtime`: templates by `inner`, maps by graphs of their own, the choice in numpy."""

    def __init__(self, inner: Runtime, spec: ModelSpec, maps: Mapping[int, Path], memory: int = MEMORY_BYTES) -> None:
        self.name, self.device, self.precision = f"{inner.name}, cached", inner.device, inner.precision
        self.hits = self.misses = 0
        self._inner = inner
        self._stride, self._second = spec.network.stride, spec.second_template
        self._grids: dict[int, Grid] = {size: cast("Network", build(spec)).grid(size) for size in maps}
        self._graphs = {size: session(path, 1, ["CPUExecutionProvider"]) for size, path in maps.items()}
        self._known: OrderedDict[bytes, Maps] = OrderedDict()
        self._memory = memory
        self._used = 0

    def template(self, crops: NDArray[Any]) -> list[Features]:
        """As the runtime inside."""
        return self._inner.template(crops)

    def joined(self, templates: Sequence[Features]) -> Features:
        """As the runtime inside."""
        return self._inner.joined(templates)

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """See the port for the shapes."""
        side = crops.shape[1]
        found = [self._maps(feature, crop) for feature, crop in zip(features, crops, strict=True)]
        score, boxes = (np.stack(column) for column in zip(*found, strict=True))
        grid, stride = self._grids[side], self._stride
        if self._second is None:
            return select(score, boxes, size, loop, grid, stride)
        doubting, followed = (select(score[:, k], boxes[:, k], size, loop, grid, stride) for k in (0, 1))
        return doubted(followed, doubting, self._second.agreement)

    def _maps(self, features: Features, crop: NDArray[Any]) -> Maps:
        digest = hashlib.blake2b(np.ascontiguousarray(crop).data, digest_size=16)
        for array in features:
            digest.update(np.ascontiguousarray(array).data)
        key = digest.digest()
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            self.hits += 1
            return known
        self.misses += 1
        names = [f"{arrays.FEATURE_PREFIX}{number}" for number in range(len(features))]
        inputs = dict(zip(names, arrays.batched([features]), strict=True)) | {"crop": crop[None]}
        score, boxes = self._graphs[crop.shape[0]].run(["score", "boxes"], inputs)
        self._remember(key, (score[0], boxes[0]))
        return self._known[key]

    def _remember(self, key: bytes, maps: Maps) -> None:
        self._known[key] = maps
        self._used += maps[0].nbytes + maps[1].nbytes
        while self._used > self._memory and len(self._known) > 1:
            _, (score, boxes) = self._known.popitem(last=False)
            self._used -= score.nbytes + boxes.nbytes


def write_map_graphs(package: ModelPackage, folder: Path) -> dict[int, Path]:
    """Graphs of the maps for each search size, written whole unless they are there; empty for a package without
    weights of ours, as an imported ONNX pair."""
    if WEIGHTS not in package.files:
        return {}
    paths = {size: folder / f"maps_{search_graph(size, package.spec)}" for size in package.spec.search_sizes}
    if missing := [size for size, path in paths.items() if not path.is_file()]:
        network = build(package.spec)
        network.load_state_dict(load_file(package.file(WEIGHTS)))
        folder.mkdir(parents=True, exist_ok=True)
        for size in missing:
            with drafted(paths[size]) as draft:
                write_maps(network, package.spec, size, draft)
    return paths
