"""Bytes and values: the envelope that authenticates, the heartbeat inside it, and the link that joins them."""
