"""What Temporal is told of any exception in an activity: its type, its words, and whether it is tried again."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from etcd3aio.errors import EtcdError as LibraryError
from hypothesis import given
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.interceptor import ActivityInterceptor, failure, report_progress, safe_text
from etcd_handoff.errors import (
    ApiUnavailableError,
    ConfigError,
    EtcdPermissionError,
    KubernetesPermissionError,
    UnauthenticatedError,
    UnknownClusterError,
    UnreachableError,
)
from etcd_handoff.etcd.classify import GRANT_ROOT
from etcd_handoff.etcd.translation import translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def by_files() -> EtcdPermissionError:
    """A refusal of credentials that lie in files."""
    error = EtcdPermissionError("etcdserver: permission denied")
    error.by_files = True
    return error


@pytest.mark.parametrize(
    ("error", "kind", "final"),
    [
        (UnknownClusterError("cluster: no profile"), "UnknownCluster", 15),
        (ConfigError("wrong"), "InvalidInput", 15),
        (KubernetesPermissionError("403: no"), "PermissionDenied", 15),
        (EtcdPermissionError("etcdserver: user name is empty"), "PermissionDenied", 1),
        (by_files(), "PermissionDenied", 15),
        (UnreachableError("no answer"), "StepFails", 4),
        (ZeroDivisionError("division by zero"), "StepFails", 4),
    ],
)
def test_failure_is_tried_again_so_often(error: Exception, kind: str, final: int) -> None:
    """What another worker may do soon elsewhere; what nobody foresaw a few times; and then it is the step's end."""
    for attempt in range(1, final + 2):
        found = failure(error, attempt)
        assert isinstance(found, ApplicationError)
        assert (found.type, found.non_retryable) == (kind, attempt >= final)
        elsewhere = kind != "StepFails" and attempt < final
        assert found.next_retry_delay == (timedelta(milliseconds=200) if elsewhere else None)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            EtcdPermissionError("etcdserver: permission denied"),
            f"etcd does not allow it: {GRANT_ROOT}. Seen: etcdserver: permission denied",
        ),
        (
            UnauthenticatedError("401: Unauthorized"),
            "Kubernetes does not allow it: renew the credentials of the kubeconfig. Seen: 401: Unauthorized",
        ),
    ],
)
def test_refusal_of_rights_says_first_what_to_do(error: Exception, text: str) -> None:
    """Then come the server's words, all of them: lists and pages cut a text at its end."""
    found = failure(error, 1)
    assert isinstance(found, ApplicationError)
    assert found.message == text


def test_what_kubernetes_answers_is_tried_for_as_long_as_it_is_waited_for() -> None:
    """The workflow's patience ends a record, not a count of attempts."""
    found = failure(ApiUnavailableError("500: webhook"), 10_000)
    assert isinstance(found, ApplicationError)
    assert (found.type, found.non_retryable, found.message) == ("StepFails", False, "500: webhook")


def test_failure_of_ours_passes_as_it_is() -> None:
    """An activity that says itself how it failed is not translated."""
    error = ApplicationError("said", type="Own", non_retryable=True)
    assert failure(error, 1) is error


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("etcdserver: authentication is not enabled", "remove username and password_file"),
        ("etcdserver: authentication failed, invalid user ID or password", "correct username, and the password"),
        ("etcdserver: user name is empty", "give the profile username and password_file"),
        ("etcdserver: user name not found", "common name"),
        ("etcdserver: permission denied", "give the profile a user with the root role"),
    ],
)
def test_remedy_fits_the_refusal(words: str, remedy: str) -> None:
    """The root role helps only who has authentication and a user."""
    assert remedy in str(failure(translated(LibraryError(words), change=True), 1))


ADDRESS = st.one_of(
    st.ip_addresses(v=4).map(lambda a: f"{a}:2379"),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda a: f"[{a}]:6443"),
    st.ip_addresses(v=6).map(lambda a: f"https://[{a}]:6443/apis"),
    st.sampled_from(["https://api.example.com:6443/apis/x?y=1", "etcd-0.etcd.svc:2379", "node2:2379"]),
)


@given(
    st.sampled_from(["", "Cannot connect to host ", "dial tcp ", "("]), ADDRESS, st.sampled_from(["", " ssl:1", ")"])
)
def test_no_address_reaches_a_history(before: str, address: str, after: str) -> None:
    """Whatever library speaks: its addresses are left out."""
    text = safe_text(RuntimeError(f"{before}{address}{after}"))
    assert address not in text
    assert "2379" not in text
    assert "6443" not in text


@given(st.text(max_size=2000))
def test_text_is_one_short_line(words: str) -> None:
    """Class first, at most 200 characters, no line break."""
    text = safe_text(ValueError(words))
    assert text.startswith("ValueError")
    assert len(text) <= 200
    assert len(text.splitlines()) == 1


# --- the frame ------------------------------------------------------------------------------------------------------


async def framed(body: Callable[[], Awaitable[Any]], beat: Callable[..., None] = lambda *_: None, **info: Any) -> None:
    """Run as an activity of a worker does."""

    class Innermost(ActivityInboundInterceptor):
        def __init__(self) -> None:
            """There is no next one."""

        async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
            return await input.fn()

    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, **info)
    environment.on_heartbeat = beat
    frame = ActivityInterceptor().intercept_activity(Innermost())

    async def run() -> Any:
        return await frame.execute_activity(ExecuteActivityInput(fn=body, args=[], executor=None, headers={}))

    await environment.run(run)


async def test_bug_becomes_a_readable_failure_without_a_cause() -> None:
    """A cause would carry a library's words, and with them addresses, into the history."""

    async def bug() -> None:
        msg = "connect to 10.0.0.1:2379 failed"
        raise RuntimeError(msg) from OSError("10.0.0.1")

    with pytest.raises(ApplicationError) as caught:
        await framed(bug, attempt=4)
    assert (caught.value.type, caught.value.non_retryable) == ("StepFails", True)
    assert caught.value.message == "RuntimeError: connect to ... failed"
    assert caught.value.__cause__ is None


async def test_step_that_hangs_ends_before_temporal_gives_it_up() -> None:
    """It says how long it waited, where Temporal would only say that a time-out passed."""

    async def hangs() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ApplicationError, match=r"gave no answer within 0\.09 s") as caught:
        await framed(hangs, start_to_close_timeout=timedelta(seconds=0.1))
    assert caught.value.type == "StepFails"


async def test_time_out_of_the_step_itself_is_its_own() -> None:
    """A TimeoutError from within is no end of the step's time."""

    async def own() -> None:
        raise TimeoutError

    with pytest.raises(ApplicationError, match="StepFails: TimeoutError"):
        await framed(own, start_to_close_timeout=timedelta(seconds=60))


async def test_cancellation_stays_one() -> None:
    """The frame turns no cancellation into a failure."""
    begun = asyncio.Event()

    async def waits() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(framed(waits, start_to_close_timeout=timedelta(seconds=60)))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_heartbeats_carry_the_progress() -> None:
    """What an activity reports goes with every further beat."""
    beaten = asyncio.Event()

    async def works() -> None:
        report_progress(700)
        await beaten.wait()

    beats = list[tuple[Any, ...]]()

    def beat(*details: Any) -> None:
        beats.append(details)
        beaten.set()

    await framed(works, beat, heartbeat_timeout=timedelta(milliseconds=3))
    assert beats[0] == (700,)
