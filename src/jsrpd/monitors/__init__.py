"""What watches beyond carrier and heartbeat: machines of the one shape. Probes and loops stand elsewhere."""
