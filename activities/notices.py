"""The activity that sends a notice of what an operation needs to a webhook."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from etcd_handoff.temporal.failure_converter import NOT_DELIVERED
from etcd_handoff.webhook import DeliveryError, deliver
from etcd_handoff.webhook_notice import Notice

if TYPE_CHECKING:
    from etcd_handoff.config.notifications import NotificationsProfile

MOST_AT_ONCE = 4
"""Limits the threads: a receiver that answers one byte now and then keeps a thread for long."""


class NoticeActivities:
    """The activity on the webhook.

    Args:
        profile: Where the webhook is; None if the configuration has none.
    """

    def __init__(self, profile: NotificationsProfile | None) -> None:
        self._profile = profile
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="webhook")

    @activity.defn
    async def send_notice(self, notice: Notice) -> int:
        """Send a notice once, signed. The receiver can recognize a repeated one by its ID.

        Afterwards the receiver has accepted it.

        Returns:
            The status of the receiver's answer.

        Raises:
            ApplicationError: The configuration names no webhook, or the notice was not delivered.
        """
        if self._profile is None:
            msg = "this worker's configuration has no table notifications; give all workers the same, and restart them"
            raise ApplicationError(msg, type=NOT_DELIVERED)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, deliver, self._profile, notice)
        except DeliveryError as error:
            raise ApplicationError(str(error), type=NOT_DELIVERED) from None
