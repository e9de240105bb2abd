"""What a tracker is: geometry, crops, networks, the tracking loop, model packages and runtimes."""
