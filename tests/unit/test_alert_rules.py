"""The alert rules and the dashboard as Prometheus' own promtool sees them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from etcd_handoff.contract import Outcome
from tests.checkers import promtool

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
CASES = Path(__file__).with_name("alerts.test.yaml")
BOARD = ROOT / "deploy" / "grafana" / "etcd-handoff.json"
ALERTS = [rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]]


def test_rules_are_what_prometheus_reads() -> None:
    """Also by its stricter advice."""
    status, output = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert (status, f"SUCCESS: {len(ALERTS)} rules found" in output) == (0, True), output


def test_alerts_fire_when_they_should_and_only_then() -> None:
    """With the words and the page that help whoever is woken up."""
    status, output = promtool("test", "rules", CASES)
    assert status == 0, output


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    """A case that no rule can fail shows nothing."""
    cases = [test for group in yaml.safe_load(CASES.read_text())["tests"] for test in group["alert_rule_test"]]
    assert {bool(case["exp_alerts"]) for case in cases if case["alertname"] == name} == {True, False}


def test_no_outcome_of_a_change_is_called_a_failure() -> None:
    """A change that was done before it was asked for has ended well, too."""
    rule = next(r for r in yaml.safe_load(RULES.read_text())["groups"][0]["rules"] if r["alert"] == "EtcdHandoffFailed")
    ends_well = [set(names.split("|")) for names in re.findall(r'outcome!~"([^"]*)"', rule["expr"])]
    assert ends_well
    assert all(names == {*Outcome, "cancelled"} for names in ends_well)


@pytest.mark.parametrize("name", ALERTS)
def test_case_fails_when_its_alert_never_fires_or_always(name: str, tmp_path: Path) -> None:
    """What the cases claim of each alert depends on its expression."""
    for expression in ("vector(1) == 0", "max by (cluster) ({cluster!=''}) or vector(1)"):
        rules = yaml.safe_load(RULES.read_text())
        next(rule for rule in rules["groups"][0]["rules"] if rule["alert"] == name)["expr"] = expression
        (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rules))
        cases = yaml.safe_load(CASES.read_text())
        about_it = [t for t in cases["tests"] if name in {case["alertname"] for case in t["alert_rule_test"]}]
        cases |= {"rule_files": [str(tmp_path / "alerts.yaml")], "tests": about_it}
        (tmp_path / "cases.yaml").write_text(yaml.safe_dump(cases))
        status, output = promtool("test", "rules", tmp_path / "cases.yaml")
        assert (status, name in output) == (1, True)


def test_prometheus_of_compose_is_configured_as_it_reads_it(tmp_path: Path) -> None:
    """With the rules at the place at which they are mounted."""
    mounted = "/etc/prometheus/alerts.yaml"
    config = (ROOT / "deploy" / "compose" / "prometheus.yaml").read_text()
    assert mounted in config
    (tmp_path / "prometheus.yaml").write_text(config.replace(mounted, str(RULES)))
    status, output = promtool("check", "config", tmp_path / "prometheus.yaml")
    assert (status, f"SUCCESS: {len(ALERTS)} rules found" in output) == (0, True), output


def test_dashboard_asks_in_the_language_of_prometheus(tmp_path: Path) -> None:
    """Each panel's question as a rule of its own."""
    panels = json.loads(BOARD.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": question} for number, question in enumerate(expressions)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    status, output = promtool("check", "rules", tmp_path / "rules.yaml")
    assert (status, f"SUCCESS: {len(expressions)} rules found" in output) == (0, True), output


def test_cases_are_about_metrics_that_rules_ask_for() -> None:
    """A misspelt series would make a case of silence pass."""
    series = {name["series"] for test in yaml.safe_load(CASES.read_text())["tests"] for name in test["input_series"]}
    assert {name.partition("{")[0] for name in series} == set(re.findall(r"etcd_handoff_\w+", RULES.read_text()))
