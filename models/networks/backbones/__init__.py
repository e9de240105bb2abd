"""Feature extractors, one file per published network."""
