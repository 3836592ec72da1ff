"""Temporal: the client, how data crosses it, what a worker needs of it, and how a process that used it ends."""
