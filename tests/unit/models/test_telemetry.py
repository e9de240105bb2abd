"""Libraries keep no notes of who uses them how."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOADING = "from models.package import load_tracker; load_tracker('siamfcpp_tiny', kind={kind!r})"


@pytest.mark.parametrize("kind", ["onnxruntime", "openvino"])
def test_loading_a_model_leaves_nothing_in_the_home_folder(kind: str, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    loading = [sys.executable, "-B", "-c", LOADING.format(kind=kind)]
    subprocess.run(loading, env=kept | {"HOME": str(tmp_path)}, check=True, timeout=60)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
