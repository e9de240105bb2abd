"""Model packages: a folder with model.json (spec, origin, scores, sha256 of each file), graphs and weights.

`find_package` and `load_tracker` take a package's name in the zoo or the path of its folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.geometry import Box
from models.runtimes.base import GraphInvalid
from models.runtimes.dummy import DUMMY_SPEC, DummyRuntime
from models.runtimes.kinds import GraphFormat, Precision, RuntimeKind
from models.runtimes.opening import Graphs, graph_format, open_runtime, precision_of
from models.runtimes.probing import Probe, fastest
from models.spec import ModelSpec, SpecInvalid
from models.tracker import Tracker

FORMAT = 1
MANIFEST = "model.json"
WEIGHTS = "weights.safetensors"
MODEL_CARD = "MODEL_CARD.md"
DUMMY = "dummy"
DEFAULT_MODEL = "siamfcpp_light"
ZOO = Path(__file__).parent / "zoo"

_KEYS = ("format", "name", "version", "spec", "origin", "scores", "files")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class PackageInvalid(ValueError):
    """A folder is no sound model package, or there is none of that name; the message names the file and the values."""


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """What model.json says. `origin` (data, licences, commit, seed) and `scores` are for people and reports."""

    name: str
    version: str
    folder: Path
    spec: ModelSpec
    origin: Mapping[str, Any]
    scores: Mapping[str, Any]
    files: Mapping[str, Path]

    def file(self, name: str) -> Path:
        """The path of one of the package's files."""
        if name not in self.files:
            raise PackageInvalid(f"{self.folder / MANIFEST}: the package has no file {name!r}")
        return self.files[name]


def read_package(folder: Path) -> ModelPackage:
    """The package in `folder`, with every listed file present and of the stated size and sha256."""
    manifest = folder / MANIFEST
    data = _manifest_data(manifest)
    try:
        spec = ModelSpec.from_json(data["spec"])
    except SpecInvalid as error:
        raise PackageInvalid(f"{manifest}: {error}") from error
    files = {name: _checked_file(folder, name, entry) for name, entry in data["files"].items()}
    return ModelPackage(data["name"], data["version"], folder, spec, data["origin"], data["scores"], files)


def write_package(
    folder: Path,
    name: str,
    spec: ModelSpec,
    files: Mapping[str, Path | bytes],
    origin: Mapping[str, Any],
    scores: Mapping[str, Any],
    *,
    version: str = "1",
) -> ModelPackage:
    """Writes a package and reads it back. `files` gives the content, or the path of a file to copy, by name.

    The folder appears complete or not at all. An older package in its place is replaced; any other folder is left alone
    and refused.
    """
    _require_safe_name(folder / MANIFEST, name)
    for file in files:
        _require_safe(folder, file)
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise PackageInvalid(f"{folder} exists and holds no {MANIFEST}; choose another folder or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The temporary folders lie beside the package: a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        draft = Path(scratch) / "new"
        draft.mkdir()
        entries = {file: _written(draft / file, content) for file, content in files.items()}
        values = (FORMAT, name, version, spec.to_json(), dict(origin), dict(scores), entries)
        text = json.dumps(dict(zip(_KEYS, values, strict=True)), indent=2, ensure_ascii=False, allow_nan=False)
        (draft / MANIFEST).write_text(text + "\n", encoding="utf-8")
        read_package(draft)
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        draft.rename(folder)
    return read_package(folder)


def available(folders: Sequence[Path] = (ZOO,)) -> dict[str, Path]:
    """Name -> folder of every package that lies in one of `folders`; the first folder wins. Nothing is checked yet."""
    found: dict[str, Path] = {}
    for folder in folders:
        for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return found


def find_package(name_or_path: str, folders: Sequence[Path] = (ZOO,)) -> ModelPackage:
    """The package of that name in `folders`, else the one in the folder of that path."""
    known = available(folders)
    folder = known.get(name_or_path, Path(name_or_path))
    if not (folder / MANIFEST).is_file():
        names = ", ".join([*known, DUMMY])
        raise PackageInvalid(f"no model {name_or_path!r}: known are {names}, or give the path of a package's folder")
    return read_package(folder)


def load_tracker(
    name_or_path: str,
    threads: int = 1,
    folders: Sequence[Path] = (ZOO,),
    *,
    kind: RuntimeKind | Literal["auto"] = RuntimeKind.ONNXRUNTIME,
    device: str = "cpu",
    precision: Precision | Literal["auto"] = Precision.F32,
) -> Tracker:
    """A tracker that has run once and is ready; `dummy` needs neither package nor runtime.

    threads: how many one run of a graph may use. kind, device, precision: see `models.runtimes.opening.open_runtime`;
    `auto` takes what `models.runtimes.probing` finds to be fastest, or what has that precision; and bf16 where
    `models.runtimes.opening.precision_of` says so.
    Raises PackageInvalid, and RuntimeUnavailable for what this machine or the runtime lacks."""
    if name_or_path == DUMMY:
        return Tracker(DUMMY_SPEC, DummyRuntime())
    package = find_package(name_or_path, folders)
    probe: Probe | None = None
    try:
        if kind == "auto":
            graphs = package_graphs(package, GraphFormat.ONNX)
            runtime, probe = fastest(graphs, package.spec, threads=threads, device=device, precision=precision)
        else:
            numbers = precision_of(precision, kind, device, package.spec)
            graphs = package_graphs(package, graph_format(kind, numbers))
            runtime = open_runtime(graphs, kind, threads=threads, device=device, precision=numbers)
    except GraphInvalid as error:
        raise PackageInvalid(str(error)) from error
    tracker = Tracker(package.spec, runtime, probe)
    try:
        _warm_up(tracker)
    except Exception as error:  # every runtime has errors of its own for a graph that takes other shapes or numbers
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PackageInvalid(f"{package.folder}: the graphs do not take what the spec says: {reason}") from error
    return tracker


def package_graphs(package: ModelPackage, kind: GraphFormat) -> Graphs:
    """The package's graphs of that format; raises PackageInvalid, with the command that makes them, if it has none."""
    if (name := template_graph(kind.suffix)) not in package.files and kind is not GraphFormat.ONNX:
        raise PackageInvalid(
            f"{package.folder} has no {name}; `lockon export {package.folder} --format {kind}` adds the graphs"
        )
    names = {size: search_graph(size, package.spec, kind.suffix) for size in package.spec.search_sizes}
    return Graphs(package.file(name), {size: package.file(search) for size, search in names.items()})


def template_graph(suffix: str = "onnx") -> str:
    """Name of the file with the template graph."""
    return f"template.{suffix}"


def search_graph(search_size: int, spec: ModelSpec, suffix: str = "onnx") -> str:
    """Name of the file with the search graph for crops of that side; the usual one has the plain name."""
    return f"search.{suffix}" if search_size == spec.crop.search_size else f"search_{search_size}.{suffix}"


def _warm_up(tracker: Tracker) -> None:
    """One run of the usual graphs: the first one costs several times as much as the others."""
    frame = np.zeros((64, 64, 3), np.uint8)
    tracker.follow(tracker.start(frame, Box(16, 16, 32, 32)), frame)


def _manifest_data(manifest: Path) -> dict[str, Any]:
    """The manifest's content with the right keys and kinds of values; spec and files are looked into later."""
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
    except OSError as error:
        raise PackageInvalid(f"{manifest}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PackageInvalid(f"{manifest}: is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise PackageInvalid(f"{manifest}: expected an object, got {type(data).__name__}")
    _require_keys(str(manifest), data, _KEYS)
    if data["format"] != FORMAT:
        raise PackageInvalid(f"{manifest}: format is {data['format']!r}; this version reads format {FORMAT}")
    for key, kind in (("name", str), ("version", str), ("origin", dict), ("scores", dict), ("files", dict)):
        if not isinstance(data[key], kind):
            raise PackageInvalid(f"{manifest}: {key} is {data[key]!r}; expected a {kind.__name__}")
    _require_safe_name(manifest, data["name"])
    return data


def _checked_file(folder: Path, name: str, entry: Any) -> Path:
    """The path of a listed file that is what its entry says."""
    _require_safe(folder, name)
    path = folder / name
    if not isinstance(entry, dict):
        raise PackageInvalid(f"{folder / MANIFEST}: files.{name} is {entry!r}; expected sha256 and bytes")
    _require_keys(f"{folder / MANIFEST}: files.{name}", entry, ("sha256", "bytes"))
    if not path.is_file():
        raise PackageInvalid(f"{path}: is missing, but {MANIFEST} lists it")
    if (size := path.stat().st_size) != entry["bytes"]:
        raise PackageInvalid(f"{path}: has {size} bytes; {MANIFEST} says {entry['bytes']!r}")
    if (found := _sha256(path)) != entry["sha256"]:
        raise PackageInvalid(f"{path}: has sha256 {found}; {MANIFEST} says {entry['sha256']!r}")
    return path


def _written(path: Path, content: Path | bytes) -> dict[str, Any]:
    """Writes or copies one file; returns its entry for the manifest."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)
    return {"sha256": _sha256(path), "bytes": path.stat().st_size}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_keys(where: str, data: Mapping[str, Any], keys: Sequence[str]) -> None:
    if unknown := sorted(set(data) - set(keys)):
        raise PackageInvalid(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(keys)}")
    if missing := [key for key in keys if key not in data]:
        raise PackageInvalid(f"{where}: the key {missing[0]!r} is missing")


def _require_safe_name(manifest: Path, name: str) -> None:
    """Results and reports are called after the package."""
    if not _SAFE_NAME.fullmatch(name):
        raise PackageInvalid(f"{manifest}: name is {name!r}; expected at most 100 letters, digits, _ . -, no folders")


def _require_safe(folder: Path, name: str) -> None:
    if not _SAFE_NAME.fullmatch(name) or name == MANIFEST:
        raise PackageInvalid(
            f"{folder / MANIFEST}: {name!r} is no safe file name: letters, digits, _ . - only, no folders"
        )
