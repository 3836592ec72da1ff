"""What each command says in each kind of trouble, on a real cluster: verdict, remedy, exit status, JSON by its schema.

The folder `verdicts` has the texts, a file for each test. After a change of words run this file with
`UPDATE_VERDICTS=1`, and read the difference as somebody would who was woken at night: is the next thing to type on the
screen?
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trustme

from etcd_handoff.lab import Role, disasters, http, users, wait_until
from tests.integration.conftest import open_cluster
from tests.integration.isolation import require_isolation
from tests.integration.teller import LATE_SECONDS, Teller

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import LiveCluster, MakeLiveCluster

NOBODY: Final = "127.0.0.1:1"
"""Where no server listens."""
NEW_PEER_URL: Final = "https://127.0.0.1:2"
STORED: Final = b"a value that is stored once, to be told from its reverse"
SOON: Final = ("--blocked-timeout", "4")


def configured(b: LiveCluster, *changes: tuple[str, str]) -> str:
    """A configuration file in which patterns are replaced."""
    text = b.lab.config_path.read_text(encoding="utf-8")
    for old, new in changes:
        text, times = re.subn(old, new, text, flags=re.MULTILINE)
        assert times, f"{old} is not in the configuration:\n{text}"
    other = b.lab.config_path.with_name("other.toml")
    other.write_text(text, encoding="utf-8")
    return str(other)


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is who."""

    leader: str
    follower: str
    other: str

    @property
    def names(self) -> dict[str, str]:
        """Their names in the texts."""
        return {"leader": self.leader, "follower": self.follower, "other": self.other}


def changes(b: LiveCluster, who: Roles) -> tuple[tuple[str, ...], ...]:
    """An addition, a replacement and a membership, each with a member that nobody starts."""
    members = b.folder / "members.json"
    kept = [{"name": name, "peer_urls": [b.lab.node(name).peer_url]} for name in (who.leader, who.other)]
    members.write_text(json.dumps({"members": [*kept, {"name": "new", "peer_urls": [NEW_PEER_URL]}]}))
    new = ("--peer-url", NEW_PEER_URL)
    return ("add", "new", *new), ("replace", who.follower, "--with", "new", *new), ("apply", str(members))


async def _no_worker(b: LiveCluster, t: Teller, who: Roles) -> None:
    """Nobody works on a node, first while its member is well, then while it is down."""
    for node in (who.leader, who.follower):
        await b.lab.start_worker(node)
    t.situation("a node has no worker", who.names)
    for command in (("status",), ("doctor",)):
        await t.says(*command)
    t.situation("a voter is down, and its node has no worker", who.names)
    t.nodes_told = True
    await b.lab.kill(Role.ETCD, who.other)
    await t.says("remove", who.follower, "--dry-run")
    await b.lab.restart(Role.ETCD, who.other)
    await b.lab.start_worker(who.other)
    await _are_well(b, who)


async def _without_trouble(t: Teller, who: Roles) -> None:
    t.situation("nothing is wrong", who.names)
    await t.says("plan", who.follower)
    await t.says("plan", "nobody")
    await t.says("status")
    await t.says("remove", who.follower, "--dry-run")
    await t.says("doctor")
    t.situation("the leader, which may hand over to either", {"leader": who.leader})
    for command in (("plan", who.leader), ("remove", who.leader, "--dry-run")):
        await t.says(*command)


async def _servers_and_files(b: LiveCluster, t: Teller, who: Roles) -> None:
    """What is wrong lies between the commands and the servers."""
    commands = (("plan", who.follower), ("status",), ("doctor",))
    t.situation("no Temporal", who.names, TEMPORAL_ADDRESS=NOBODY)
    about = tuple((command, who.follower) for command in ("remove", "describe", "approve", "cancel", "recheck"))
    for command in (*commands, *about, ("history",), ("watch", "status"), *changes(b, who)):
        await t.says(*command)
    authority = b.folder / "other-authority.crt"
    trustme.CA().cert_pem.write_to_path(authority)
    stranger = trustme.CA().issue_cert("product")
    stranger.private_key_and_cert_chain_pem.write_to_path(certificate := b.folder / "stranger.pem")
    kubeconfig = b.folder / "kubeconfig-stranger"
    known = b.lab.kubeconfig_path.read_text(encoding="utf-8")
    kubeconfig.write_text(re.sub(r"(?m)(\btoken\W+)[\w.-]+", r"\1stranger", known), encoding="utf-8")
    for title, old, new in (
        (
            "a client certificate that etcd's authority has not signed",
            r"^(cert|key)_file = .*",
            rf'\1_file = "{certificate}"',
        ),
        ("a token that API servers do not know", r"^kubeconfig = .*", f'kubeconfig = "{kubeconfig}"'),
        ("no etcd", r"^endpoints = .*", f'endpoints = ["https://{NOBODY}"]'),
        ("an authority that has not signed etcd's certificate", r"^ca_file = .*", f'ca_file = "{authority}"'),
        ("the profile names another cluster", r"^\[clusters\.demo\]$", '\\g<0>\ncluster_id = "1"'),
    ):
        t.situation(title, who.names, ETCD_HANDOFF_CONFIG=configured(b, (old, new)))
        for command in commands:
            await t.says(*command)


async def _last_voter(b: LiveCluster, t: Teller) -> None:
    (last,) = b.lab.nodes
    t.situation("the last voter", {"last": last.name})
    for command in (("plan", last.name), ("remove", last.name, "--dry-run"), ("remove", last.name)):
        await t.says(*command)


async def _alarms(b: LiveCluster, t: Teller, who: Roles) -> None:
    for alarm in ("CORRUPT", "NOSPACE"):
        t.situation(f"the alarm {alarm}", who.names)
        await disasters.raise_alarm(b.lab, who.leader, alarm)
        for command in (("plan", who.follower), ("status",), ("doctor",)):
            await t.says(*command)
        await disasters.disarm(b.lab, who.leader)


async def _are_well(b: LiveCluster, who: Roles) -> None:
    """Every worker sees that all members work, and the API server of the one that was down answers.

    A worker's connection to a member that was down comes back after a pause, and nothing shows when that is so for
    the worker that the next command meets. A worker that has just been started has no such connection.
    """
    for node in (who.leader, who.follower, who.other):
        await b.lab.restart(Role.WORKER, node)
    await b.lab.ready(Role.APISERVER, who.other)

    async def well() -> bool:
        status, _, _ = await b.lab.handoff("remove", who.follower, "--dry-run")
        return status == 0

    await b.lab.wait_for_health_interval()
    await wait_until(well, "all members work", 60)


async def _sick_members(b: LiveCluster, t: Teller, who: Roles) -> None:
    lab = b.lab
    t.situation("another voter is down", who.names)
    await lab.kill(Role.ETCD, who.other)
    dry = tuple((*command, "--dry-run") for command in changes(b, who))
    for command in (("plan", who.follower), ("plan", who.other), ("status",), ("doctor",), *dry):
        await t.says(*command)
    await t.does("remove", who.follower, *SOON)
    await t.does_in_json("remove", who.follower, *SOON)
    await _operation_that_waits(b, t, who)
    await lab.restart(Role.ETCD, who.other)
    await _are_well(b, who)
    t.situation("another voter's disk hangs", who.names)
    disasters.hang_disk(lab, who.other)
    # An idle cluster hides it: the removal writes first, and then looks.
    await t.does("remove", who.follower, *SOON)
    for command in (("plan", who.follower), ("status",), ("doctor",)):
        await t.says(*command)
    disasters.heal_disk(lab, who.other)
    await _are_well(b, who)


async def _operation_that_waits(b: LiveCluster, t: Teller, who: Roles) -> None:
    """All that people say to it, until it is cancelled."""
    t.situation("a removal waits for a voter that is down", who.names)
    for name in ("describe", "approve", "cancel", "recheck", "pause", "resume"):
        await t.says(name, "nobody")
    await t.does("report", "nobody")
    await t.says("watch", "status")
    await t.does("remove", who.follower, "--reason", "new disk", "--detach")
    await wait_until(lambda: _is(b, who.follower, "Blocked"), "the removal is blocked", LATE_SECONDS)
    for command in (("describe", who.follower), ("status",), ("approve", who.follower)):
        await t.says(*command)
    await t.does("recheck", who.follower)
    await t.does("pause", who.follower, "--reason", "on a call")
    await wait_until(lambda: _is(b, who.follower, "Paused"), "the removal is paused", LATE_SECONDS)
    await t.says("describe", who.follower)
    await t.does("resume", who.follower)
    await wait_until(lambda: _is(b, who.follower, "Blocked"), "the removal is blocked again", LATE_SECONDS)
    await t.does("cancel", who.follower, "--reason", "not tonight")
    await t.says("history", who.follower, "--limit", "1")
    for command in (("describe", who.follower), ("cancel", who.follower)):
        await t.says(*command)


async def _is(b: LiveCluster, member: str, state: str) -> bool:
    """Whether the removal of a member is in this state."""
    _, shown, _ = await b.lab.handoff("describe", member, "-o", "json")
    return bool(json.loads(shown)["state"] == state)


async def _watcher(b: LiveCluster, t: Teller, who: Roles) -> None:
    """A watcher from its start to its end."""
    t.situation("a watcher", who.names)

    async def has_compared() -> bool:
        _, shown, _ = await b.lab.handoff("watch", "status", "-o", "json")
        return len(json.loads(shown)["members"]) == len(b.lab.nodes)

    await t.does("watch", "resync")
    await t.does("watch", "start")
    await wait_until(has_compared, "the watcher has seen all members", LATE_SECONDS)
    await t.does("watch", "start")
    await t.says("watch", "status")
    await t.does("watch", "resync")
    await t.does("watch", "stop")
    await t.does("watch", "stop")


async def _no_permission(b: LiveCluster, t: Teller, who: Roles) -> None:
    """The product comes as a user that may only read; the lab comes as one that may do all."""
    lab, url = b.lab, b.lab.node(who.leader).etcd_url
    certificates = lab.credentials.certificates
    assert certificates is not None
    password = b.folder / "password"
    password.write_text(users.PASSWORDS["reader"])
    before = lab.config_path.read_text(encoding="utf-8")
    as_reader = f'\\g<0>\nusername = "reader"\npassword_file = "{password}"'
    configured(b, (r"^endpoints = .*", as_reader))
    await users.switch_authentication_on(url)
    root = ("root", users.PASSWORDS["root"])
    for node in lab.nodes:
        files = (certificates.servers_ca, certificates.nobody.both, certificates.root.both)
        http.grant(node.etcd_url, http.Access(*files, root))
    lab.config_path.with_name("other.toml").replace(lab.config_path)
    for node in lab.nodes:
        await lab.restart(Role.WORKER, node.name)
    t.situation("a user of etcd that may only read", who.names)
    for command in (("plan", who.follower), ("status",), ("doctor",), ("remove", who.follower, "--dry-run")):
        await t.says(*command)
    await t.does("remove", who.follower, *SOON)
    await http.post(f"{url}/v3/auth/disable", {})
    lab.config_path.write_text(before, encoding="utf-8")
    for node in lab.nodes:
        lab.credentials.grant(node)


async def _data_that_differ(b: LiveCluster, t: Teller, who: Roles) -> None:
    """One member's copy is another one's no more, and etcd has not noticed."""
    t.situation("a member's data differ", who.names)
    put = {"key": base64.b64encode(b"a key").decode(), "value": base64.b64encode(STORED).decode()}
    await http.post(f"{b.lab.node(who.follower).etcd_url}/v3/kv/put", put)
    await disasters.corrupt(b.lab, who.other, STORED)
    await _are_well(b, who)
    await t.does("remove", who.follower, "--hash-check", *SOON)


async def _split(b: LiveCluster, t: Teller, who: Roles) -> None:
    """One voter was forced into a cluster of itself, under the same cluster ID."""
    t.situation("a voter with another list of members", who.names)
    await disasters.force_new_cluster(b.lab, who.other)
    for command in (("plan", who.follower), ("status",), ("doctor",), ("remove", who.follower, "--dry-run")):
        await t.says(*command)
    await disasters.come_back(b.lab, who.other)

    async def well() -> bool:
        return (await b.lab.handoff("doctor"))[0] == 0

    await wait_until(well, "doctor finds no fault", 60)


async def _other_clusters(b: LiveCluster, t: Teller, who: Roles) -> None:
    """Somebody else answers for a member; last of all, since the lab is of no use afterwards."""
    learner = (await b.lab.add_learner()).name
    t.situation("a learner", {**who.names, "learner": learner})
    for command in (("plan", learner), ("status",), ("doctor",), ("remove", learner, "--dry-run")):
        await t.says(*command)
    t.situation("another cluster on a member's address", who.names)
    await disasters.become_foreign(b.lab, who.other)
    for command in (("plan", who.follower), ("status",), ("doctor",), ("remove", who.follower, "--dry-run")):
        await t.says(*command)


async def _roles(b: LiveCluster) -> Roles:
    """Who leads, and the others in the order of their IDs, as texts have them."""
    leader = await b.lab.leader()
    ids = {node.name: await b.lab.member_id(node.name) for node in b.lab.others(leader)}
    return Roles(leader, *sorted(ids, key=ids.__getitem__))


async def _additions(b: LiveCluster, t: Teller, who: Roles) -> None:
    """Changes that wait for a member that nobody starts."""
    add, replace, apply = changes(b, who)
    t.situation("nothing is wrong, and members are to join", who.names)
    for command in (add, replace, apply):
        await t.says(*command, "--dry-run")
    t.situation("an addition waits for its member to be started", who.names)
    await t.does(*add, "--detach")
    await wait_until(lambda: _is(b, "new", "Blocked"), "the addition waits for the start", LATE_SECONDS)
    for command in (("describe", "new"), ("status",), ("doctor",), ("plan", who.follower), ("approve", "new")):
        await t.says(*command)
    await t.does("cancel", "new", "--reason", "the disk is broken")
    await wait_until(lambda: _is(b, "new", "Failed"), "the addition is cancelled", LATE_SECONDS)
    await t.says("describe", "new")
    t.situation("a replacement waits for its new member to be started", who.names)
    await t.does(*replace, "--detach")
    await wait_until(lambda: _is(b, who.follower, "Blocked"), "the replacement waits for the start", LATE_SECONDS)
    for command in (("describe", who.follower), ("status",)):
        await t.says(*command)
    await t.does("cancel", who.follower)
    await wait_until(lambda: _is(b, who.follower, "Failed"), "the replacement is cancelled", LATE_SECONDS)
    await t.says("describe", who.follower)


async def _nobody_works(b: LiveCluster, t: Teller, who: Roles) -> None:
    """All workers are away."""
    for node in b.lab.nodes:
        if b.lab.alive(Role.WORKER, node.name):
            await b.lab.kill(Role.WORKER, node.name)
    t.situation("no worker at all", who.names)
    for command in (("status",), ("doctor",), ("plan", who.follower), ("watch", "status")):
        await t.says(*command)
    await t.does("remove", who.follower, "--detach")
    for command in (("status",), ("describe", who.follower), ("approve", who.follower)):
        await t.does(*command)


async def _alone(b: LiveCluster, t: Teller, who: Roles) -> None:
    """Each node's worker reaches its own member alone."""
    t.nodes_told = True
    dry = ("--dry-run",)
    for command in (("plan", who.follower), ("status",), ("doctor",), ("remove", who.follower, *dry)):
        await t.says(*command)
    t.situation("on isolated nodes the leader may hand over to either", {"leader": who.leader})
    await t.says("remove", who.leader, *dry)
    t.situation("the leader's node, which nobody else reaches, has no worker", who.names)
    t.nodes_told = True
    await b.lab.kill(Role.WORKER, who.leader)
    for command in (("status",), ("doctor",), ("remove", who.leader, *dry), ("remove", who.follower, *dry)):
        await t.says(*command)
    await b.lab.start_worker(who.leader)
    t.situation("another voter, which nobody else reaches, is down", who.names)
    t.nodes_told = True
    await b.lab.kill(Role.ETCD, who.other)
    for command in (("status",), ("doctor",), ("remove", who.follower, *dry)):
        await t.says(*command)


async def test_verdicts_without_trouble_and_of_servers_and_files(live_cluster: MakeLiveCluster) -> None:
    """What lies between the commands and the servers."""
    async with live_cluster(tls=True, workers=()) as b:
        t, who = Teller(b, "servers"), await _roles(b)
        await _no_worker(b, t, who)
        await _without_trouble(t, who)
        await _watcher(b, t, who)
        await _servers_and_files(b, t, who)
        t.end()


async def test_verdicts_of_clusters_in_trouble(live_cluster: MakeLiveCluster, tmp_path: Path) -> None:
    """Alarms, sick voters, missing rights, data that differ, other lists, other clusters, the last voter."""
    async with live_cluster(tls=True, hanging_disks=True, workers=("node0", "node1", "node2")) as b:
        t, who = Teller(b, "clusters"), await _roles(b)
        await _alarms(b, t, who)
        await _sick_members(b, t, who)
        await _no_permission(b, t, who)
        await _data_that_differ(b, t, who)
        await _split(b, t, who)
        await _other_clusters(b, t, who)
    async with open_cluster(tmp_path / "alone", nodes=1, kubernetes=False) as b:
        alone = Teller(b, "clusters", t.text)
        await _last_voter(b, alone)
        alone.end()


async def test_verdicts_of_members_that_join(live_cluster: MakeLiveCluster) -> None:
    """Additions and replacements; last, nobody works at all."""
    async with live_cluster() as b:
        t, who = Teller(b, "additions"), await _roles(b)
        await _additions(b, t, who)
        await _nobody_works(b, t, who)
        t.end()


async def test_verdicts_on_isolated_nodes(live_cluster: MakeLiveCluster) -> None:
    """The commands run on a node that stays, as on a controller of k0s's."""
    require_isolation()
    async with live_cluster(isolated=True) as b:
        who = await _roles(b)
        t = Teller(b, "isolated", node=who.follower)
        t.situation("each node reaches its own member alone", who.names)
        await _alone(b, t, who)
        t.end()
