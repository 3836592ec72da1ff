"""What an operator sees in Temporal's Web UI, in a real browser: lists, the page of an operation, how it failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError

from etcd_handoff.contract import (
    AdditionRequest,
    AdditionResult,
    DesiredMember,
    MembershipRequest,
    ReplacementRequest,
)
from etcd_handoff.lab import Role
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.temporal.client import apply_membership, start_operation, start_replacement
from tests.integration.additions import seen
from tests.integration.conftest import LiveCluster, in_state, open_cluster
from tests.integration.progress import says
from tests.integration.queues import removal_of
from tests.integration.web_ui import (
    DESK,
    PHONE,
    WebUi,
    chromium,
    fits,
    markdown,
    picture_of,
    require_chromium,
    send_update,
    shows,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from temporalio.client import WorkflowHandle

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
VIEWS = re.compile(r"\| \[([^]]+)\]\(https://temporal\.example(/namespaces/[^)]+)\)")
"""The rows of docs/operations.md that have a list's URL."""
TRACE = 'File "'
"""Stands in each line of a Python stack trace."""


@dataclass
class Console:
    """A lab whose Web UI is open."""

    cluster: LiveCluster
    ui: WebUi


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(shared_path: Path) -> AsyncIterator[Console]:
    """One lab for all tests of this file; each is content with as many members as others have left."""
    require_chromium()
    hold = "move_leader.looked=hold"
    async with open_cluster(shared_path, cluster="prod", failpoints=hold) as cluster, chromium() as browser:
        cluster.arm()
        yield Console(cluster, WebUi(browser, cluster.lab.ui_url))


def views() -> dict[str, str]:
    """The paths of the lists that docs/operations.md gives, by name, in the lab's namespace."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    return {name: path.replace("/etcd-handoff/", "/default/") for name, path in VIEWS.findall(page)}


async def test_blocked_removal_says_what_to_do_and_until_when_it_waits(console: Console) -> None:
    """On the list of what needs a person, and on its page at both widths."""
    b = console.cluster
    leader = await b.lab.leader()
    down = b.others(leader)[-1]
    await b.lab.kill(Role.ETCD, down)
    removal = await b.start(leader, reason="new disk")
    reason = (await says(removal, "Blocked")).doing.partition(":")[0]
    await in_state(removal, "Blocked")
    page = await console.ui.open(views()["what needs a person"])
    await shows(page, removal.id)
    for window in (DESK, PHONE):
        page = await console.ui.workflow(removal, "user-metadata", window=window)
        text = await shows(page, "Blocked, since 20", f": {reason}", "by itself; it gives up at 20", "Why: new disk")
        assert f"etcd-handoff recheck {leader} -c prod" in text
        assert 'More Actions, Send an Update, recheck, with the input {"reason": "<why>"}' in text
        assert await fits(page)
        await page.close()
    page = await console.ui.workflow(removal, "timeline")
    await shows(page, f"blocked: {reason}, until")
    await removal.cancel()
    with pytest.raises(WorkflowFailureError):
        await removal.result()
    await b.lab.start(Role.ETCD, down)
    await b.lab.wait_for_health_interval()


async def begun(b: LiveCluster, kind: str, new: DesiredMember, leaves: str) -> WorkflowHandle[Any, Any]:
    """A change that adds a member, alone or as a part of it."""
    given: dict[str, Any] = {"cluster": "prod", "reason": "more room"}
    if kind == "add":
        addition = AdditionRequest(name=new.name, peer_urls=new.peer_urls, **given)
        return await start_operation(b.client, addition, AdditionResult)
    if kind == "replace":
        request = ReplacementRequest(member=leaves, name=new.name, peer_urls=new.peer_urls, **given)
        return await start_replacement(b.client, request)
    listed = (await seen(b.lab)).members
    stay = tuple(DesiredMember(name=m.name, peer_urls=m.peer_urls) for m in listed)
    return await apply_membership(b.client, MembershipRequest(members=(*stay, new), **given))


@pytest.mark.parametrize("kind", ["add", "replace", "apply"])
async def test_change_that_waits_for_its_new_member_says_what_to_start_it_with(console: Console, kind: str) -> None:
    """On the list of what needs a person; its page has the settings that `progress` has, at both widths."""
    b = console.cluster
    before = {m.id for m in (await seen(b.lab)).members}
    new = DesiredMember(name="node9", peer_urls=("http://127.0.0.1:9",))
    leaves = b.others(await b.lab.leader())[0]
    change = await begun(b, kind, new, leaves)
    settings = (
        await says(change, "Blocked", "LearnerNotStarted", so=lambda shown: bool(shown.join_configuration))
    ).join_configuration
    assert settings["ETCD_NAME"] == new.name
    await in_state(change, "Blocked")
    page = await console.ui.open(views()["what needs a person"])
    await shows(page, change.id)
    about = {"add": f"{new.name} -c prod", "replace": f"{leaves} -c prod", "apply": change.id}[kind]
    for window in (DESK, PHONE):
        page = await console.ui.workflow(change, "user-metadata", window=window)
        unblocks = f"What unblocks it: start etcd with ETCD_NAME={new.name} "
        # On a slow machine a voter may be late for one look, which is another reason until the next one.
        text = await shows(page, "Blocked, since 20", ": LearnerNotStarted: learner ", unblocks, "Start etcd with")
        assert "Why: more room" in text
        assert f"etcd-handoff recheck {about}" in text
        assert 'More Actions, Send an Update, recheck, with the input {"reason": "<why>"}' in text
        details = await markdown(page, "Start etcd with")
        codes = await details.locator("code").all_inner_texts()
        assert [f"{name}={value}" for name, value in settings.items()] == [c for c in codes if c.startswith("ETCD_")]
        assert await fits(page)
        await page.close()
    page = await console.ui.workflow(change, "timeline")
    await shows(page, f"add {new.name} as a learner through", "wait: LearnerNotStarted, until start etcd with")
    await change.cancel()
    with pytest.raises(WorkflowFailureError):
        await change.result()
    assert {m.id for m in (await seen(b.lab)).members} == before


async def test_removal_that_waits_is_approved_in_the_dialog_and_its_timeline_reads_as_a_story(console: Console) -> None:
    """What, why, since when, members, what follows, what to copy; then the queue; then what was done."""
    b = console.cluster
    leader = await b.lab.leader()
    other = b.others(leader)[0]
    options = ("--reason", "new disk", "--require-approval", "--detach")
    assert (await b.lab.handoff("remove", leader, "-c", "prod", *options))[0] == 0
    removal = removal_of(b, leader)
    await in_state(removal, "AwaitingApproval")
    for name in ("open operations", "one cluster", "what needs a person"):
        page = await console.ui.open(views()[name])
        await shows(page, removal.id)
        await picture_of(page, "web-ui-list" if name == "what needs a person" else "")
        await page.close()
    page = await console.ui.workflow(removal, "user-metadata")
    await shows(page, "AwaitingApproval, since 20")
    details = await markdown(page, "AwaitingApproval")
    await picture_of(page, "web-ui-approval", details)
    bullets = await details.locator("li").all_inner_texts()
    assert any(re.match(r"AwaitingApproval, since 20.+ UTC: everything is ready", line) for line in bullets)
    assert "Why: new disk" in bullets
    assert any(re.match(r"Asked for the removal: etcd-handoff:\S+@\S+ at 20", line) for line in bullets), bullets
    for member in b.others(""):
        role = "leader" if member == leader else "voter"
        assert any(re.match(rf"{member}(?: \(leaves\))?: {role}, healthy", line) for line in bullets), bullets
    assert any(re.match(rf"hand leadership from {leader} to ", line) for line in bullets)
    codes = await details.locator("code").all_inner_texts()
    assert {f"etcd-handoff approve {leader} -c prod", "approve", '{"by": "<your name>"}'} <= set(codes)
    phone = await console.ui.workflow(removal, "user-metadata", window=PHONE)
    await shows(phone, "AwaitingApproval, since 20", f"etcd-handoff approve {leader} -c prod")
    assert await fits(phone)
    await (await markdown(phone, "AwaitingApproval")).scroll_into_view_if_needed()
    await picture_of(phone, "web-ui-phone")
    await phone.close()
    b.arm("move_leader.looked")
    await send_update(page, "approve", '{"by": "ann"}', "web-ui-update")
    await b.reached("move_leader.looked")
    second = await b.start(other)
    await says(second, "Queued")
    waiting = await console.ui.workflow(second, "user-metadata")
    await shows(waiting, f"Queue: number 2, behind the removal of {leader}")
    await second.cancel()
    b.release("move_leader.looked")
    result = await removal.result()
    assert (result.outcome, "ann" in str(result.approved_by)) == ("removed", True)
    b.gone.add(leader)
    story = await console.ui.workflow(removal, "timeline")
    text = await shows(story, f"hand leadership from {leader} to", f"remove {leader} through", "write Joined=False to")
    assert "look at members, leader and health of prod" in text
    await picture_of(story, "web-ui-timeline", story.get_by_role("heading", name="Timeline").last, size=(960, 560))


async def test_refused_removal_says_what_to_do_first_and_shows_no_stack_trace(console: Console) -> None:
    """The last voter stays. Its page and the list of bad ends say so."""
    b = console.cluster
    for member in b.others(await b.lab.leader()):
        assert (await b.remove(member)).outcome == "removed"
        b.gone.add(member)
    (last,) = b.others("")
    removal = await b.start(last)
    with pytest.raises(WorkflowFailureError):
        await removal.result()
    await in_state(removal, "Refused")
    page = await console.ui.open(views()["bad ends"])
    await shows(page, removal.id)
    for window in (DESK, PHONE):
        page = await console.ui.workflow(removal, "timeline", window=window)
        text = await shows(page, "LastVoter: add another member first")
        assert text.index("add another member first") < text.index("is the last voter of the cluster")
        assert TRACE not in text
        assert "stackTrace" not in text
        panel = page.locator(".cm-content", has_text="LastVoter").last
        await picture_of(page, "web-ui-refused" if window == DESK else "", panel)
        await page.close()
