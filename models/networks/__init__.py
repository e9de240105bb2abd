"""Torch modules of the trackers; needed for training and export only, never for serving."""

from models.networks.build import Network, build

__all__ = ["Network", "build"]
