"""What a tracker is: geometry, crops, networks, the tracking loop, model packages and runtimes."""

import os
import sys

# ONNX Runtime 1.31 collects telemetry for its maker, in a database that all processes of a user share; they wait for
# each other at their ends, up to half a minute. It reads this once, when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# OpenVINO tells its maker of every import, by a process of its own, and keeps a number for that in the home folder. It
# does without where this package is missing, which None stands for.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
