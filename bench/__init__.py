"""Measures the cluster, and keepalived beside it, under the same faults in the same topology (SPEC section 14)."""
