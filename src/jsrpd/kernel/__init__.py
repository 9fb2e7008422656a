"""Linux only: bpf(2), rtnetlink, packet and path sockets, sysctls. Mechanisms, no decisions."""
