"""The true state of the etcd cluster, read through etcd's JSON gateway and not through the product's gateways."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab import http
from etcd_handoff.lab.waiting import POLL_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEADER_SECONDS: Final = 30.0
STATUS_SECONDS: Final = 0.5
LIST_SECONDS: Final = 2.0
CHANGE_SECONDS: Final = 8.0
"""Longer than etcd's own 7 s, so that etcd gives up first."""
SLOW: Final = ("timed out", "leader changed")
"""Errors from a cluster that was busy, or without a leader for a moment."""
UNHEALTHY_CLUSTER: Final = "unhealthy cluster"
"""etcd's refusal of a membership change in the first 5 s (`HealthInterval`). Nothing is changed then."""


@dataclass(frozen=True, slots=True)
class ListedMember:
    """A member of etcd's list: ID in hex, name (empty until it has started), and whether it is a learner."""

    id: str
    name: str
    is_learner: bool

    @property
    def started(self) -> bool:
        """Whether it has ever joined. etcd knows a member's name only from then on."""
        return bool(self.name)


@dataclass(frozen=True, slots=True)
class Vote:
    """A member's report of the leader: its ID, empty if it knows none, and the term."""

    leader_id: str
    term: int


async def list_members(url: str) -> list[ListedMember]:
    """Return the linearizable member list from the member at `url`.

    Raises:
        OSError: It does not answer, or there is no quorum.
    """
    answer = await http.post(f"{url}/v3/cluster/member/list", {"linearizable": True}, LIST_SECONDS)
    return [ListedMember(hex_id(m["ID"]), m.get("name", ""), bool(m.get("isLearner"))) for m in answer["members"]]


async def first_list(urls: Sequence[str]) -> list[ListedMember]:
    """Return the linearizable member list from the first member that answers; the lists cannot differ.

    Raises:
        OSError: No member answers; the error is the last one's.
    """
    failure: Exception = OSError("there is no etcd member to ask")
    tasks = [asyncio.ensure_future(list_members(url)) for url in urls]
    try:
        for answer in asyncio.as_completed(tasks):
            try:
                return await answer
            except http.FAILURES as error:
                failure = error
        raise failure
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def patient_list(urls: Sequence[str]) -> list[ListedMember]:
    """Return the same as `first_list`, and ask again while members only take too long.

    Raises:
        OSError: No member answers, or none does in time.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEADER_SECONDS):
            while True:
                try:
                    return await first_list(urls)
                except http.FAILURES as error:
                    if not any(word in str(error) for word in SLOW):
                        raise
                await asyncio.sleep(POLL_SECONDS)
    return await first_list(urls)


async def leader_and_term(urls: Mapping[str, str]) -> tuple[str, int]:
    """Wait until a majority of the voters names one leader; return its name and the term.

    Args:
        urls: Client URL of each member, by its name.

    Raises:
        ProcessError: They do not agree in time; the message has what each said.
    """
    agreements: list[tuple[str, int]] = []
    answers: dict[str, object] = {}

    async def agreed() -> bool:
        members: list[ListedMember] = []
        try:
            # First the list: it comes through a leader that is alive, so no word after it is stale.
            answers["members"] = members = await first_list(list(urls.values()))
        except http.FAILURES as error:
            answers["members"] = f"no list: {error}"
        votes = await asyncio.gather(*(_vote(url) for url in urls.values()))
        answers.update(zip(urls, votes, strict=True))
        leader = _agreed(members, {n: v for n, v in answers.items() if isinstance(v, Vote)})
        agreements.extend([leader] if leader else [])
        return bool(agreements)

    await wait_until(
        agreed,
        "a majority of the voters agrees on a leader",
        LEADER_SECONDS,
        lambda: "; ".join(f"{name}: {answer}" for name, answer in answers.items()),
    )
    return agreements[-1]


async def serves(url: str) -> bool:
    """Return whether the member at `url` serves all requests.

    /health does not answer while there is no leader, hence the short time-out. For it a learner is never healthy,
    because a learner refuses linearizable reads.
    """
    if await http.answers(f"{url}/health", timeout_seconds=STATUS_SECONDS):
        return True
    with contextlib.suppress(*http.FAILURES):
        status = await http.post(f"{url}/v3/maintenance/status", {}, timeout_seconds=STATUS_SECONDS)
        return bool(status.get("isLearner") and status.get("leader"))
    return False


async def change_members(url: str, body: dict[str, object]) -> None:
    """Change the membership, and repeat the request while etcd refuses changes after its start.

    Raises:
        OSError: etcd refuses for another reason.
    """

    async def changed() -> bool:
        try:
            await http.post(url, body, timeout_seconds=CHANGE_SECONDS)
        except OSError as error:
            if UNHEALTHY_CLUSTER not in str(error):
                raise
            return False
        return True

    await wait_until(changed, "etcd takes a change of the membership", LEADER_SECONDS)


def hex_id(number: str | int) -> str:
    """Return a member ID as etcdctl prints it. JSON has it as a decimal string."""
    return format(int(number), "x")


def _agreed(members: list[ListedMember], votes: Mapping[str, Vote]) -> tuple[str, int] | None:
    voters = {m.id: m.name for m in members if not m.is_learner}
    counts = Counter(votes[name] for name in voters.values() if name in votes)
    for vote, count in counts.most_common(1):
        if count > len(voters) // 2 and vote.leader_id in voters:
            return voters[vote.leader_id], vote.term
    return None


async def _vote(url: str) -> Vote | str:
    try:
        status = await http.post(f"{url}/v3/maintenance/status", {}, timeout_seconds=STATUS_SECONDS)
    except http.FAILURES as error:
        return f"no answer: {error}"
    return Vote(hex_id(status["leader"]) if status.get("leader") else "", int(status["raftTerm"]))
