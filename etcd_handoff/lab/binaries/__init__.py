"""The real programs that the lab starts: their versions, their places, and their builds."""
