"""API servers: one gateway to EtcdMembers, which asks them in turn. Nothing else imports the Kubernetes client."""
