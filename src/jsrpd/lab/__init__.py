"""A two-node cluster on one machine: namespaces, traffic, faults, and what is seen from the wire."""
