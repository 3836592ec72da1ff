"""How a page's output is compared with what was printed."""

from __future__ import annotations

import pytest

from tests.integration.pages import missing_lines

PRINTED = "Status   WorkflowId  RunId\nRunning  etcd-remove/prod/node2   4711\n\nTotal: 1\n"


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ("Status WorkflowId RunId\nRunning etcd-remove/prod/node2 <ID>\n...\nTotal: 1\n", []),
        ("Total: <number>\n", []),
        ("Total: <number> more\n", ["Total: <number> more"]),
        ("Total: 1\nRunning etcd-remove/prod/node2 <ID>\n", ["Running etcd-remove/prod/node2 <ID>"]),
        ("Total\n", ["Total"]),
        ("", []),
    ],
)
def test_lines_are_found_in_their_order(shown: str, missing: list[str]) -> None:
    """Whole lines, but for spaces and placeholders."""
    assert missing_lines(shown, PRINTED) == missing
