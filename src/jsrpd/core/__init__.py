"""Decides: which node owns which redundancy group, and for how long its gate may stay open. No I/O, no clock."""
