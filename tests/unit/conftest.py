"""What all unit tests share."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None)  # a busy machine is no failure
settings.load_profile("unit")
