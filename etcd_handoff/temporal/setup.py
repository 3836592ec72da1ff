"""Checks of a worker before it takes work: the server is new enough, and the namespace exists.

Managed Temporal sometimes refuses DescribeNamespace to an ordinary API key. A refusal is no reason to stop if another
call gives the answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.errors import ConfigError, HandoffError

if TYPE_CHECKING:
    from temporalio.client import Client

OLDEST_SERVER: Final = (1, 25)
"""From this version on DescribeWorkflowExecution reports a chain's first run (`first_run_id`). By it, the queue of
changes knows whether a removal has ended."""
NOT_FOR_US: Final = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED})
"""The server answers, but not this call or not to these credentials."""


class ServerTooOldError(HandoffError):
    """This version of Temporal's server lacks what the queue of changes needs."""


async def check_server(client: Client) -> None:
    """Check that the server is new enough. A server that does not report its version is accepted.

    Raises:
        ServerTooOldError: It is older than `OLDEST_SERVER`.
        RPCError: It does not answer.
    """
    try:
        info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    except RPCError as error:
        if error.status in NOT_FOR_US:
            return
        raise
    if too_old(info.server_version):
        oldest = ".".join(map(str, OLDEST_SERVER))
        msg = f"Temporal Server {oldest} or newer is needed, and this one is {info.server_version}; upgrade it first"
        raise ServerTooOldError(msg)


def too_old(version: str) -> bool:
    """Return whether a version such as `1.24.2` is below `OLDEST_SERVER`. An unreadable one is not."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) < OLDEST_SERVER


async def check_namespace(client: Client) -> bool:
    """Check that the namespace exists, if these credentials may ask for it.

    Returns:
        Whether they may.

    Raises:
        ConfigError: There is no such namespace.
        RPCError: Temporal does not answer.
    """
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            msg = f"Temporal has no namespace {client.namespace!r}; set TEMPORAL_NAMESPACE to one that it has"
            raise ConfigError(msg) from None
        if error.status in NOT_FOR_US:
            return False
        raise
    return True
