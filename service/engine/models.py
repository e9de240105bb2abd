"""The models that are served: loaded and warmed beside the frames, offered to new sessions, retired without a restart.

loading -> ready -> retiring -> gone. A session keeps its very model, unless it asks for another one; a retiring model
goes with its last session. Loading a model's name again makes a second model of that name, and retires the first.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import structlog

from models.package import DUMMY, MANIFEST, PackageInvalid, available
from models.runtimes.kinds import RuntimeUnavailable
from models.tracker import Tracker
from service.engine.admission import Costs
from service.engine.batching import ONE_BY_ONE, BatchCurve, measured_curve
from service.engine.counters import Tally
from service.engine.decoding import Decoder
from service.engine.steps import Stepper

MAX_MODELS = 16
"""Models at once, retiring ones included; it bounds the label `model` of the metrics as well."""

Loader = Callable[[str], Tracker]
"""From a package's name or the path of its folder to its tracker; raises PackageInvalid or RuntimeUnavailable."""

_log = structlog.get_logger("lockon.models")


class UnknownModel(ValueError):
    """No such model is offered, or none of that name may be loaded."""


class ModelRefused(ValueError):
    """A model cannot be loaded; the message says why. Whatever was served before still is."""


class ModelsFull(RuntimeError):
    """There are as many models as are allowed."""


class AlreadyLoading(RuntimeError):
    """A model is being loaded: one at a time, so that the frames get their share of the machine."""


class ModelIsDefault(RuntimeError):
    """The default cannot be retired: sessions that name no model would have none."""


class ModelState(StrEnum):
    """Where a model is in its life."""

    LOADING = "loading"
    READY = "ready"
    RETIRING = "retiring"


@dataclass(eq=False, slots=True, weakref_slot=True)
class Model:
    """One loaded model, warm. `id` is its name in the API; while one retires, its successor may have the same."""

    id: str
    tracker: Tracker
    stepper: Stepper
    tally: Tally
    curve: BatchCurve = ONE_BY_ONE
    digest: str = ""
    """sha256 of the package's manifest, which has those of its files"""
    state: ModelState = ModelState.READY
    costs: Costs = field(default_factory=Costs)
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class ModelMeter(Protocol):
    """Counts for each model (the metrics implement it)."""

    def tally(self, model: str) -> Tally:
        """Where the sessions of the model of that name count."""

    def forget(self, model: str) -> None:
        """No model of that name is left."""


class Models:
    """The models, by id. Everything here runs on the event loop's thread, except what `load` does in one of its own."""

    def __init__(
        self, loader: Loader, decoder: Decoder, max_batch: int, folders: Sequence[Path], meter: ModelMeter
    ) -> None:
        self.default = ""
        self.loading: str | None = None
        self._loader = loader
        self._decoder = decoder
        self._max_batch = max_batch
        self._folders = folders
        self._meter = meter
        self._ready: dict[str, Model] = {}
        self._retiring: list[Model] = []
        self._sources: dict[str, str] = {}

    @property
    def ready(self) -> Mapping[str, Model]:
        """Those that new sessions may choose."""
        return self._ready

    def all(self) -> list[Model]:
        """Every model in memory, those that new sessions may choose first."""
        return [*self._ready.values(), *self._retiring]

    def chosen(self, model_id: str | None) -> Model:
        """The model for a new session, by default the default one; raises UnknownModel."""
        name = model_id or self.default
        if name not in self._ready:
            state = "is being retired" if any(model.id == name for model in self._retiring) else "is not loaded"
            raise UnknownModel(f"the model {name!r:.100} {state}; there are {', '.join(self._ready)}")
        return self._ready[name]

    async def load(self, source: str, *, default: bool = False) -> Model:
        """Loads the package of that name or folder and offers it; the model that had its id retires.

        The source is trusted: it comes from the operator, or from `source_of`. Raises ModelRefused, ModelsFull or
        AlreadyLoading, and then nothing has changed."""
        name = model_id(source)
        if self.loading is not None:
            raise AlreadyLoading(f"{self.loading} is being loaded; try again when it is ready")
        if len(self.all()) >= MAX_MODELS:
            raise ModelsFull(f"{len(self.all())} models are in memory; the limit is {MAX_MODELS}")
        began_s = perf_counter()
        self.loading = name
        try:
            tracker, curve, digest = await asyncio.to_thread(self._warmed, source)
        finally:
            self.loading = None
        model = Model(name, tracker, Stepper(tracker, self._decoder), self._meter.tally(name), curve, digest)
        if name in self._ready:
            self._retire(name)
        self._ready[name] = model
        self._sources[name] = source
        if default or not self.default:
            self.default = name
        seconds = round(perf_counter() - began_s, 3)
        runtime = tracker.runtime
        runs_on = {"runtime": runtime.name, "device": runtime.device, "precision": runtime.precision}
        _log.info(
            "model loaded",
            kind="model_loaded",
            model=name,
            default=self.default,
            seconds=seconds,
            **runs_on,
            **measurements(tracker, curve),
        )
        return model

    async def follow(self, sources: Sequence[str]) -> None:
        """Loads each of these anew, the first as the default, and retires the others. One that is refused is logged,
        and an older model of its name goes on. Of two with the same name the first is loaded."""
        taken: dict[str, str] = {}
        for source in sources:
            name = model_id(source)
            try:
                if (other := taken.setdefault(name, source)) != source:
                    raise ModelRefused(f"two models have the name {name}: {other} and {source}")
                await self.load(source, default=source == sources[0])
            except (ModelRefused, ModelsFull, AlreadyLoading) as error:
                _log.error("a model was not loaded", kind="model_refused", model=source, reason=str(error))
        kept = {self.default, *taken}
        for name in [name for name in self._ready if name not in kept]:
            self._retire(name)

    def source_of(self, name: str) -> str:
        """What `load` may be given for a name that came over the network; raises UnknownModel.

        That is where a model of that name came from before, `dummy`, or a package that lies in a configured folder.
        No path is made of the name, so that none can lead anywhere else."""
        if name in self._sources or name == DUMMY:
            return self._sources.get(name, name)
        known = available(self._folders)
        if name not in known:
            raise UnknownModel(f"no package {name!r:.100} lies in models.folders; there are {', '.join(known)}")
        return str(known[name])

    def retire(self, name: str) -> Model:
        """No new sessions for this model; those it has go on. Raises UnknownModel or ModelIsDefault."""
        if name not in self._ready and (old := next((one for one in self._retiring if one.id == name), None)):
            return old
        model = self.chosen(name)
        if name == self.default:
            raise ModelIsDefault(f"{name} is the default; load another one as the default first")
        self._retire(name)
        return model

    def release(self, in_use: Collection[Model]) -> None:
        """Lets go of retiring models that no session uses any more."""
        for model in [model for model in self._retiring if model not in in_use]:
            self._retiring.remove(model)
            if all(other.id != model.id for other in self.all()):
                self._meter.forget(model.id)
            _log.info("model gone", kind="model_gone", model=model.id)

    def _retire(self, name: str) -> None:
        model = self._ready.pop(name)
        model.state = ModelState.RETIRING
        self._retiring.append(model)
        _log.info("model retiring", kind="model_retiring", model=name)

    def _warmed(self, source: str) -> tuple[Tracker, BatchCurve, str]:
        """A tracker that is warm, what its batches cost, and its package's digest; runs in a thread of its own."""
        with refusals(source):
            digest = package_digest(source, self._folders)
            tracker = self._loader(source)
            return tracker, measured_curve(tracker, self._max_batch), digest


@contextmanager
def refusals(source: str) -> Iterator[None]:
    """Turns whatever is wrong with a package, or with what runs it, into ModelRefused."""
    try:
        yield
    except (PackageInvalid, RuntimeUnavailable) as error:
        raise ModelRefused(str(error)) from error
    except Exception as error:
        # A package's graphs are foreign code, and each runtime has errors of its own for those that cannot run.
        raise ModelRefused(f"{source}: it cannot be run: {error}") from error


def measurements(tracker: Tracker, curve: BatchCurve) -> dict[str, Any]:
    """What was measured when a model was loaded: milliseconds of a step for so many targets, the largest batch that
    pays, and, where there was a choice of runtimes, milliseconds of a search in each and why any was refused."""
    probe = tracker.probe
    return {
        "step_ms": {str(count): ms for count, ms in curve.step_ms.items()},
        "largest_batch": curve.largest,
        "runtimes_ms": dict(probe.search_ms) if probe else None,
        "runtimes_refused": dict(probe.refused) if probe else None,
    }


def package_digest(source: str, folders: Sequence[Path]) -> str:
    """What tells a package from others of its name: sha256 of its manifest; its name where it has none."""
    manifest = available(folders).get(source, Path(source)) / MANIFEST
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else source


def model_id(source: str) -> str:
    """The name in the API of a package that is given by its name or its folder: the folder's name."""
    return Path(os.path.normpath(Path.cwd() / source)).name
