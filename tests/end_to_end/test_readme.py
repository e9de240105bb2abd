"""The README's example without a client, as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer

README = Path(__file__).parents[2] / "README.md"
DRAWING = Drawing()


def ran(server: RunningServer, folder: Path, box: list[float]) -> list[str]:
    """What the example prints of three frames with a target at that box."""
    (example,) = re.findall(r"bare `websockets` package:\n\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    (folder / "img").mkdir()
    for index in range(3):
        (folder / "img" / f"{index}.jpg").write_bytes(DRAWING.jpeg(index))
    code = example.replace("ws://127.0.0.1:8000", server.ws).replace("[410, 220, 64, 60]", json.dumps(box))
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_the_example_prints_a_line_for_each_frame(server: RunningServer, tmp_path: Path) -> None:
    lines = ran(server, tmp_path, list(DRAWING.box(0).xywh()))
    assert "'welcome'" in lines[0]
    results = [" ".join(line.split()[:2]) for line in lines if line[0].isdigit()]
    assert results == ["1 initializing", "2 tracking", "3 tracking"]


def test_the_example_prints_why_its_box_was_refused_and_ends(server: RunningServer, tmp_path: Path) -> None:
    lines = ran(server, tmp_path, [900, 900, 64, 60])
    assert any("'bad_box'" in line for line in lines)
    assert not any(line[0].isdigit() for line in lines)
