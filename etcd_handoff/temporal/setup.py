"""What a worker needs of Temporal before it takes work: a server that is new enough, a namespace, search attributes.

Managed Temporal refuses some of these questions to an ordinary API key: the OperatorService always, DescribeNamespace
sometimes. A refusal is no reason to stop where another question gives the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeNamespaceRequest,
    GetSystemInfoRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.errors import ConfigError, HandoffError
from etcd_handoff.temporal.converter import CLUSTER_KEY, KEYWORD, MEMBER_KEY, STATE_KEY, attributes_of_another_type

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import Client
    from temporalio.worker import Worker

OLDEST_SERVER: Final = (1, 25)
"""From here on DescribeWorkflowExecution tells a chain's first run (`first_run_id`), by which the queue of changes
knows whether a removal has ended."""
REGISTER: Final = (
    "register EtcdCluster, EtcdMember and HandoffState as Keyword with `temporal operator search-attribute create`,"
    " or in the console of a managed Temporal, then restart the workers"
)
NOT_FOR_US: Final = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED})
"""The server answers, but not this question and not to these credentials."""
QUESTION_SECONDS: Final = timedelta(seconds=5)
"""How long Temporal may take for the question whether it still answers."""
RENEW_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 15.0
"""After so long without an answer a worker counts as one that takes no work."""

log = logging.getLogger(__name__)


class ServerTooOldError(HandoffError):
    """This version of Temporal's server lacks what the queue of changes stands on."""


async def check_server(client: Client) -> None:
    """Return when the server is new enough, or does not tell its version.

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
    """Whether a version such as `1.24.2` is below `OLDEST_SERVER`; what cannot be read is not."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < OLDEST_SERVER


async def check_namespace(client: Client) -> bool:
    """Return when the namespace exists, or these credentials may not ask for it.

    Returns:
        Whether they may.

    Raises:
        ConfigError: There is no such namespace.
        RPCError: Temporal does not say.
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


async def ensure_search_attributes(client: Client) -> bool:
    """Whether the namespace has our search attributes; they are registered when they are missing and we may."""
    why = await _register(client)
    if why:
        log.warning("running without search attributes: %s; %s", why, REGISTER)
    return not why


async def _register(client: Client) -> str:
    """Why search attributes cannot be used; empty when they can."""
    try:
        known = await registered(client)
        names = [key.name for key in (CLUSTER_KEY, MEMBER_KEY, STATE_KEY)]
        missing = {name: KEYWORD for name in names if name not in known}
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        # Another worker may have registered them meanwhile.
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return ""
        return await unusable(client) if error.status in NOT_FOR_US else error.message.rstrip(".")
    # Temporal refuses a value of another type, and with it the workflow task, again and again.
    odd = attributes_of_another_type(known)
    return f"not of type Keyword, to be removed first: {', '.join(odd)}" if odd else ""


async def registered(client: Client) -> dict[str, int]:
    """The namespace's custom search attributes, each with its `IndexedValueType`.

    Raises:
        RPCError: These credentials may not ask, or Temporal does not answer.
    """
    asked = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await client.operator_service.list_search_attributes(asked)
    return {name: int(kind) for name, kind in answer.custom_attributes.items()}


async def unusable(client: Client) -> str:
    """Why no query can name our search attributes, asked by such a query; empty when one can.

    The server refuses a query that names an attribute which is not registered, or a value of another type (Temporal
    `common/persistence/visibility/store/query/converter.go`). Every client may count workflows.
    """
    query = " AND ".join(f'{key.name} = "none"' for key in (CLUSTER_KEY, MEMBER_KEY, STATE_KEY))
    try:
        await client.workflow_service.count_workflow_executions(
            CountWorkflowExecutionsRequest(namespace=client.namespace, query=query)
        )
    except RPCError as error:
        return error.message.rstrip(".") or error.status.name
    return ""


def skip_validation(worker: Worker) -> None:
    """Let a worker start although its credentials may not describe the namespace, for which the SDK would end it."""

    async def nothing() -> Any:
        return None

    worker._bridge_worker.validate = nothing  # type: ignore[method-assign]  # noqa: SLF001  # it has no option for it


def check_ready_file(file: Path | None) -> None:
    """Return when the file can be written, and is not there.

    Raises:
        ConfigError: It cannot be, for example because its folder is missing.
    """
    if file is None:
        return
    try:
        file.touch()
        file.unlink()
    except OSError as error:
        msg = f"--ready-file {file}: {error.strerror}; name a file in a folder that this worker may write to"
        raise ConfigError(msg) from None


class Readiness:
    """Files that probes look at.

    `file` is fresh as long as this worker takes work, and else it is not there. `file` with `.alive` at its end is
    fresh as long as the process works: a worker that waits for Temporal to come back must not be restarted for it.

    Args:
        file: The file; None where nobody named one.
        client: The worker's client.
        may_describe: These credentials may describe their namespace, so that a refusal is news.
    """

    def __init__(self, file: Path | None, client: Client, *, may_describe: bool) -> None:
        self._file = file
        self._alive = file.with_name(f"{file.name}.alive") if file else None
        self._client = client
        self._may_describe = may_describe
        self._answered = time.monotonic()

    async def keep(self, stop: asyncio.Event) -> None:
        """Renew the file again and again until `stop` is set, then take it away."""
        while not stop.is_set():
            await self.renew()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RENEW_SECONDS)
        self.withdraw()
        if self._alive is not None:
            self._alive.unlink(missing_ok=True)

    async def renew(self) -> None:
        """Touch the file when Temporal answers; take it away when it has not answered for `SILENT_SECONDS`."""
        if self._file is None or self._alive is None:
            return
        self._alive.touch()
        if await self._answers():
            self._answered = time.monotonic()
            self._file.touch()
        elif time.monotonic() - self._answered > SILENT_SECONDS:
            self.withdraw()

    def withdraw(self) -> None:
        """Take the file away: this worker takes no work any more."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    async def _answers(self) -> bool:
        """Whether Temporal takes what this worker asks: polls have the same address, namespace and credentials."""
        asked = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            await self._client.workflow_service.describe_namespace(asked, timeout=QUESTION_SECONDS)
        except RPCError as error:
            busy = error.status is RPCStatusCode.RESOURCE_EXHAUSTED
            return busy or (error.status in NOT_FOR_US and not self._may_describe)
        return True
