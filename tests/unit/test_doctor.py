"""What `doctor` concludes from what it saw: each trouble with a remedy that fits, and none where there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etcd_handoff.certificate_expiry import Expiry
from etcd_handoff.cli import doctor_checks as checks
from etcd_handoff.cli import doctor_endpoints as endpoints
from etcd_handoff.cli.doctor_checks import CheckResult
from etcd_handoff.cli.etcdmembers import compare_resources, peer_addresses
from etcd_handoff.cli.live_workers import LiveWorker
from etcd_handoff.cli.render.doctor import check_lines, check_object
from etcd_handoff.cli.render.members import alarm_lines
from etcd_handoff.cli.render.troubles import hangs, member_remedy
from etcd_handoff.cluster_view import Alarm, ClusterView, Doubt, MemberView
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.etcd.classify import NO_ANSWER_REMEDY, remedy_for
from etcd_handoff.exit_status import worst_exit
from etcd_handoff.search_attributes import SEARCH_ATTRIBUTES
from tests.unit.builders import CLUSTER, cluster, down, member

NOW = datetime(2026, 11, 27, tzinfo=UTC)
DOUBT = Doubt(kind="ListsDiffer", text="member 1 lists 1, 2; member 3 lists 3", remedy="stop the wrong one")


def failed(view: ClusterView, doubt: Doubt | None = None) -> dict[str, str]:
    """Failed checks of `view`, with their remedies."""
    return {found.check: found.remedy for found in checks.check_cluster(view, doubt, "-c prod") if found.status}


# --- the cluster --------------------------------------------------------------------------------------------


def test_healthy_cluster_passes_all_checks() -> None:
    """All checks are named all the same."""
    assert failed(cluster()) == {}
    assert len(checks.check_cluster(cluster(), None, "-c prod")) == 5


@pytest.mark.parametrize(
    ("view", "doubt", "checks"),
    [
        (cluster(), DOUBT, {"one cluster"}),
        (cluster(member(1), member(2), down(3)), None, {"quorum"}),
        (cluster(member(1), member(2), member(3, serves_reads=False)), None, {"quorum"}),
        (cluster(member(1, leader_id=None), member(2, leader_id=None), member(3)), None, {"leader", "quorum"}),
        (cluster(member(1), member(2), member(3, alarms=("NOSPACE",))), None, {"alarms"}),
        (cluster(member(1), member(2), member(3, alarms=("CORRUPT",))), None, {"alarms", "quorum"}),
        (cluster(alarms=(Alarm(kind="CORRUPT"),)), None, {"alarms"}),
        (cluster(alarms=(Alarm(kind="NOSPACE", member_id="99"),)), None, {"alarms"}),
        (cluster(member(1), member(2), member(3, version="3.5.1")), None, {"version"}),
    ],
)
def test_each_trouble_is_found_with_a_remedy(view: ClusterView, doubt: Doubt | None, checks: set[str]) -> None:
    """And nothing else is: alarms of the whole cluster and of members that have left are alarms too."""
    assert set(failed(view, doubt)) == checks
    assert all(failed(view, doubt).values())


def test_alarm_is_told_with_whose_it_is() -> None:
    """A member's own alarm is told once, however often it is reported."""
    both = cluster(
        member(1),
        member(2),
        member(3, alarms=("NOSPACE",)),
        alarms=(Alarm(kind="NOSPACE", member_id="3"), Alarm(kind="CORRUPT"), Alarm(kind="NOSPACE", member_id="99")),
    )
    assert alarm_lines(both) == ["n3: NOSPACE", "the whole cluster: CORRUPT", "99, which has left: NOSPACE"]


@pytest.mark.parametrize(("kind", "unlocked"), [("NOSPACE", True), ("CORRUPT", False)])
def test_full_etcd_is_named_as_one_without_a_lock(kind: str, unlocked: bool) -> None:  # noqa: FBT001
    """Nothing else excludes two changes that two Temporal namespaces start."""
    (alarms,) = [r for r in checks.check_cluster(cluster(alarms=(Alarm(kind=kind),)), None, "") if r.check == "alarms"]
    assert ("another Temporal namespace" in alarms.detail) == unlocked


@pytest.mark.parametrize("note", ["its advertised URL leads to another cluster (beef)", "connection refused"])
def test_member_whose_url_leads_elsewhere_is_not_to_be_started(note: str) -> None:
    """Nor replaced: another cluster answers in its place."""
    remedy = member_remedy([down(3, note=note)], "-c prod")
    assert ("stop what runs there" in remedy) == ("start n3" not in remedy) == ("beef" in note)


def test_no_remedy_takes_a_member_out_that_may_live() -> None:
    """One that is only just joining is to be started, one that only we cannot reach to be made reachable."""
    joining = MemberView(id="7", name="", note="not started")
    remedy = failed(cluster(member(1), member(2), joining))["quorum"]
    assert remedy == "start 7, which was added and has not joined yet"
    remedy = failed(cluster(member(1), member(2), down(3)))["quorum"]
    assert remedy.startswith("start n3, or make it reachable from here; ")
    assert remedy.endswith("see what its removal does: `etcd-handoff plan n3 -c prod`")
    records = checks.check_resources("kubernetes a", compare_resources(cluster(), []), "-c a")
    assert records.status == 1
    assert "remove" not in records.remedy
    assert "`etcd-handoff watch start -c a`" in records.remedy


# --- endpoints ----------------------------------------------------------------------------------------------


def answers(number: int, *, by: int | None = None, **fields: Any) -> endpoints.Endpoint:
    """Endpoint `number`, at which member `by` answers, that of its own number as a rule."""
    usual: dict[str, Any] = {
        "cluster_id": CLUSTER,
        "members": frozenset({f"{by or number:x}"}),
        "advertised": own_urls(),
    }
    return endpoints.Endpoint(number, f"https://10.0.0.{number}:2379", **{**usual, **fields})


def nobody(number: int, url: str = "", error: str = "connection refused") -> endpoints.Endpoint:
    """Endpoint `number`, at which nobody answers."""
    return endpoints.Endpoint(number, url or f"https://10.0.0.{number}:2379", error=error, status=4)


def own_urls() -> dict[str, tuple[str, ...]]:
    """Each of three members advertises its own address."""
    return {f"{n:x}": (f"https://10.0.0.{n}:2379",) for n in (1, 2, 3)}


def results(facts: endpoints.ClusterFacts, *answers_of: endpoints.Endpoint) -> list[CheckResult]:
    """The results of the checks on these endpoints."""
    return endpoints.check_endpoints(answers_of, facts)


def test_member_that_hangs_is_not_to_be_started() -> None:
    """It runs and says who it is; it gives no list, while others do."""
    stalled = answers(2, error="no answer within 1 s", status=4, advertised=None)
    for view, remedy in ((cluster(), hangs("n2")), (None, NO_ANSWER_REMEDY)):
        assert results(endpoints.ClusterFacts(view), answers(1), stalled)[1].remedy == remedy


def test_endpoint_of_another_cluster_is_named_though_the_look_has_missed_it() -> None:
    """Its answer may come later than those of all members, for which the look waits."""
    foreign = answers(2, by=9, cluster_id="beef")
    (_, found) = results(endpoints.ClusterFacts(cluster()), answers(1), foreign)
    assert (found.status, f"answers for cluster beef, and the other endpoints for {CLUSTER}" in found.detail) == (
        1,
        True,
    )


LEFT = endpoints.ClusterFacts(
    cluster(member(1), member(2)), (ResourceClaim(name="n3", member_id="3", joined="False"),), {"n3": "10.0.0.3"}
)


def test_endpoints_that_answer_are_well() -> None:
    """With how many members each lists."""
    found = results(endpoints.ClusterFacts(cluster()), answers(1), answers(2), answers(3))
    assert [(f.status, f.remedy) for f in found] == [(0, "")] * 3
    assert found[0].detail == "https://10.0.0.1:2379 answers and lists 3 members"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("connection refused", NO_ANSWER_REMEDY),
        ("no answer within 1 s", NO_ANSWER_REMEDY),
        ("etcdserver: authentication failed, invalid user ID or password", "correct username, and the password"),
        ("etcdserver: user name not found", "common name"),
        ("TLS handshake failed (the certificate is for another name)", "set tls_server_name"),
        ("TLS handshake failed (CERTIFICATE_VERIFY_FAILED)", "ca_file must hold"),
        ("TLS handshake failed (WRONG_VERSION_NUMBER)", "write http://"),
        ("TLS handshake failed (SSLV3_ALERT_HANDSHAKE_FAILURE)", "client certificate"),
        ("TLS handshake failed (TLSV13_ALERT_CERTIFICATE_REQUIRED)", "client certificate"),
        ("etcdserver: no leader", "start enough members"),
        ("/etc/etcd/ca.pem cannot be read: Permission denied", "correct the path"),
    ],
)
def test_remedy_fits_the_cause(error: str, remedy: str) -> None:
    """A wrong password is not healed by starting a member."""
    (_, _, found) = results(endpoints.ClusterFacts(cluster()), answers(1), answers(2), nobody(3, error=error))
    assert found.status == 4
    assert remedy in found.remedy
    assert remedy_for(error) == found.remedy


def test_endpoint_of_a_member_that_has_left_is_a_hint() -> None:
    """After a removal nothing has failed: the profile is to be cleaned up."""
    (_, _, found) = results(LEFT, answers(1), answers(2), nobody(3))
    assert found.status == 0
    assert found.remedy == "remove endpoint 3 from the profile"
    assert "n3 has left" in found.detail


def test_endpoint_is_nobodys_when_all_members_answer_elsewhere() -> None:
    """Also where addresses tell nothing, as on one machine, or with names in the profile."""
    facts = endpoints.ClusterFacts(cluster(member(1), member(2)))
    (_, _, found) = results(facts, answers(1), answers(2), nobody(3, "https://etcd.example:2379"))
    assert (found.status, found.remedy) == (0, "remove endpoint 3 from the profile")


def test_silent_endpoint_stays_a_failure_while_it_may_be_a_members() -> None:
    """A member that is down, a view in doubt, and a node that joined again under the name of one that left."""
    (_, _, found) = results(
        endpoints.ClusterFacts(cluster(member(1), member(2), down(3))), answers(1), answers(2), nobody(3)
    )
    assert found.status == 4
    (_, _, found) = results(
        endpoints.ClusterFacts(None, LEFT.claims, LEFT.addresses), answers(1), answers(2), nobody(3)
    )
    assert found.status == 4
    again = cluster(member(1), member(2), down(4).model_copy(update={"name": "n3"}))
    (_, _, found) = results(
        endpoints.ClusterFacts(again, LEFT.claims, LEFT.addresses), answers(1), answers(2), nobody(3)
    )
    assert found.status == 4


def test_removed_etcd_that_still_runs_is_to_be_stopped() -> None:
    """It answers for a member that the others do not list."""
    gone = answers(3, advertised=None, error="gives no member list: etcdserver: no leader", status=1)
    (_, _, found) = results(LEFT, answers(1), answers(2), gone)
    assert (found.status, found.remedy) == (0, "stop that etcd, and remove endpoint 3 from the profile")


def test_url_that_answers_for_several_members_is_a_failure() -> None:
    """A load balancer: what is meant for one member would reach another."""
    balanced = answers(1, members=frozenset({"1", "2"}))
    (found,) = results(endpoints.ClusterFacts(cluster()), balanced)
    assert (found.status, "n1, n2" in found.detail) == (1, True)
    assert "one URL for each member" in found.remedy


def test_endpoints_that_lead_to_one_member_are_named() -> None:
    """Two spellings of one address, or a forwarded port."""
    *_, found = results(endpoints.ClusterFacts(cluster()), answers(1), answers(2, by=1), answers(3))
    assert (found.status, found.detail) == (0, "endpoints 1 and 2 lead to one member, n1")


# --- advertised URLs ----------------------------------------------------------------------------------------


def test_members_on_loopback_that_all_answer_are_well() -> None:
    """Several members on one machine, or a profile that names every member's true address."""
    urls = {n: (f"http://127.0.0.1:{n}2379",) for n in "123"}
    three = [answers(n, advertised=urls) for n in (1, 2, 3)]
    assert endpoints.check_advertised(three, cluster()) == []


def test_shared_advertised_url_is_a_failure_only_while_a_member_is_missing() -> None:
    """Beside one endpoint for each member in the profile it does no harm."""
    urls = dict.fromkeys("123", ("https://etcd.example:2379",))
    (found,) = endpoints.check_advertised([answers(1, advertised=urls)], cluster(member(1), down(2), down(3)))
    assert (found.status, "n1, n2, n3 advertise one URL" in found.detail) == (1, True)
    three = [answers(n, advertised=urls) for n in (1, 2, 3)]
    (found,) = endpoints.check_advertised(three, cluster())
    assert found.status == 0


# --- Kubernetes ---------------------------------------------------------------------------------------------


def test_api_server_of_a_member_that_has_left_is_a_hint() -> None:
    """Any other context that does not answer is a failure."""
    found = endpoints.departed_context("kubernetes n3", "N3", "connection refused", LEFT)
    assert found is not None
    assert (found.status, found.remedy) == (0, "remove context N3 from the profile")
    assert endpoints.departed_context("kubernetes n1", "n1", "connection refused", LEFT) is None
    assert endpoints.departed_context("kubernetes in-cluster", "", "connection refused", LEFT) is None
    assert endpoints.unusable_context("kubernetes n1", "connection refused", 4).status == 4


def test_contexts_of_another_cluster_are_named() -> None:
    """Three kubeconfigs merged into one."""
    found = checks.check_contexts({"b": "kube-system has another UID"})
    assert (found.status, "b: kube-system" in found.detail) == (2, True)
    assert checks.check_contexts({}).status == 0


def test_address_of_an_odd_resource_is_none() -> None:
    """Another definition of the resource may let anything through."""
    odd: list[dict[str, Any]] = [{}, {"metadata": {"name": "a"}, "status": None}, {"metadata": 1, "status": {}}]
    good = {"metadata": {"name": "n1"}, "status": {"peerAddress": "10.0.0.1"}}
    assert peer_addresses([*odd, good]) == {"n1": "10.0.0.1"}


# --- rights, certificates, Temporal -------------------------------------------------------------------------


def test_rights_certificates_workers_and_attributes_are_judged() -> None:
    """Each says ok, or what is missing and what to do."""
    assert checks.check_rights("", "").status == 0
    assert checks.check_rights("etcdserver: permission denied", "grant it").status == 1
    assert checks.check_workers("queue", []).status == 1
    one = LiveWorker("node0", "0.1.0", "b1", "host0", 1.0, "c0", ("prod",), (("prod", "2026-01-01"),))
    assert checks.check_workers("queue", [one]) == CheckResult("workers", "1 worker on task queue queue")
    others = one._replace(node="node1", build="b2"), one._replace(node="node2", config="c1", expiring=("prod",))
    mixed = checks.check_workers("queue", [one, *others])
    assert (mixed.status, mixed.detail) == (0, "3 workers on task queue queue")
    for words in ("2 builds", "2 configurations", "a certificate of prod on node2 ends on 2026-01-01: renew it"):
        assert words in mixed.remedy
    assert "--name HandoffState" in checks.check_attributes({"EtcdCluster", "EtcdMember"}).remedy
    assert checks.check_attributes(SEARCH_ATTRIBUTES).status == 0
    assert "remove --name HandoffState" in checks.check_attributes(SEARCH_ATTRIBUTES, ["HandoffState"]).remedy
    assert checks.check_resources("kubernetes a", [], "-c a").status == 0


@pytest.mark.parametrize(
    ("days", "status", "words"),
    [
        ([400, 300], 0, "2 end dates; the first is certificate 1 until 2027"),
        ([400, 29], 0, "end soon: certificate 1 until 2026-12-26"),
        ([400, -1], 1, "ended: certificate 1 until 2026-11-26"),
        ([], 0, "none named"),
    ],
)
def test_certificates_are_told_before_they_end(days: list[int], status: int, words: str) -> None:
    """With date and file, a month ahead; one that has ended is a failure."""
    ends = [Expiry(f"certificate {n}", NOW + timedelta(days=d)) for n, d in enumerate(days)]
    found = checks.check_expiries(ends, NOW)
    assert found.status == status
    assert words in found.detail
    assert bool(found.remedy) == (words.startswith("end"))


def test_queue_that_nobody_serves_is_a_failure_with_a_way_out() -> None:
    """Blue and green fleets: whoever started the queue decides on which task queue it runs."""
    found = checks.check_queue("etcd-changes/abc", "blue", "green", [])
    assert (found.status, "waits on task queue blue" in found.detail) == (1, True)
    assert "temporal workflow terminate -w etcd-changes/abc" in found.remedy
    served = checks.check_queue("etcd-changes/abc", "blue", "green", ["a"])
    assert (served.status, "another fleet" in served.detail, bool(served.remedy)) == (0, True, True)
    assert checks.check_queue("etcd-changes/abc", "green", "green", ["a"]).remedy == ""


# --- how it is shown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("statuses", "ended"), [([], 0), ([0, 0], 0), ([0, 1], 1), ([1, 4, 0], 4), ([4, 2, 1], 2)])
def test_worst_result_decides_the_exit_status(statuses: list[int], ended: int) -> None:
    """Configuration before servers before everything else."""
    assert worst_exit(statuses) == ended


def test_results_are_lines_with_the_remedy_below() -> None:
    """A detail of several lines stays in its column; a hint is told apart from a failure."""
    lines = check_lines(
        [
            CheckResult("leader", "n1"),
            CheckResult("files", "a\nb", "heal", 2),
            CheckResult("endpoint 3", "gone", "take it out"),
        ]
    )
    assert lines[0] == f"ok      leader{'':<16}n1"
    assert lines[1] == f"FAILED  files{'':<17}a"
    assert lines[2:4] == [f"{'':<30}b", f"{'':<30}remedy: heal"]
    assert lines[4:] == [f"hint    endpoint 3{'':<12}gone", f"{'':<30}hint: take it out"]
    assert check_object(CheckResult("endpoint 3", "gone", "take it out"))["ok"]
