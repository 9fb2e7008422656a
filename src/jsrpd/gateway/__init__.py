"""What others' tools see of the cluster: metrics, over HTTP. Unprivileged in spirit: it asks the engine and shows."""
