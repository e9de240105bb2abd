"""What a tracker is: geometry, crops, networks, the tracking loop, model packages and the runtimes that execute them."""
