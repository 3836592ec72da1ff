"""Remove one member and say what happens meanwhile: `python remove_member.py prod node2`."""

import asyncio
import sys

from etcd_handoff.client import ClientError, OperationError, connect


async def main(cluster: str, member: str) -> None:
    """The member has left when this returns."""
    handoff = await connect()
    removal = await handoff.remove(cluster, member, reason="an example")
    async for now in removal.progress():
        print(now.state, now.doing, f"(waits for: {now.waiting_for})" if now.waiting_for else "")
    try:
        result = await removal.result()
    except OperationError as error:
        sys.exit(f"{error.failure_type}: {error}")
    print(f"{result.member_name}: {result.outcome}, led before: {result.was_leader}")


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except ClientError as error:
        sys.exit(f"{type(error).__name__}: {error}")
