"""The audit trail of an operation, read from its Temporal histories."""
