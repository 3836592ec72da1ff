"""Replacements in which others change the cluster, that are cancelled or stop, at every moment: activities on a model.

Whatever happens and whenever: nobody but the old member and an own learner is removed, too few voters never work,
what is half done when it ends is named, and what to type to go on with it goes on to the end.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.contract import AdditionRequest, AdditionResult, ReplacementRequest, ReplacementResult
from etcd_handoff.errors import BadTransfereeError, MemberNotFoundError, NotLeaderError
from etcd_handoff.operation.state import OperationState
from etcd_handoff.operation.whole_change import WholeChange
from tests.unit import test_replacement_model as model
from tests.unit.test_addition_model import GIVEN_UP, NEVER, carried_out
from tests.unit.test_replacement_model import MOST_COMMANDS, URL, Replaced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

quick = model._no_real_waits  # a fixture

DEEDS: Final = (
    "adds the new one",
    "promotes the new one",
    "removes the new one",
    "removes the old one",
    "removes another",
    "adds another",
    "moves the leader",
)
CALLS: Final = 34
COMMANDS: Final = 46
PATIENCE_SECONDS: Final = 60
STOP: Final = "stop"
OWN, SAME, ANOTHER = "4", "8", "7"
"""IDs of the learners: its own, one with its peer URL that somebody else has added, and one with another."""
Result = ReplacementResult | AdditionResult | str


class StoppedError(Exception):
    """The operation is terminated: no step of it is heard of again."""


@dataclass
class Meddled(Replaced):
    """A cluster in which somebody else does something at one call.

    Attributes:
        deed: What it is.
        at: The number of the call before which it is done.
        others: Learners that somebody else has added.
        seen_at: The number of the last look.
        shown: Who had a vote in it.
        led: Who led in it.
        done: The deed has changed anything.
        learner_removed: The replacement itself has taken the old one out.
    """

    deed: str = ""
    at: int = NEVER
    others: tuple[str, ...] = ()
    seen_at: int = 0
    shown: tuple[str, ...] = ()
    led: str = ""
    done: bool = False
    learner_removed: bool = False

    def _call(self) -> str | None:
        if self.calls == self.at:
            before = repr((self.learners, self.voters, self.others, self.leader))
            self._meddle()
            self.done = before != repr((self.learners, self.voters, self.others, self.leader))
        return super()._call()

    def _crash_at(self, trouble: str | None) -> None:
        if trouble == STOP:
            raise StoppedError
        super()._crash_at(trouble)

    @property
    def new(self) -> str:
        """ID of the member with the wanted peer URL; empty when there is none."""
        return next(iter(self.learners), "")

    def _meddle(self) -> None:
        match self.deed:
            case "adds the new one" if not self.new:
                self.learners.append(SAME)
            case "promotes the new one" if self.new and self.new not in self.voters and self.in_sync:
                self.promoted.append(self.new)
                self.voters.append(self.new)
            case "removes the new one" if self.new:
                self._leaves(self.new)
            case "removes the old one":
                self._leaves(self.old)
            case "removes another":
                self._leaves("2")
            case "adds another" if not set(self.learners) - set(self.voters):
                self.others = (ANOTHER,)
            case "moves the leader":
                self.leader, self.term = next(i for i in self.up if i != self.leader), self.term + 1

    def _leaves(self, member_id: str) -> None:
        """It has left, if etcd agrees to that; another one leads if it did."""
        left = [i for i in self.voters if i != member_id]
        if 2 * len([i for i in self.up if i in left]) <= len(left):
            return
        self.voters = left
        self.learners = [i for i in self.learners if i != member_id]
        self.promoted = [i for i in self.promoted if i != member_id]
        if self.leader == member_id:
            self.leader, self.term = self.up[0], self.term + 1

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """A look."""
        self.seen_at = self.calls
        view = await super().observe(doubtful, leaving)
        self.shown, self.led = tuple(self.voters), self.leader
        foreign = [MemberView(id=i, name="", peer_urls=("http://other:2380",), is_learner=True) for i in self.others]
        return view.model_copy(update={"members": (*view.members, *foreign)})

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """A learner is in."""
        if self.others and self.at < self.seen_at:
            self.wrong.append("added beside another learner")
        return await super().add_learner(peer_urls, via_id)

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Another one leads; who does not lead turns it down, and so it is where the other one is no voter."""
        trouble = self._call()
        if leader_id != self.led or transferee_id == self.old:
            self.wrong.append(f"{leader_id} hands over to {transferee_id}")
        if leader_id != self.leader:
            raise NotLeaderError(leader_id)
        if transferee_id not in self.voters:
            raise BadTransfereeError(transferee_id)
        self._change(trouble, f"lead {transferee_id}")

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:  # noqa: ARG002
        """It has left."""
        trouble = self._call()
        own = member_id == OWN and OWN not in self.shown
        if member_id != self.old and not own:
            self.wrong.append(f"removed {member_id}, which was to stay")
        if member_id not in {*self.voters, *self.learners}:
            raise MemberNotFoundError(member_id)
        self._change(trouble, f"remove {member_id}")
        return frozenset({*self.voters, *self.learners, *self.others})

    def _take_effect(self, what: str) -> None:
        if what.startswith("lead ") or what == "add":
            super()._take_effect(what)
        elif what.startswith("remove "):
            self._taken_out(what.removeprefix("remove "))
        elif what in self.learners:
            self.promoted += [what] * (what not in self.promoted)
            self.voters += [what] * (what not in self.voters)
            alone = len(self.voters) == len(("the first", "the second"))  # nothing else can follow on a single voter
            self._judge_quorum(self.up if alone else [i for i in self.up if i != what])

    def _taken_out(self, member_id: str) -> None:
        if member_id == self.led:
            self.wrong.append("the leader is removed")
        votes = member_id in self.voters
        self.learner_removed = self.learner_removed or member_id == self.old
        self.voters = [i for i in self.voters if i != member_id]
        self.learners = [i for i in self.learners if i != member_id]
        if self.leader == member_id:
            self.leader, self.term = self.up[0], self.term + 1
        if votes:
            self._judge_quorum(self.up)

    def _judge_quorum(self, working: list[str]) -> None:
        unseen = self.at >= self.seen_at  # etcd compares nothing: what comes after the look nobody can see
        if 2 * len(working) <= len(self.voters) and not unseen:
            self.wrong.append(f"only {working} of {self.voters} work")


def world_of(*, dead: bool, script: Mapping[int, str] | None = None, deed: str = "", at: int = NEVER) -> Meddled:
    """Three voters: the first, which leads, is to be replaced, or the third, which is down."""
    return Meddled(script or {}, old="3" if dead else "1", dead=dead, deed=deed, at=at)


def asked_for(old: str) -> ReplacementRequest:
    """The replacement of this member, by its name or its ID."""
    return ReplacementRequest(cluster="demo", member=old, name="node4", peer_urls=(URL,))


async def run(world: Meddled, request: ReplacementRequest | AdditionRequest, cancelled_at: int = NEVER) -> Result:
    """The result, why it has failed, or `cancelled` and the words of that."""
    whole = WholeChange(request=request) if isinstance(request, ReplacementRequest) else None
    state = OperationState(
        run_id="run", chain_id="chain", request=request, whole=whole, blocked_remaining_seconds=PATIENCE_SECONDS
    )
    return cast("Result", await carried_out(world, state, cancelled_at, MOST_COMMANDS))


async def to_the_end(world: Meddled, cancelled_at: int = NEVER) -> list[Result]:
    """How each start ends: each but the first is what the one before it says how to go on with."""
    request: ReplacementRequest | AdditionRequest = asked_for(f"node{world.old}")
    ends = list[Result]()
    for _ in range(MOST_STARTS):
        try:
            ends.append(await run(world, request, NEVER if ends else cancelled_at))
        except StoppedError:
            ends.append(STOP)
        world.wrong += unnamed(world, ends[-1])
        if not isinstance(ends[-1], str):
            break
        request = _next_start(ends[-1], request)
        world.script, world.others = {}, ()  # the operator removes what is in the way
    return ends


def _next_start(ended: str, request: ReplacementRequest | AdditionRequest) -> ReplacementRequest | AdditionRequest:
    """What an operator types who is told this."""
    if f"`etcd-handoff add node4 --peer-url {URL} -c demo`" in ended:
        return AdditionRequest(cluster="demo", name="node4", peer_urls=(URL,))
    again = re.search(rf"`etcd-handoff replace (\S+) --with node4 --peer-url {URL} -c demo`", ended)
    return asked_for(again[1]) if again else request


def unnamed(world: Meddled, ended: Result) -> list[str]:
    """What is half done when it ends like that, and not named."""
    if not isinstance(ended, str) or ended == STOP:
        return []
    wrong, votes = list[str](), OWN in world.voters
    if (world.new == OWN or world.learner_removed) and not any(text in ended for text in WAYS_ON):
        wrong.append(f"it does not say how to go on: {ended}")
    if world.new == OWN and not votes and f"learner {OWN}" not in ended:
        wrong.append(f"it does not name the learner: {ended}")
    if votes and f"node4 ({OWN}) has joined" not in ended:
        wrong.append(f"it does not name the new voter: {ended}")
    return wrong


def judged(world: Meddled, ends: list[Result]) -> list[str]:
    """What is not as it should be at the end."""
    wrong = [*world.wrong]
    for ended in ends:
        if isinstance(ended, str) and ended != STOP and not ended.startswith("cancelled"):
            right_texts = (IS_OUT, *RIGHT_FAILURES.get(world.deed, ()))
            wrong += [] if any(text in ended for text in right_texts) else [ended]
    if isinstance(ends[-1], str):
        wrong.append("it never comes to its end")
    stays = {"1", "2", "3"} - {world.old} - ({"2"} if world.deed == "removes another" else set())
    if not stays <= set(world.voters):
        wrong.append(f"one that was to stay has left: {world.voters}")
    right = world.new in world.voters and world.old not in world.voters
    if not right and world.at < world.seen_at:  # nobody sees what comes after the last look
        wrong.append(f"it ended with {world.voters}, and with {world.learners} added")
    return wrong


MOST_STARTS: Final = 4
WAYS_ON: Final = ("`etcd-handoff ", "start the addition again")
IS_OUT: Final = "is no member of cluster demo"
"""The old member had left before the start; its text has the command for what is left to do."""
RIGHT_FAILURES: Final = {
    "removes the new one": ("somebody has removed it",),
    "adds another": ("LearnerInTheWay", "ClusterUnavailable", "StepFails"),
}
"""The last two where the last look before the time is over goes wrong."""
WHOLE: Final = bool(os.environ.get("MODEL"))
"""With MODEL=all everything runs, an hour; else a fixed share of it."""
SHARE: Final = 1 if WHOLE else 7
SMALL_SHARE: Final = 1 if WHOLE else 307
SMALLEST_SHARE: Final = 1 if WHOLE else 1009
"""One of so many; no divisor of how many calls, commands or troubles there are."""
ANY: Final = (False, True)


def found_in(cases: Iterable[tuple[dict[str, Any], int]]) -> tuple[dict[str, list[str]], Counter[str]]:
    """What is wrong in which case, how often each deed has changed anything, and how often each kind of end was met.

    Args:
        cases: What each world is made of, and the command at which its first start is cancelled.
    """
    found, met = dict[str, list[str]](), Counter[str]()
    for made, cancelled_at in cases:
        world = world_of(**made)
        ends = asyncio.run(to_the_end(world, cancelled_at))
        met[world.deed] += world.done
        met.update(ended.split(":")[0] if isinstance(ended, str) else str(ended.outcome) for ended in ends)
        if wrong := judged(world, ends):
            found[f"{made}, cancelled at {cancelled_at}"] = wrong
    return found, met


def before_each_call(deed: str, most_calls: int = CALLS) -> list[dict[str, Any]]:
    """The deed before each call, for a member that works and for one that is down."""
    return [{"dead": dead, "deed": deed, "at": at} for dead, at in itertools.product(ANY, range(most_calls))]


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_that_others_do_leads_to_harm(deed: str) -> None:
    """Before every call to etcd; what is half done then is named, and the next start ends it."""
    found, met = found_in((made, NEVER) for made in itertools.islice(before_each_call(deed), 0, None, SHARE))
    assert found == {}
    assert met[deed]


@pytest.mark.parametrize("dead", ANY)
def test_cancelled_replacement_names_what_is_half_done_and_the_next_one_ends_it(*, dead: bool) -> None:
    """Cancelled at every command."""
    found, met = found_in(({"dead": dead}, at) for at in range(COMMANDS))
    assert found == {}
    assert met["cancelled"]


@pytest.mark.parametrize("dead", ANY)
def test_second_start_goes_on_where_the_first_one_stopped(*, dead: bool) -> None:
    """Terminated at every call: nothing is told, and the same is asked for again."""
    found, met = found_in(({"dead": dead, "script": {at: STOP}}, NEVER) for at in range(CALLS))
    assert found == {}
    assert met[STOP] > CALLS / 2


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_that_others_do_around_a_cancellation_leads_to_harm(deed: str) -> None:
    """Before each call, cancelled at each command."""
    cases = itertools.product(before_each_call(deed), range(COMMANDS))
    found, met = found_in(itertools.islice(cases, 0, None, SMALL_SHARE))
    assert found == {}
    assert {"cancelled", "replaced"} <= set(met)


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_that_others_do_around_a_stop_leads_to_harm(deed: str) -> None:
    """Before each call, also of the second start; terminated at each call."""
    cases = itertools.product(before_each_call(deed, CALLS + 6), range(CALLS))
    some = itertools.islice(cases, 0, None, SMALL_SHARE)
    found, met = found_in(({**made, "script": {at: STOP}}, NEVER) for made, at in some)
    assert found == {}
    assert {STOP, "replaced"} <= set(met)


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_that_others_do_leads_to_harm_when_something_goes_wrong_besides(deed: str) -> None:
    """Before each call, with a lost answer or a death at each call."""
    cases = itertools.product(before_each_call(deed), range(CALLS), ("answer lost", "no effect", "crash", GIVEN_UP))
    some = itertools.islice(cases, 0, None, SMALLEST_SHARE)
    found, met = found_in(({**made, "script": {at: trouble}}, NEVER) for made, at, trouble in some)
    assert found == {}
    assert met["replaced"]


# --- broken on purpose --------------------------------------------------------------------------------------------


def test_replacement_that_names_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the judgement above can fail."""
    monkeypatch.setattr("etcd_handoff.operation.parts.half_done", lambda _: "")
    found, _ = found_in(({"dead": False}, at) for at in range(COMMANDS))
    assert any("it does not say how to go on" in wrong for wrongs in found.values() for wrong in wrongs)


def test_replacement_that_takes_any_learner_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the judgement above can fail."""
    original = OperationState.with_joining

    def takes_all_for_its_own(state: OperationState, **fields: Any) -> OperationState:
        return original(state, **{**fields, "sent": True})

    monkeypatch.setattr(OperationState, "with_joining", takes_all_for_its_own)
    found, _ = found_in(({"dead": False, "deed": "adds the new one", "at": 2}, at) for at in range(COMMANDS))
    assert any(f"removed {SAME}, which was to stay" in wrong for wrong in found.values())


def test_second_start_that_adds_anew_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the judgement above can fail: it does not see who has joined already, and etcd refuses the peer URL."""
    monkeypatch.setattr("etcd_handoff.planning.goals.MembersChanged.member_in", lambda *_: None)
    found, _ = found_in(({"dead": False, "script": {at: STOP}}, NEVER) for at in range(CALLS))
    assert any("it never comes to its end" in wrong for wrong in found.values())
