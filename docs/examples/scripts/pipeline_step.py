"""Remove a member as a step of a pipeline, without asyncio: `python pipeline_step.py prod node2 > result.json`.

Progress goes to standard error, the result in JSON to standard output. Exit status as that of etcd-handoff: 0 done,
1 failed, 2 wrong input, 3 refused or blocked by safety, 4 Temporal cannot be reached. The step may be run again: it
attaches to a removal that runs. One that was done ends as `already-absent` while the EtcdMember is there. Without
it nobody knows the name any more, and the step fails as `UnknownMember`.
"""

import sys

from etcd_handoff.client import ClientError
from etcd_handoff.client.blocking import connect


def step(cluster: str, member: str) -> str:
    """The result in JSON, once the member has left."""
    with connect() as handoff:
        removal = handoff.remove(cluster, member, reason="the pipeline", blocked_timeout_seconds=900)
        print(removal.workflow_id, file=sys.stderr)
        for now in removal.progress():
            print(now.state, now.doing, file=sys.stderr, flush=True)
        return removal.result().model_dump_json()


if __name__ == "__main__":
    try:
        print(step(*sys.argv[1:]))
    except ClientError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
