"""Where sessions are saved so that they outlive their server."""
