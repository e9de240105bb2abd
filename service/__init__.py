"""The doors and the engine: everything between a socket and the models."""
