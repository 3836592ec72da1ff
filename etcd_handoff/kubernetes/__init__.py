"""API servers: one gateway to EtcdMembers, which asks them in turn. No other package imports the Kubernetes client."""
