"""What survives a failover besides the address: connections, carried into the peer's kernel. Pure."""
