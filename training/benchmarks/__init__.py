"""Published benchmarks: sequences, protocols, metrics, result files and reports. Needs no torch."""
