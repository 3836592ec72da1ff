"""Call the command that a node's configuration names for its etcd process, and read its answer.

The command gets a verb as its last argument, and everything else as environment variables, whose values are checked. It
answers by its exit status, as a resource agent of OCF does, and in JSON. docs/member-hooks.md is the contract. The
purpose of each verb is in `etcd_handoff.member_process`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from pydantic import Field, StringConstraints, ValidationError

from etcd_handoff import command_run
from etcd_handoff.errors import ADDRESS, HandoffError
from etcd_handoff.wire import WireModel, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etcd_handoff.command_run import CommandResult
    from etcd_handoff.config.member import MemberProfile
    from etcd_handoff.data_directory import Identity

RUNS: Final = 0
DOES_NOT_RUN: Final = 7
"""Exit statuses (OCF Resource Agent API 1.1, "Exit status"); all others are errors."""
JOIN_VARIABLES: Final = frozenset(
    {"ETCD_NAME", "ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE", "ETCD_INITIAL_ADVERTISE_PEER_URLS"}
)
SAFE_VALUE: Final = re.compile(r"[A-Za-z0-9.:/_,=\[\]%~+-]+")
"""Characters of values that are written to a file that a shell, systemd or a manifest reads: none is special there."""
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INHERITED: Final = ("HOME", "LANG", "TMPDIR", "TZ")
"""All that a command gets of the worker's environment, besides PATH: the rest may hold keys and passwords."""
ERROR_LINES: Final = 3
ERROR_CHARACTERS: Final = 300
SECRET: Final = re.compile(r"(?i)([\w-]*(?:password|passwd|secret|token|api[_-]?key)[\w-]*\s*[=:]\s*|bearer\s+)\S+")
SECRET_NAME: Final = re.compile(r"(?i)password|passwd|secret|token|key")


class MemberProcessError(HandoffError):
    """The command failed, or the request would not be right; the message says why and what to do.

    Attributes:
        started: Etcd may have been started despite the failure.
    """

    started = False


class ForeignMemberError(MemberProcessError):
    """The data or the process there is another member's, or may be: it is not changed."""


class Member(NamedTuple):
    """The member of the process.

    Attributes:
        cluster: Cluster profile.
        name: The member's name.
        peer_urls: Its peer URLs, as far as they are known.
        identity: IDs of its cluster and itself; None for a member that is not added yet.
    """

    cluster: str
    name: str
    peer_urls: tuple[str, ...] = ()
    identity: Identity | None = None


class Answer(WireModel):
    """The output of `status`, as JSON; unknown fields are ignored.

    Attributes:
        running: By the exit status, not by a field.
        starting: No process runs at the moment; something will start one, on this data directory.
        pid: Process ID.
        version: Version of etcd.
        data_dir: Its data directory.
        member_id: Its member ID in hex, where the command knows it.
        cluster_id: Its cluster ID in hex, likewise.
    """

    running: bool = False
    starting: bool = False
    pid: Annotated[int, Field(ge=1)] | None = None
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+-]{0,40}$")] = ""
    data_dir: Annotated[str, StringConstraints(pattern=r"^(/[^\p{Cc}]{0,4000})?$")] = ""
    member_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{0,16}$")] = ""
    cluster_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{0,16}$")] = ""


class MemberCommand:
    """The command, for one member.

    Args:
        profile: The node's configuration.
        node: The node that this worker runs on.
        member: The member of the process.
    """

    def __init__(self, profile: MemberProfile, node: str, member: Member) -> None:
        self._profile, self._node, self._member = profile, node, member

    async def status(self) -> Answer:
        """Return whether it runs, or something will start it; change nothing.

        Raises:
            MemberProcessError: That is not known.
        """
        ended = await self._run("status", self._profile.status_timeout_seconds)
        if ended.status not in (RUNS, DOES_NOT_RUN):
            raise MemberProcessError(self._failed("status", ended))
        answer = self._answer(ended)
        configured = self._profile.data_dir
        if configured and answer.data_dir and Path(answer.data_dir) != configured:
            msg = f"data_dir is {configured} in the configuration, and {answer.data_dir} by the command; correct one"
            raise MemberProcessError(msg)
        data_dir = answer.data_dir or str(configured or "")
        return answer.model_copy(update={"running": ended.status == RUNS, "data_dir": data_dir})

    async def do(self, verb: str, seconds: float, more: Mapping[str, str] | None = None) -> None:
        """Carry out a verb that changes something.

        Raises:
            MemberProcessError: It did not end with status 0.
        """
        ended = await self._run(verb, seconds, more)
        if ended.status != RUNS:
            raise MemberProcessError(self._failed(verb, ended))

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _run(self, verb: str, seconds: float, more: Mapping[str, str] | None = None) -> CommandResult:
        ended = await command_run.run([*self._profile.command, verb], self._environment(more or {}), seconds)
        if ended.timed_out:
            raise MemberProcessError(self._failed(verb, ended, f"did not end within {seconds:g} s and was killed"))
        return ended

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        member, data_dir = self._member, self._profile.data_dir
        ours = {
            "HANDOFF_CLUSTER": member.cluster,
            "HANDOFF_NODE": self._node,
            "HANDOFF_MEMBER_NAME": _if_safe(member.name),
            "HANDOFF_PEER_URLS": _if_safe(",".join(member.peer_urls)),
            "HANDOFF_CLUSTER_ID": member.identity.cluster_id if member.identity else "",
            "HANDOFF_MEMBER_ID": member.identity.member_id if member.identity else "",
            "HANDOFF_DATA_DIR": str(data_dir or ""),
        }
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        path = {"PATH": os.environ.get("PATH", DEFAULT_PATH)}
        return {**path, **inherited, **self._profile.environment, **ours, **more}

    def _answer(self, ended: CommandResult) -> Answer:
        text = ended.output.strip()
        if not text and ended.status == DOES_NOT_RUN:
            return Answer()
        if ended.too_much:
            msg = f"`status` writes more than {command_run.MOST_OUTPUT} bytes; it is to write one JSON object"
            raise MemberProcessError(msg)
        try:
            return Answer.model_validate_json(text)
        except ValidationError as error:
            error_text = "; ".join(describe(error))
            msg = f"`status` ended with status {ended.status}, and its output is no answer: {error_text}"
            raise MemberProcessError(self._clean(msg)) from None

    def _failed(self, verb: str, ended: CommandResult, what: str = "") -> str:
        how = f"was ended by signal {-ended.status}" if ended.status < 0 else f"ended with status {ended.status}"
        lines = [line for line in ended.errors.splitlines() if line.strip()][-ERROR_LINES:]
        return self._clean(f"`{verb}` {what or how}" + (f": {' | '.join(lines)}" if lines else ""))

    def _clean(self, text: str) -> str:
        """Return the text without addresses, secrets and unprintable characters: it ends in a history."""
        for name, value in self._profile.environment.items():
            if SECRET_NAME.search(name) and value:
                text = text.replace(value, "...")
        text = ADDRESS.sub("...", SECRET.sub(r"\1...", "".join(c if c.isprintable() else " " for c in text)))
        return text if len(text) <= ERROR_CHARACTERS else f"{text[: ERROR_CHARACTERS - 3]}..."


def _if_safe(value: str) -> str:
    """Return the value if it is safe, else nothing: present members may have any name."""
    return value if SAFE_VALUE.fullmatch(value) else ""


def checked(join: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables if etcd joins with exactly these, and their values are safe in any file.

    Raises:
        MemberProcessError: One is unknown, missing or unsafe.
    """
    for name, value in join.items():
        if name not in JOIN_VARIABLES:
            msg = f"{name} is none of the variables that a command gets"
            raise MemberProcessError(msg)
        if not SAFE_VALUE.fullmatch(value):
            msg = (
                f"{name} has a character that no file can hold safely; use letters, digits and . : / _ , = [ ] % ~ + -"
            )
            raise MemberProcessError(msg)
    if lacking := JOIN_VARIABLES - join.keys():
        msg = f"{', '.join(sorted(lacking))} lacking; nothing is started without"
        raise MemberProcessError(msg)
    return join
