"""One-pass evaluation: sequences, metrics, the loop that drives any tracker, and its reports. Needs no torch."""
