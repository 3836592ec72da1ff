"""The command line `etcd-handoff`: plan, remove, status, doctor, demo, worker.

Exit status: 0 done, 1 failed, 2 bad usage or input, 3 refused or blocked by safety, 4 a server cannot be
reached, 130 after Ctrl-C.
"""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from temporalio.client import Client, WorkflowFailureError
    from temporalio.service import RPCError

    from etcd_handoff.cli_output import Finding, OpenRemoval, Story
    from etcd_handoff.client import Removal
    from etcd_handoff.config import ClusterProfile, Config, KubernetesProfile
    from etcd_handoff.model import ClusterView, Progress, RemovalRequest, RemovalResult

T = TypeVar("T")
EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_INTERRUPTED = 0, 1, 2, 4, 130

CONNECT_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.15
QUERY_SECONDS: Final = 2.0
POLLER_FRESH_SECONDS: Final = 75.0
"""A worker asks for work at least once a minute; Temporal lists it five minutes after its last request."""
NO_WORKER: Final = "no worker answers; the removal stands in Temporal and goes on once `etcd-handoff worker` runs"


class Stop(Exception):  # noqa: N818  # it ends the command, be that an error or not
    """Ends the command with a text for the terminal and an exit status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


# --- entry --------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process.

    At once: the interpreter's own exit can abort after Temporal was used (temporalio sdk-python#300).
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its log lines say again what our texts say
    status = run(argv)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    os._exit(status)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    try:
        given = parser().parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_USAGE
    try:
        status: int = given.run(given)
    except KeyboardInterrupt:
        tell_error("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001  # no traceback on a terminal, whatever went wrong
        status, text = explain(error)
        tell_error(text)
    return status


def explain(error: Exception) -> tuple[int, str]:
    """Exit status and text for what a command ended with."""
    from etcd_handoff import errors

    kinds: tuple[tuple[type[Exception], int, str], ...] = (
        (Stop, getattr(error, "status", EXIT_FAILED), ""),
        (errors.ConfigError, EXIT_USAGE, ""),
        (errors.EtcdPermissionError, EXIT_FAILED, "etcd does not allow it: "),
        (errors.UnreachableError, EXIT_UNREACHABLE, "etcd cannot be read: "),
        (errors.ApiUnavailableError, EXIT_UNREACHABLE, "Kubernetes cannot be read: "),
        (errors.KubernetesPermissionError, EXIT_FAILED, "Kubernetes does not allow it: "),
        (errors.HandoffError, EXIT_FAILED, ""),
    )
    for kind, status, words in kinds:
        if isinstance(error, kind):
            return status, f"{words}{error}"
    if isinstance(error, OSError) and error.filename:
        return EXIT_USAGE, f"{error.filename}: {error.strerror}; correct the path or its permissions"
    return EXIT_FAILED, f"unexpected {type(error).__name__}: {error}"


def parser() -> argparse.ArgumentParser:
    """All commands; the common options are accepted before and after the command."""
    options = argparse.ArgumentParser(
        prog="etcd-handoff",
        description="Takes an etcd member, the leader too, out of a live cluster safely.",
        epilog="Exit status: 0 done, 1 failed, 2 bad usage or input, 3 refused or blocked by safety,"
        " 4 a server cannot be reached.",
    )
    options.add_argument("--version", action=_Version)
    _add_common(options, cluster=None, config=None, output="table")
    common = argparse.ArgumentParser(add_help=False)
    quiet = argparse.SUPPRESS
    _add_common(common, cluster=quiet, config=quiet, output=quiet)
    commands = options.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[common], help=text, description=f"{text}.")
        command.set_defaults(run=function)
        return command

    demo = add("demo", demo_command, "Take the leader out of a real three-member cluster on this machine")
    demo.add_argument("--keep", action="store_true", help="leave the cluster running until Ctrl-C")
    worker = add("worker", worker_command, "Run a worker until SIGTERM or Ctrl-C")
    worker.add_argument("--node", default=socket.gethostname(), help="node it runs on (default: host name)")
    worker.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    plan = add("plan", plan_command, "Say what a removal would do now; reads etcd, changes nothing")
    plan.add_argument("member", metavar="MEMBER", help="member name, or member ID in hex")
    _add_removal(add("remove", remove_command, "Remove a member, or follow its removal that runs already"))
    add("status", status_command, "Show members, what their EtcdMembers say, and open removals")
    add("doctor", doctor_command, "Check configuration, etcd, Kubernetes and Temporal one by one")
    return options


def _add_common(options: argparse.ArgumentParser, *, cluster: str | None, config: str | None, output: str) -> None:
    text = "cluster profile (default: the only one of the configuration)"
    options.add_argument("-c", "--cluster", default=cluster, metavar="NAME", help=text)
    text = "configuration file (default: $ETCD_HANDOFF_CONFIG or ./etcd-handoff.toml)"
    options.add_argument("--config", default=config, metavar="FILE", help=text)
    text = "what is written to standard output (default: table)"
    options.add_argument("-o", "--output", default=output, choices=["table", "json"], help=text)


def _add_removal(remove: argparse.ArgumentParser) -> None:
    flag: Final = "store_true"
    remove.add_argument("member", metavar="MEMBER", help="member name, or member ID in hex")
    remove.add_argument("--reason", default="", metavar="TEXT", help="for the people who read the history")
    text = "wait for the update `approve` before anything is changed"
    remove.add_argument("--require-approval", action=flag, help=text)
    remove.add_argument("--snapshot", action=flag, help="store a snapshot on the worker's node first")
    remove.add_argument("--hash-check", action=flag, help="compare the data of all members first")
    text = "how long, in all, to wait for what may pass by itself (default: 3600)"
    remove.add_argument("--blocked-timeout", type=float, default=3600.0, metavar="SECONDS", help=text)
    text = "look, plan and end; like `plan`, as a worker sees it"
    remove.add_argument("--dry-run", action=flag, help=text)
    remove.add_argument("--detach", action=flag, help="start the removal and do not follow it")


class _Version(argparse.Action):
    """`--version`, which reads the version only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from etcd_handoff import __version__

        tell([f"etcd-handoff {__version__}"])
        parser.exit()


# --- what commands share ------------------------------------------------------------------------------------


def tell(lines: Iterable[str]) -> None:
    """Lines on standard output, at once, also into a pipe."""
    for line in lines:
        print(line, flush=True)


def tell_json(thing: object) -> None:
    """One JSON document on standard output."""
    tell([json.dumps(thing, indent=2, ensure_ascii=False)])


def tell_error(text: str) -> None:
    """A text on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def read_config(given: argparse.Namespace) -> Config | None:
    """The configuration; None when none was named and there is none in this folder.

    Raises:
        ConfigError: The file was named and is missing, or it is wrong.
    """
    from etcd_handoff.config import CONFIG_VARIABLE, config_path, load_config

    path = config_path(given.config)
    named = given.config or os.environ.get(CONFIG_VARIABLE)
    return load_config(path) if named or path.exists() else None


def cluster_name(given: argparse.Namespace, config: Config | None) -> str:
    """The cluster that was named, or the only one that there is."""
    if given.cluster:
        return str(given.cluster)
    if config is None:
        text = "there is no ./etcd-handoff.toml to take it from; name one with --config or $ETCD_HANDOFF_CONFIG"
        raise Stop(EXIT_USAGE, f"cluster: give -c NAME: {text}")
    if len(config.clusters) > 1:
        known = ", ".join(sorted(config.clusters))
        raise Stop(EXIT_USAGE, f"cluster: give -c NAME: the configuration has {known}")
    return next(iter(config.clusters))


def profile_of(given: argparse.Namespace) -> tuple[str, ClusterProfile]:
    """Name and profile of the cluster, for commands that read it themselves."""
    from etcd_handoff.config import config_path, load_config

    config = read_config(given) or load_config(config_path(given.config))
    name = cluster_name(given, config)
    if name not in config.clusters:
        known = ", ".join(sorted(config.clusters))
        raise Stop(EXIT_USAGE, f"cluster: no profile {name!r} in the configuration; known: {known}")
    return name, config.clusters[name]


def make_request(given: argparse.Namespace, cluster: str, **options: object) -> RemovalRequest:
    """The checked input of a removal."""
    from pydantic import ValidationError

    from etcd_handoff.model import RemovalRequest, describe

    try:
        return RemovalRequest.model_validate({"cluster": cluster, "member": given.member, **options})
    except ValidationError as error:
        raise Stop(EXIT_USAGE, "\n".join(describe(error))) from None


async def connected() -> Client:
    """A client of Temporal, or a Stop that names its address."""
    import asyncio

    from temporalio.runtime import Runtime, TelemetryConfig

    from etcd_handoff.client import connect

    # The SDK's own log lines about retries say again, at length, what our texts say.
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await connect()
    except (RuntimeError, TimeoutError, ValueError, OSError) as error:
        text = f"Temporal cannot be reached at {_temporal_address()}: {connection_note(str(error))}"
        raise Stop(EXIT_UNREACHABLE, f"{text}; set TEMPORAL_ADDRESS to a running server") from None


def _temporal_address() -> str:
    from temporalio.envconfig import ClientConfig

    try:
        return ClientConfig.load_client_connect_config().get("target_host") or "localhost:7233"
    except (RuntimeError, ValueError, OSError):
        return os.environ.get("TEMPORAL_ADDRESS", "an address that the environment does not tell")


def connection_note(said: str) -> str:
    """The part of the SDK's connection error that says something to people."""
    found = re.findall(r'(?:message|error): "([^"]+)"', said)
    return (found[-1] if found else said.removeprefix("Failed client connect: "))[:200] or "no answer in time"


def rpc_stop(error: RPCError) -> Stop:
    """What Temporal's refusal or silence means for the command."""
    from temporalio.service import RPCStatusCode

    if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
        text = f"Temporal at {_temporal_address()} (TEMPORAL_ADDRESS) does not answer: {error.message}"
        return Stop(EXIT_UNREACHABLE, text)
    hint = "; set TEMPORAL_NAMESPACE" if error.status is RPCStatusCode.NOT_FOUND else ""
    text = f"Temporal at {_temporal_address()} refuses: {error.status.name}: {error.message.rstrip('.')}{hint}"
    return Stop(EXIT_FAILED, text)


async def read_view(profile: ClusterProfile) -> ClusterView:
    """What etcd says now, or the gateway's error."""
    from etcd_handoff.etcd_gateway import EtcdGateway

    gateway = EtcdGateway(profile.etcd)
    try:
        return await gateway.observe()
    finally:
        await gateway.close()


async def read_resources(profile: KubernetesProfile) -> list[dict[str, Any]]:
    """All EtcdMembers, or the gateway's error."""
    from etcd_handoff.kubernetes_gateway import KubernetesGateway

    gateway = KubernetesGateway(profile)
    try:
        return await gateway.list()
    finally:
        await gateway.close()


async def attempt(reading: Awaitable[T]) -> T | Exception:
    """What was read, or what went wrong: to be said in its place while everything else is shown."""
    try:
        return await reading
    except Exception as error:  # noqa: BLE001  # each becomes a text through `explain`
        return error


# --- demo, worker, plan -------------------------------------------------------------------------------------


def demo_command(given: argparse.Namespace) -> int:
    """`demo`."""
    from etcd_handoff.lab.demo import run_demo

    return run_demo(keep=given.keep)


def worker_command(given: argparse.Namespace) -> int:
    """`worker`."""
    import worker

    return worker.run(given.config, given.node, given.log_level)


def plan_command(given: argparse.Namespace) -> int:
    """`plan`."""
    import asyncio

    from etcd_handoff import cli_output as out
    from etcd_handoff.planner import Intent, plan

    name, profile = profile_of(given)
    request = make_request(given, name)
    view = asyncio.run(read_view(profile))
    target = out.find(view, request.member)
    if isinstance(target, str):
        raise Stop(EXIT_USAGE, target)
    decision, records = plan(view, Intent(view.cluster_id, target.id)), profile.kubernetes is not None
    if given.output == "json":
        tell_json(out.view_object(name, view) | out.plan_object(view, target, decision, records=records))
    else:
        tell([out.cluster_line(name, view), *out.table(out.MEMBER_HEADINGS, out.member_rows(view)), ""])
        tell(out.plan_lines(view, target, decision, records=records))
    return out.plan_exit(decision)


# --- remove -------------------------------------------------------------------------------------------------


def remove_command(given: argparse.Namespace) -> int:
    """`remove`."""
    import asyncio

    from etcd_handoff.model import TASK_QUEUE, workflow_id

    config = read_config(given)
    request = make_request(
        given,
        cluster_name(given, config),
        reason=given.reason,
        require_approval=given.require_approval,
        snapshot=given.snapshot,
        hash_check=given.hash_check,
        blocked_timeout_seconds=given.blocked_timeout,
        dry_run=given.dry_run,
    )
    try:
        return asyncio.run(_remove(given, request, config.task_queue if config else TASK_QUEUE))
    except KeyboardInterrupt:
        name = workflow_id(request.cluster, request.member)
        tell_error("\nNot following any more. A removal that has been started goes on; to cancel it, run:")
        tell_error(f"  temporal workflow cancel -w {name}")
        return EXIT_INTERRUPTED


async def _remove(given: argparse.Namespace, request: RemovalRequest, task_queue: str) -> int:
    from temporalio.client import WorkflowFailureError
    from temporalio.service import RPCError

    from etcd_handoff import cli_output as out

    say = _to_stderr if given.output == "json" else tell
    client = await connected()
    try:
        removal, joined = await _start(client, request, task_queue)
        say([out.start_line(removal.id, joined=joined)])
        if given.detach:
            if given.output == "json":
                tell_json({"workflow_id": removal.id, "run_id": removal.first_execution_run_id, "joined": joined})
            return EXIT_DONE
        result = await _follow(removal, out.Story(removal.id), say)
    except WorkflowFailureError as failure:
        return _failed(given, failure)
    except RPCError as error:
        stop = rpc_stop(error)
        text = f"{stop}\nA removal that has been started goes on; run the same command again to follow it."
        raise Stop(stop.status, text if stop.status == EXIT_UNREACHABLE else str(stop)) from None
    if given.output == "json":
        tell_json(result.model_dump(mode="json"))
    else:
        tell(out.result_lines(result))
    return out.result_exit(result)


async def _start(client: Client, request: RemovalRequest, task_queue: str) -> tuple[Removal, bool]:
    """The removal, and whether it ran before."""
    from temporalio.service import RPCError

    from etcd_handoff.client import start_removal
    from etcd_handoff.model import workflow_id

    try:
        before = (await client.get_workflow_handle(workflow_id(request.cluster, request.member)).describe()).run_id
    except RPCError:
        before = ""  # not found, most of the time; whatever else it was, the start says it again
    removal = await start_removal(client, request, task_queue)
    return removal, removal.first_execution_run_id == before


async def _follow(removal: Removal, story: Story, say: Callable[[Iterable[str]], None]) -> RemovalResult:
    """The result, with progress told meanwhile."""
    import asyncio

    from temporalio.client import WorkflowFailureError

    from etcd_handoff.model import Progress

    watch = asyncio.ensure_future(_watch(removal, story, say))
    try:
        result = await removal.result()
    except WorkflowFailureError:
        if isinstance(last := await _ask(removal), Progress):
            say(story.steps(last.steps))
        raise
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        if not watch.cancelled() and (error := watch.exception()):
            say(story.once(f"progress cannot be shown: {error}"))
    say(story.steps(result.steps))
    return result


async def _watch(removal: Removal, story: Story, say: Callable[[Iterable[str]], None]) -> None:
    """Tell progress until cancelled."""
    import asyncio

    while True:
        progress = await _ask(removal)
        say(story.once(progress) if isinstance(progress, str) else story.lines(progress))
        await asyncio.sleep(POLL_SECONDS)


async def _ask(removal: Removal) -> Progress | str:
    """The removal's progress, or why there is none."""
    from datetime import timedelta

    from temporalio.client import WorkflowQueryFailedError
    from temporalio.service import RPCError, RPCStatusCode

    from etcd_handoff.model import Progress

    limit = timedelta(seconds=QUERY_SECONDS)
    try:
        progress: Progress = await removal.query("progress", result_type=Progress, rpc_timeout=limit)
    except WorkflowQueryFailedError as error:
        return f"progress cannot be shown: {error}"
    except RPCError as error:
        if error.status is RPCStatusCode.UNAVAILABLE:
            return "Temporal does not answer; the removal does not depend on this command"
        return NO_WORKER
    return progress


def _failed(given: argparse.Namespace, failure: WorkflowFailureError) -> int:
    """Say how the removal failed; its exit status."""
    from temporalio import exceptions

    from etcd_handoff import cli_output as out

    cause = failure.cause
    if isinstance(cause, exceptions.ApplicationError):
        kind, text = cause.type or "Failed", cause.message
    elif isinstance(cause, exceptions.CancelledError):
        kind, text = "Cancelled", "the removal was cancelled before anything was removed"
    elif isinstance(cause, exceptions.TerminatedError):
        kind, text = "Terminated", "the removal was terminated; `etcd-handoff status` says what is true now"
    elif isinstance(cause, exceptions.TimeoutError):
        kind, text = "TimedOut", "the removal timed out; `etcd-handoff status` says what is true now"
    else:
        kind, text = "Failed", str(cause)
    if given.output == "json":
        tell_json({"failure": kind, "message": text})
    tell_error(f"{kind}: {text}")
    return out.failure_exit(kind)


def _to_stderr(lines: Iterable[str]) -> None:
    for line in lines:
        tell_error(line)


# --- status -------------------------------------------------------------------------------------------------


def status_command(given: argparse.Namespace) -> int:
    """`status`."""
    import asyncio

    from etcd_handoff import cli_output as out

    name, profile = profile_of(given)
    view, resources, removals = asyncio.run(_read_status(name, profile))
    seen = out.Status(
        cluster=name,
        view=None if isinstance(view, Exception) else view,
        resources=None if isinstance(resources, Exception) else resources,
        removals=None if isinstance(removals, Exception) else removals,
        errors={
            part: explain(error)[1]
            for part, error in (("etcd", view), ("kubernetes", resources), ("temporal", removals))
            if isinstance(error, Exception)
        },
    )
    if given.output == "json":
        tell_json(out.status_object(seen))
    else:
        tell(out.status_lines(seen))
    return explain(view)[0] if isinstance(view, Exception) else EXIT_DONE


async def _read_status(
    name: str, profile: ClusterProfile
) -> tuple[ClusterView | Exception, list[dict[str, Any]] | Exception | None, list[OpenRemoval] | Exception]:
    import asyncio

    async def resources() -> list[dict[str, Any]] | None:
        return await read_resources(profile.kubernetes) if profile.kubernetes else None

    view, records, removals = await asyncio.gather(
        attempt(read_view(profile)), attempt(resources()), attempt(_open_removals(name))
    )
    return view, records, removals


async def _open_removals(cluster: str) -> list[OpenRemoval]:
    """Running removals of the cluster; works without the custom search attributes."""
    from temporalio.service import RPCError

    from etcd_handoff.cli_output import OpenRemoval
    from etcd_handoff.client import WORKFLOW_TYPE
    from etcd_handoff.model import workflow_id

    client = await connected()
    query, found = f'WorkflowType = "{WORKFLOW_TYPE}" AND ExecutionStatus = "Running"', []
    try:
        async for run in client.list_workflows(query):
            marks = {pair.key.name: pair.value for pair in run.typed_search_attributes}
            if marks.get("EtcdCluster") == cluster or run.id.startswith(workflow_id(cluster, "")):
                member = str(marks.get("EtcdMember") or run.id.removeprefix(workflow_id(cluster, "")))
                state = str(marks.get("HandoffState") or "Running")
                found.append(OpenRemoval(run.id, member, state, run.start_time.isoformat(timespec="seconds")))
    except RPCError as error:
        raise rpc_stop(error) from None
    return found


# --- doctor -------------------------------------------------------------------------------------------------


def doctor_command(given: argparse.Namespace) -> int:
    """`doctor`."""
    import asyncio

    from etcd_handoff import cli_output as out

    findings = asyncio.run(_examine(given))
    if given.output == "json":
        tell_json([out.finding_object(found) for found in findings])
    else:
        tell(out.finding_lines(findings))
    return out.findings_exit(findings)


async def _examine(given: argparse.Namespace) -> list[Finding]:
    """All checks, in order; a broken configuration leaves those of Temporal."""
    import asyncio

    from etcd_handoff.cli_output import Finding
    from etcd_handoff.model import TASK_QUEUE

    try:
        name, profile = profile_of(given)
        config = read_config(given)
    except Exception as error:  # noqa: BLE001  # each becomes a finding
        status, text = explain(error)
        first = [Finding("configuration", text, "correct the file, or name the right one with --config", status)]
        return [*first, *await _examine_temporal(TASK_QUEUE)]
    queue = config.task_queue if config else TASK_QUEUE
    files = _check_files(name, profile)
    first = [Finding("configuration", f"cluster {name}, task queue {queue}"), files]
    cluster = _examine_cluster(profile) if files.status == EXIT_DONE else _no_findings()
    parts = await asyncio.gather(cluster, _examine_temporal(queue))
    return [*first, *parts[0], *parts[1]]


async def _no_findings() -> list[Finding]:
    return []


def _check_files(name: str, profile: ClusterProfile) -> Finding:
    from etcd_handoff.cli_output import Finding, count

    named = {f"etcd.{key}": value for key, value in profile.etcd if key.endswith("_file") and value}
    if profile.kubernetes and profile.kubernetes.kubeconfig:
        named["kubernetes.kubeconfig"] = profile.kubernetes.kubeconfig
    bad = [f"clusters.{name}.{key}: {path}" for key, path in named.items() if not os.access(path, os.R_OK)]
    if bad:
        text = f"cannot be read: {'; '.join(bad)}"
        return Finding("files", text, "correct the paths or their permissions", EXIT_USAGE)
    return Finding("files", f"{count(len(named), 'file')} named, all readable" if named else "none named")


async def _examine_cluster(profile: ClusterProfile) -> list[Finding]:
    import asyncio

    from etcd_handoff.cli_output import judge_cluster

    numbers = range(1, len(profile.etcd.endpoints) + 1)
    view, endpoints = await asyncio.gather(
        attempt(read_view(profile)),
        asyncio.gather(*(_examine_endpoint(profile, number) for number in numbers)),
    )
    seen = None if isinstance(view, Exception) else view
    judged = (
        [_trouble("etcd", view, "bring a majority of the members back")]
        if isinstance(view, Exception)
        else judge_cluster(view)
    )
    contexts = profile.kubernetes.contexts or ("",) if profile.kubernetes else ()
    asked = [_examine_context(profile, context, seen) for context in contexts]
    return [*endpoints, *judged, *await asyncio.gather(*asked)]


async def _examine_endpoint(profile: ClusterProfile, number: int) -> Finding:
    """Whether one endpoint, asked alone, gives a member list."""
    from etcd_handoff.cli_output import Finding, count
    from etcd_handoff.etcd_gateway import EtcdGateway

    check, url = f"endpoint {number}", profile.etcd.endpoints[number - 1]
    gateway = EtcdGateway(profile.etcd.model_copy(update={"endpoints": (url,)}))
    try:
        members = await attempt(gateway.member_ids())
    finally:
        await gateway.close()
    if isinstance(members, Exception):
        status, text = explain(members)
        remedy = "is a member running there, is it one of a majority, and do the certificates fit?"
        return Finding(check, f"{url}: {text.rpartition('member list: ')[2]}", remedy, status)
    return Finding(check, f"{url} answers and lists {count(len(members), 'member')}")


async def _examine_context(profile: ClusterProfile, context: str, view: ClusterView | None) -> Finding:
    """Whether one API server answers, has the resource kind, and agrees with etcd."""
    from etcd_handoff.cli_output import Finding, compare, judge_records
    from etcd_handoff.errors import ObjectGoneError

    check = f"kubernetes {context or 'in-cluster'}"
    kubernetes = profile.kubernetes
    if kubernetes is None:
        return Finding(check, "no Kubernetes in the profile")
    alone = kubernetes.model_copy(update={"contexts": (context,) if context else ()})
    resources = await attempt(read_resources(alone))
    if isinstance(resources, ObjectGoneError):
        remedy = "install k0s's CustomResourceDefinition etcdmembers.etcd.k0sproject.io"
        return Finding(check, "EtcdMembers are not installed", remedy, EXIT_FAILED)
    if isinstance(resources, Exception):
        return _trouble(check, resources, "check the context, its API server, and get and list on etcdmembers")
    return judge_records(check, compare(view, resources))


async def _examine_temporal(task_queue: str) -> list[Finding]:
    """Whether Temporal answers, who asks for work there, and whether our search attributes are registered."""
    from etcd_handoff.cli_output import Finding

    client = await attempt(connected())
    if isinstance(client, Exception):
        return [_trouble("temporal", client)]
    where = f"{client.service_client.config.target_host}, namespace {client.namespace}"
    workers, attributes = await attempt(_pollers(client, task_queue)), await attempt(_attributes(client))
    return [
        Finding("temporal", f"{where} answers"),
        _trouble("workers", workers) if isinstance(workers, Exception) else workers,
        _trouble("search attributes", attributes) if isinstance(attributes, Exception) else attributes,
    ]


async def _pollers(client: Client, task_queue: str) -> Finding:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
    from temporalio.service import RPCError

    from etcd_handoff.cli_output import judge_pollers

    asked = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(asked)
    except RPCError as error:
        raise rpc_stop(error) from None
    ages = {poller.identity: time.time() - poller.last_access_time.seconds for poller in answer.pollers}
    return judge_pollers(task_queue, [who for who, age in ages.items() if age < POLLER_FRESH_SECONDS])


async def _attributes(client: Client) -> Finding:
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
    from temporalio.service import RPCError

    from etcd_handoff.cli_output import judge_attributes

    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        raise rpc_stop(error) from None
    return judge_attributes(known.custom_attributes)


def _trouble(check: str, error: Exception, remedy: str = "") -> Finding:
    """What could not be checked, as a failed finding."""
    from etcd_handoff.cli_output import Finding

    status, text = explain(error)
    return Finding(check, text, remedy, status)


if __name__ == "__main__":
    main()
