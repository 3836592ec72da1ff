"""docs/temporal-cli.md as written, block by block, on one cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.nodes import ROOT
from tests.integration.pages import blocks_of, follow, program

if TYPE_CHECKING:
    from tests.integration.conftest import MakeLiveCluster


async def test_recipes_work_and_print_what_the_page_shows(live_cluster: MakeLiveCluster) -> None:
    """One member leaves; everything else is cancelled or a dry run."""
    async with live_cluster(cluster="prod") as b:
        programs = b.folder / "bin"
        programs.mkdir()
        program(programs, "temporal", str(locate_binaries().temporal))
        environment = {**b.lab.environment, "PATH": f"{programs}:{os.environ['PATH']}"}
        blocks = list(blocks_of(ROOT / "docs" / "temporal-cli.md"))
        assert all(block.output for block in blocks)
        for block in blocks:
            await follow(block, environment, b.folder)
        assert {member.name for member in await b.lab.members("node0")} == {"node0", "node1"}
