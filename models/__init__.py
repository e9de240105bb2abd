"""What a tracker is: geometry, crops, networks, the tracking loop, model packages and runtimes."""

import os

# ONNX Runtime 1.31 sends measurements to its maker, over a database that all its processes share; they wait for each
# other at their ends, up to half a minute. It reads this once, when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
