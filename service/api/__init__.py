"""The doors: thin HTTP and WebSocket routes without logic of their own."""
