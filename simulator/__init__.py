"""A deterministic simulator of the cluster: the production core over simulated clocks, links, kernels and faults.

Nothing here reads a real clock or a global random source; a run is a function of its seed.
"""
