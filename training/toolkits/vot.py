"""Lockon as a tracker of the VOT toolkit: a TraX server on standard input and output.

    python -m training.toolkits.vot MODEL

`trackers.ini` of a VOT workspace names this command; see docs/evaluation.md. Needs vot-trax.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import trax  # type: ignore[import-untyped]

from models.frames import Picture
from models.geometry import Box
from models.package import DEFAULT_MODEL, load_tracker
from models.tracker import Tracker
from training.benchmarks.regions import Region, start_box
from training.evaluation.sequences import USUAL_FPS, read_frame


def serve(tracker: Tracker) -> None:
    """Answers the toolkit's requests until it has no more. The confidence goes with each box."""
    regions = [trax.Region.RECTANGLE, trax.Region.POLYGON]
    with trax.Server(regions, [trax.Image.PATH], tracker_name="Lockon") as server:
        target, followed = None, 0
        while (request := server.wait()).type not in (trax.TraxStatus.QUIT, trax.TraxStatus.ERROR):
            frame = read_frame(request.image["color"].path())
            if request.type == trax.TraxStatus.INITIALIZE:
                ((region, _),) = request.objects
                box = Box(*map(float, start_box(_received(region))))
                target, followed = tracker.start(frame, box), 0
                server.status([(trax.Rectangle.create(*box.xywh()), {})])
                continue
            assert target is not None, "TraX initialises before it sends frames"
            followed += 1
            estimate = tracker.follow(target, Picture.of(frame, followed / USUAL_FPS))
            server.status([(trax.Rectangle.create(*estimate.box.xywh()), {"confidence": f"{estimate.score:.6f}"})])


def _received(region: Any) -> Region:
    """TraX's rectangle or polygon as one of ours."""
    if region.type == trax.Region.RECTANGLE:
        return np.array(region.bounds(), np.float64)
    return np.array([value for point in region for value in point], np.float64)


def main() -> None:
    """Serves the model that the command line names, or the default one."""
    serve(load_tracker(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_MODEL))


if __name__ == "__main__":
    main()
