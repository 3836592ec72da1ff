"""What a worker checks of Temporal before it takes work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.errors import ConfigError
from etcd_handoff.temporal.setup import ServerTooOldError, check_namespace, check_server


def client(answer: Any) -> Any:
    """A client of a Temporal that answers every question with this."""

    async def ask(_: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    service = SimpleNamespace(get_system_info=ask, describe_namespace=ask)
    return SimpleNamespace(namespace="prod", workflow_service=service)


def error(status: RPCStatusCode) -> RPCError:
    """A failure with this status."""
    return RPCError("no", status, b"")


@pytest.mark.parametrize("version", ["1.24.9", "v1.24.2", "0.30.1", "1.9.0"])
async def test_server_that_does_not_tell_the_first_run_of_a_chain_is_refused(version: str) -> None:
    """To the queue of changes every removal would seem to have ended."""
    with pytest.raises(ServerTooOldError, match=r"Temporal Server 1\.25 or newer is needed"):
        await check_server(client(SimpleNamespace(server_version=version)))


@pytest.mark.parametrize("version", ["1.25.0", "1.32.1", "2.0.0", "", "main"])
async def test_new_server_and_one_that_hides_its_version_are_taken(version: str) -> None:
    """Managed Temporal may not tell."""
    await check_server(client(SimpleNamespace(server_version=version)))
    await check_server(client(error(RPCStatusCode.PERMISSION_DENIED)))


async def test_namespace_that_is_not_there_is_told_from_one_that_may_not_be_asked_for() -> None:
    """Only the first is a mistake of the configuration."""
    with pytest.raises(ConfigError, match="no namespace 'prod'"):
        await check_namespace(client(error(RPCStatusCode.NOT_FOUND)))
    assert not await check_namespace(client(error(RPCStatusCode.PERMISSION_DENIED)))
    assert await check_namespace(client(SimpleNamespace()))


async def test_silence_of_temporal_is_no_answer() -> None:
    """It is told as what it is."""
    for check in (check_server, check_namespace):
        with pytest.raises(RPCError):
            await check(client(error(RPCStatusCode.UNAVAILABLE)))
