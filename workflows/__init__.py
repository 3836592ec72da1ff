"""Workflows: what happens in which order, and what outlives any worker."""
