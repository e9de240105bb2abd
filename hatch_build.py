"""Builds the region decoder, a C extension over libjpeg-turbo, where a compiler and the library's headers are.

Elsewhere the build goes on without it: the wheel is pure Python then, and frames are decoded whole.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.errors import CCompilerError, ExecError, PlatformError

MODULE = "service.engine._region_jpeg"


class RegionDecoderHook(BuildHookInterface[Any]):
    """Adds the extension to a wheel; an editable install gets it beside the sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """As hatchling calls it before it packs a wheel; `version` is "standard" or "editable"."""
        root = Path(self.root)
        home = root.joinpath(*MODULE.split(".")[:-1])
        self._folder = tempfile.mkdtemp()
        if version == "editable":
            for old in home.glob("_region_jpeg*.so"):
                old.unlink()
        try:
            built = _compiled(root / "native", Path(self._folder))
        except (CCompilerError, ExecError, PlatformError) as error:
            self.app.display_warning(f"lockon: built without the region decoder, frames are decoded whole ({error})")
            return
        if version == "editable":
            shutil.copy(built, home)
        else:
            build_data["force_include"][str(built)] = str(home.relative_to(root) / built.name)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data |= {"pure_python": False, "tag": f"cp311-abi3-{platform}"}
        self.app.display_info("lockon: built with the region decoder")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """As hatchling calls it when the wheel is packed."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _compiled(sources: Path, folder: Path) -> Path:
    """The extension's file, made in `folder`; raises what setuptools raises where it cannot be made."""
    files = [str(path) for path in sorted(sources.glob("*.c"))]
    flags = ["-std=c11"] if os.name == "posix" else []
    extension = Extension(MODULE, files, libraries=["jpeg"], extra_compile_args=flags, py_limited_api=True)
    command = Distribution({"name": "lockon", "ext_modules": [extension]}).get_command_obj("build_ext")
    command.build_lib = command.build_temp = str(folder)
    command.ensure_finalized()
    command.run()
    (built,) = map(Path, command.get_outputs())
    return built
