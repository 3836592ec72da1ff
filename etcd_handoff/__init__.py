"""Hold what the workflows, the activities and the command line share."""

__version__ = "0.1.0"
