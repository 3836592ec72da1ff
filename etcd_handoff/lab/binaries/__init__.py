"""The real programs that the lab starts: which ones, where they are, and how they are built."""
