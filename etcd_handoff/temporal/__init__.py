"""Temporal: the client, the conversion of data, the parts of a worker, and how a process ends that used it."""
