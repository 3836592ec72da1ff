"""Commands in texts name the cluster that they are about."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_handoff.command_lines import with_cluster


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("remove it: `etcd-handoff remove node2`", "remove it: `etcd-handoff remove node2 -c prod-b`"),
        (
            "`etcd-handoff remove node1` or `etcd-handoff remove node2`",
            "`etcd-handoff remove node1 -c prod-b` or `etcd-handoff remove node2 -c prod-b`",
        ),
        ("`etcd-handoff watch resync --confirm`", "`etcd-handoff watch resync --confirm -c prod-b`"),
        ("`etcd-handoff remove node2 -c prod-a`", "`etcd-handoff remove node2 -c prod-a`"),
        ("`etcd-handoff remove node2 --cluster prod-a`", "`etcd-handoff remove node2 --cluster prod-a`"),
        ("start `etcd-handoff worker --node node2`", "start `etcd-handoff worker --node node2`"),
        ("`etcdctl endpoint status`, etcd-handoff remove", "`etcdctl endpoint status`, etcd-handoff remove"),
    ],
)
def test_command_without_a_cluster_names_it(text: str, named: str) -> None:
    """One that names a cluster stays, and so does what is about no cluster."""
    assert with_cluster(text, "prod-b") == named
    assert with_cluster(text, "") == text


@given(st.text(alphabet="`abc -remove", max_size=60), st.sampled_from(["", "prod", "two words"]))
def test_it_can_be_done_twice(text: str, cluster: str) -> None:
    """Nothing is named a second time, and nothing but commands changes."""
    text = text.replace("remove", "etcd-handoff remove")
    once = with_cluster(text, cluster)
    assert with_cluster(once, cluster) == once
    assert re.sub(r" -c (prod|'two words')`", "`", once) == text
