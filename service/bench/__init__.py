"""Load on a deployment: streams of frames that come when they are due, and what became of them."""
