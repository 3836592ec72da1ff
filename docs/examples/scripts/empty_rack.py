"""Remove all members of a rack, one after the other: `python empty_rack.py prod node3 node4`.

Before each removal the workers are asked what it would do. It begins only when nothing speaks against it, so that what
the last one has stirred up has settled.
"""

import asyncio
import sys
from collections.abc import Iterable

from etcd_handoff.client import ClientError, Handoff, connect

PATIENCE_SECONDS = 600
AGAIN_SECONDS = 5


async def until_healthy(handoff: Handoff, cluster: str, member: str) -> None:
    """Returns when a removal of this member would have to wait for nothing."""
    reason = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            plan = await (await handoff.remove(cluster, member, dry_run=True)).result()
            if not plan.blocked_by:
                return
            if plan.blocked_by != reason:
                reason = plan.blocked_by
                print(f"{member} has to wait: {reason}")
            await asyncio.sleep(AGAIN_SECONDS)


async def empty(cluster: str, members: Iterable[str]) -> None:
    """All members have left when this returns; the first one that cannot leave stops it."""
    handoff = await connect()
    for member in members:
        await until_healthy(handoff, cluster, member)
        removal = await handoff.remove(cluster, member, reason="the rack is emptied", blocked_timeout_seconds=600)
        print(f"{member}: {(await removal.result()).outcome}")


if __name__ == "__main__":
    try:
        asyncio.run(empty(sys.argv[1], sys.argv[2:]))
    except TimeoutError:
        sys.exit(f"not healthy within {PATIENCE_SECONDS} s; start it again later, with the members that are left")
    except ClientError as error:
        sys.exit(f"stopped: {error}")
