"""Lockon as a tracker of other people's evaluation toolkits."""
