"""What goes over the wire, both ways; knows bytes and messages, no sockets."""
