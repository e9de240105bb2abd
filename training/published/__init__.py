"""Crops and disturbances of training pairs exactly as in published code bases."""
