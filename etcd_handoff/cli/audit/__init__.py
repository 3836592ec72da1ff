"""The audit trail of an operation, read from Temporal's own records."""
