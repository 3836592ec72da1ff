"""Which pauses come between the attempts of activities, and how many attempts there are.

How long one attempt and all of them may take is in `etcd_handoff.time_limits.workflows`. An activity may ask for
another pause, or end its attempts itself: see `etcd_handoff.time_limits.activities`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from etcd_handoff import time_limits

ATTEMPTS: Final = time_limits.STEPS.elsewhere_attempts
"""The last one says that no worker can do the step: until then it is left to another worker."""
STEP: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=10),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=5),
    maximum_attempts=ATTEMPTS,
)
"""For the steps of an operation. After the last attempt the operation is blocked, and tries again after a pause."""
NODE_LOOK: Final = RetryPolicy(maximum_attempts=2)
"""A node whose worker was just killed costs a look only one more attempt."""
LONG: Final = RetryPolicy(maximum_attempts=3)
"""For activities that may take minutes and make members read their whole keyspace each time."""
SNAPSHOT: Final = RetryPolicy(maximum_attempts=2 + time_limits.STEPS.snapshot_elsewhere_attempts)
"""Most of these attempts only look for a worker on a node that stays."""
ONCE: Final = RetryPolicy(maximum_attempts=1)
"""For activities that help but are not necessary."""
NOTE: Final = RetryPolicy(maximum_attempts=time_limits.WORKFLOWS.note_attempts)
"""For a message of an operation on an EtcdMember."""
UNTIL_TIME_IS_UP: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=10), backoff_coefficient=2, maximum_interval=timedelta(seconds=5)
)
"""For the record of an operation, whose calls have a time and no number of attempts."""
TAKE_TURN: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=4)
"""For a place in the queue. The operation asks again after a pause."""
RECALL: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=4)
"""For the question of a new queue who holds the place. The queue asks again after a pause."""
QUEUE_FOLLOW: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))
"""For a queue that follows an operation: only the end of the operation frees its place."""
WATCHER_FOLLOW: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5), maximum_attempts=20
)
"""For a watcher that follows a removal. After the last attempt the watcher shows why it cannot."""
WATCHER_STEP: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)
"""For the other calls of a watcher, which its next round repeats."""
SYNC: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=6)
"""Workers that see no member cannot read the list again, and leave it to others."""
HANDED_OVER: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5)
)
"""For a notice, and for a record that an operation has handed over: nobody waits for them."""
