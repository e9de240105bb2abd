"""Readers of training data, one file per layout."""
