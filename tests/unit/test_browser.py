"""Tests that need a browser say so where there is none."""

from __future__ import annotations

import pytest

from tests.integration import web_ui


def test_test_without_a_browser_is_skipped_with_the_command_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that did not run is told from one that passed."""
    monkeypatch.setattr(web_ui, "PROGRAMS", ("no-such-program",))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        web_ui.require_chromium()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        web_ui.require_chromium()
