"""What all tests share."""

from __future__ import annotations

import os

os.environ.setdefault("GOGC", "400")
"""The lab's servers collect garbage less often: a tenth less computing at their start, for 100 MB more each."""
