"""From a waiting frame to its result: sessions, scheduler, workers."""
