"""What a tracker is: geometry, crops, networks, the tracking loop, model packages and runtimes."""

import os

# ONNX Runtime 1.31 collects telemetry for its maker, in a database that all processes of a user share; they wait for
# each other at their ends, up to half a minute. It reads this once, when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
