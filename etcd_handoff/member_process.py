"""Start and stop the etcd process of this node, and archive its data, through `member_command`.

Every verb may come twice: a worker may be killed before it could report the end. So each begins with `status`, and ends
with it: the command's own report of its success is not enough.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff import data_directory, time_limits
from etcd_handoff.data_directory import DataDirectoryError, Identity, NoLogError, in_words
from etcd_handoff.member_command import ForeignMemberError, MemberCommand, MemberProcessError, checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etcd_handoff.config.member import MemberProfile
    from etcd_handoff.member_command import Answer, Member

ON_OTHER_DATA: Final = "it may run on other data; let the command start it on this directory, or correct data_dir"


class Done(NamedTuple):
    """The result of a verb.

    Attributes:
        text: The result in words.
        changed: Something was changed.
    """

    text: str
    changed: bool = False


class MemberProcess:
    """The process of one member.

    Args:
        profile: The node's configuration.
        node: The node that this worker runs on.
        member: The member of the process.
    """

    def __init__(self, profile: MemberProfile, node: str, member: Member) -> None:
        self._profile, self._member = profile, member
        self._command = MemberCommand(profile, node, member)

    async def status(self) -> Answer:
        """Return whether it runs, or something will start it; change nothing.

        Raises:
            MemberProcessError: That is not known.
        """
        return await self._command.status()

    async def start(self, join: Mapping[str, str], *, begun: bool = False, again: bool = False) -> Done:
        """Make sure that it runs, on no data or its own, and has them open.

        Args:
            join: The settings to start etcd with, by environment variable.
            begun: It may have been started before, for this member: data without a log there is its own.
            again: A process that runs and has not joined yet was started with other settings, and is stopped first. One
                that has joined has its members from the cluster.

        Raises:
            MemberProcessError: It does not run, or on other data, or other data lies there.
        """
        given = checked(join)
        before = await self.status()
        found = await self._require_own(
            before, "is another member's: archive_member archives only this one's; move it by hand", begun=begun
        )
        if before.running and again and found is None:
            await self.stop()
            before = await self.status()
        if before.running and await self._uses_its_data(before, ON_OTHER_DATA):
            return Done(f"ran already{_pid(before)}")
        if await _is_open(before):
            msg = f"`status` says 7, not running, while a process has the database in {before.data_dir} open: end it"
            raise MemberProcessError(msg)
        try:
            after = await self._begin(given)
        except MemberProcessError as error:
            error.started = True
            raise
        return Done(f"started{_pid(after)}", changed=True)

    async def stop(self, *, needs_data: bool = False) -> Done:
        """Make sure that it does not run, according to `status`.

        Args:
            needs_data: A process on no data counts as another member's.

        Raises:
            MemberProcessError: It runs, that is not known, or it is another member's.
        """
        before = await self.status()
        if not before.running and not await _is_open(before):
            return Done("did not run")
        otherwise = "is another member's, and so is what runs: it is not stopped"
        found = await self._require_own(before, otherwise, begun=not needs_data)
        if found is None and needs_data:
            msg = (
                f"etcd runs{_pid(before)}, and {before.data_dir} holds no data: it may be another member's; not stopped"
            )
            raise ForeignMemberError(msg)
        otherwise = "it may be another member's, on other data; not stopped"
        if found is not None and not await self._uses_its_data(before, otherwise, ForeignMemberError):
            return Done("did not run")
        ends = time.monotonic() + self._profile.stop_timeout_seconds
        await self._command.do("stop", self._profile.stop_timeout_seconds)
        await self._until("stop", ends, running=False)
        return Done(f"stopped{_pid(before)}", changed=True)

    async def archive(self) -> Done:
        """Rename its data directory, so that nothing lies where etcd would look.

        Raises:
            MemberProcessError: It runs, that is not known, or it is another member's data.
        """
        before = await self.status()
        if before.running or await _is_open(before):
            msg = "etcd runs, or something will start it; stop it first"
            raise MemberProcessError(msg)
        if self._member.identity is None:
            msg = "nobody's data is archived without the IDs that it must have"
            raise MemberProcessError(msg)
        data_dir = _data_dir(before)
        old, new = await asyncio.to_thread(data_directory.archive_paths, data_dir, self._member.identity.member_id)
        archived = await asyncio.to_thread(new.exists)
        if await self._require_own(before, "is another member's: it is left where it is") is None:
            return Done(f"{data_dir} holds no data" + (f"; {new} was archived before" if archived else ""))
        if archived:
            msg = f"{new} exists already, and {data_dir} holds data of the same member; move one of them by hand"
            raise MemberProcessError(msg)
        where = {"HANDOFF_ARCHIVE_FROM": str(old), "HANDOFF_ARCHIVE_TO": str(new)}
        await self._command.do("archive", self._profile.stop_timeout_seconds, where)
        if await self.whose(await self.status()) is not None:
            msg = f"`archive` ended with status 0, and data still lies in {data_dir}; correct the command"
            raise MemberProcessError(msg)
        return Done(f"{old} is {new} now", changed=True)

    async def whose(self, answer: Answer, *, begun: bool = False) -> Identity | None:
        """Return the owner of the data there; None where etcd would begin afresh.

        Args:
            answer: Of `status`.
            begun: A database without a log is this member's, which has been started before.

        Raises:
            MemberProcessError: That is not known.
        """
        try:
            # A disk that hangs must not stop the whole worker.
            return await asyncio.to_thread(data_directory.identity, _data_dir(answer))
        except DataDirectoryError as error:
            if answer.member_id and answer.cluster_id:
                return Identity(answer.cluster_id, answer.member_id)
            if begun and isinstance(error, NoLogError):
                return None
            fix = "move it away" if isinstance(error, NoLogError) else "let this worker read it"
            msg = f"{error}; {fix}, or let the command's `status` give member_id and cluster_id"
            raise MemberProcessError(msg) from None

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _begin(self, given: Mapping[str, str]) -> Answer:
        """Run `start`, and return the `status` once etcd runs and stays on its data."""
        ends = time.monotonic() + self._profile.start_timeout_seconds
        await self._command.do("start", self._profile.start_timeout_seconds, given)
        after = await self._until("start", ends, running=True)
        await asyncio.sleep(time_limits.STEPS.process_settles_seconds)
        settled = await self.status()
        if not settled.running or not await self._uses_its_data(settled, ON_OTHER_DATA):
            msg = "etcd ended right after its start; its log on the node says why"
            raise MemberProcessError(msg)
        return after

    async def _require_own(self, answer: Answer, otherwise: str, *, begun: bool = False) -> Identity | None:
        """Return the owner of the data there, this member or none; if begun, data without a log has none.

        Raises:
            ForeignMemberError: It is another member's.
        """
        found = await self.whose(answer, begun=begun)
        if found is not None and found != self._member.identity:
            expected = self._member.identity
            expected_text = f", not of {expected.member_id} of cluster {expected.cluster_id}" if expected else ""
            msg = f"{answer.data_dir} holds data of {in_words(found)}{expected_text}; it {otherwise}"
            raise ForeignMemberError(msg)
        return found

    async def _uses_its_data(
        self, answer: Answer, otherwise: str, kind: type[MemberProcessError] = MemberProcessError
    ) -> bool:
        """Whether the process has this data directory open, as far as that is known; False once nothing runs.

        The IDs in a directory do not show that a process was moved to another one. A process that is only about to be
        started can't be checked: its command names it and its data. One that was started just now gets some time.

        Raises:
            MemberProcessError: Something else runs; of this kind.
        """
        ends = time.monotonic() + time_limits.STEPS.process_opens_seconds
        while True:
            held = await _is_open(answer)
            if not answer.running and not held:
                return False
            if held is not False or answer.starting:
                return True
            if time.monotonic() >= ends:
                msg = f"etcd runs{_pid(answer)}, and no process has the database in {answer.data_dir} open: {otherwise}"
                raise kind(msg)
            await asyncio.sleep(time_limits.STEPS.process_pause_seconds)
            answer = await self.status()

    async def _until(self, verb: str, ends: float, *, running: bool) -> Answer:
        """Return the `status` once it matches `running`."""
        while True:
            answer = await self.status()
            held = not running and not answer.running and bool(await _is_open(answer))
            if answer.running is running and not held:
                return answer
            if time.monotonic() >= ends:
                says = "7, not running" if not answer.running else "0, running"
                also = ", while a process has its database open" if held else ""
                msg = f"`{verb}` ended with status 0, and `status` says {says}{also}, until its time was up"
                raise MemberProcessError(msg)
            await asyncio.sleep(time_limits.STEPS.process_pause_seconds)


def _data_dir(answer: Answer) -> Path:
    if not answer.data_dir:
        msg = "the data directory is not known; give data_dir in the member table, or let `status` tell it"
        raise MemberProcessError(msg)
    return Path(answer.data_dir)


async def _is_open(answer: Answer) -> bool | None:
    return await asyncio.to_thread(data_directory.is_open, Path(answer.data_dir)) if answer.data_dir else None


def _pid(answer: Answer) -> str:
    return f", process {answer.pid}" if answer.pid else ""
