"""The documentation names what the code has, and its links and examples hold."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from pydantic_core import PydanticUndefined

from etcd_handoff.cli import parser
from etcd_handoff.config import (
    CONFIG_VARIABLE,
    ClusterProfile,
    Config,
    EtcdProfile,
    KubernetesProfile,
    MemberProfile,
    NotificationsProfile,
    load_config,
)
from etcd_handoff.contract import (
    TASK_QUEUE,
    FailureType,
    HandoffState,
    Outcome,
    RemovalRequest,
    RemovalResult,
    Step,
    StepOutcome,
    workflow_id,
)
from etcd_handoff.exit_status import EXIT_BY_FAILURE, EXIT_FAILED
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.planning import Reason
from etcd_handoff.search_attributes import SEARCH_ATTRIBUTES

if TYPE_CHECKING:
    from etcd_handoff.config.fields import Section
    from etcd_handoff.wire import WireModel

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """The page without its code blocks and code spans, which may look like links and headings."""
    return re.sub(r"`[^`\n]*`", lambda span: re.sub(r"[\[\]()]", "", span[0]), FENCE.sub("", text))


def headings(text: str) -> list[str]:
    """The page's headings, without their marks."""
    return [line.lstrip("#").strip() for line in prose(text).splitlines() if re.match(r"#{1,6} ", line)]


def anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(heading: str) -> str:
    """The part of the reference below that heading, down to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", REFERENCE, re.MULTILINE)
    assert found, f"docs/reference.md has no heading {heading}"
    rest = REFERENCE[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each table row, by the name in code that it begins with."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {found[1]: cells for cells in lines if (found := re.match(r"`([^`]+)`", cells[0]))}


def shell_lines(page: Path) -> list[str]:
    """The commands that the page shows in shell blocks, one a line."""
    return [line.strip() for code in blocks(page.read_text(encoding="utf-8"), "sh") for line in code.splitlines()]


def blocks(text: str, language: str) -> list[str]:
    """The page's code blocks in that language, without the indent that they have inside lists."""
    found = [code for name, code in FENCE.findall(text) if name == language]
    return [re.sub(rf"^{re.match(' *', code)[0]}", "", code, flags=re.MULTILINE) for code in found]  # type: ignore[index]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    """Every relative link leads to a file or folder of the repository, and to a heading that the page has."""
    for target in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{target} leads nowhere"
        assert path.is_relative_to(ROOT), f"{target} leaves the repository"
        if fragment:
            anchors = [anchor(heading) for heading in headings(path.read_text(encoding="utf-8"))]
            assert fragment in anchors, f"{target}: no such heading"


def test_runbook_of_each_alert_is_a_heading_that_exists() -> None:
    """Somebody woken at night opens it."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        page, _, fragment = rule["annotations"]["runbook"].partition("#")
        anchors = [anchor(heading) for heading in headings((ROOT / page).read_text(encoding="utf-8"))]
        assert fragment in anchors, rule["alert"]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_heading_with_a_remedy(reason: Reason) -> None:
    """The word that the planner answers with is a heading of the reference, and below it stands what to do."""
    assert "Remedy" in section(reason.value)


def test_reference_has_no_reason_that_is_gone() -> None:
    """Each heading below Reasons is a word that the planner can say."""
    assert set(re.findall(r"^### (.+)$", section("Reasons"), re.MULTILINE)) == {reason.value for reason in Reason}


@pytest.mark.parametrize("failure", FailureType)
def test_every_failure_is_explained_with_its_exit_status(failure: FailureType) -> None:
    """The reference has a row for it, with the exit status that the command line gives it."""
    assert rows(section("Failures"))[failure.value][-1] == str(EXIT_BY_FAILURE.get(failure, EXIT_FAILED))


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Search attributes", [*HandoffState, *SEARCH_ATTRIBUTES]),
        ("Result", [*Outcome, *Step.model_fields]),
        ("Activities", list(StepOutcome)),
        (
            "Workflow",
            [
                TASK_QUEUE,
                RemovalRequest.workflow_type,
                workflow_id("<cluster>", "<member>"),
                "approve",
                "recheck",
                "progress",
            ],
        ),
    ],
)
def test_every_word_of_the_contract_is_named(heading: str, words: list[str]) -> None:
    """States, outcomes, names and variables stand in their section, as code."""
    missing = [word for word in words if f"`{word}`" not in section(heading)]
    assert not missing, f"docs/reference.md#{anchor(heading)} lacks {missing}"


@pytest.mark.parametrize(("heading", "model"), [("Input", RemovalRequest), ("Result", RemovalResult)])
def test_every_field_has_its_row(heading: str, model: type[WireModel]) -> None:
    """Input and result are described field by field, and no field is described that is not there."""
    assert set(rows(section(heading))) == set(model.model_fields)


def test_defaults_of_the_input_are_the_codes() -> None:
    """The default column of the input says what a request without the field gets."""
    documented = {name: cells[2].strip("`") for name, cells in rows(section("Input")).items()}
    least = RemovalRequest(cluster="c", member="m").model_dump(mode="json") | {"cluster": "required"}
    words = {True: "true", False: "false", "": '""', 3600.0: "3600"}
    assert documented == {
        name: str(words.get(value, value)) for name, value in (least | {"member": "required"}).items()
    }


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Top level", Config),
        ("`[notifications]`", NotificationsProfile),
        ("`[clusters.<name>.etcd]`", EtcdProfile),
        ("`[clusters.<name>.kubernetes]`", KubernetesProfile),
        ("`[clusters.<name>.member]`", MemberProfile),
    ],
)
def test_every_key_of_the_configuration_has_its_row(heading: str, model: type[Section]) -> None:
    """Keys and their fixed defaults are the code's, and no key is described that is not there."""
    documented = rows(section(heading))
    assert set(documented) == set(model.model_fields)
    for name, field in model.model_fields.items():
        if field.is_required():
            assert documented[name][2] == "required"
        elif field.default not in (None, (), PydanticUndefined):
            default = json.dumps(field.default) if isinstance(field.default, tuple) else str(field.default)
            assert documented[name][2] == f"`{default.lower() if isinstance(field.default, bool) else default}`"


def test_cluster_profiles_have_the_tables_that_are_described() -> None:
    """Each table of a profile has its section, and the profile itself a row for everything in it."""
    assert set(rows(section("`[clusters.<name>]`"))) == set(ClusterProfile.model_fields)
    for name in ("etcd", "kubernetes", "member"):
        section(f"`[clusters.<name>.{name}]`")


def test_every_command_and_option_is_named() -> None:
    """The command line section has a row for each command, and names every option and choice."""
    text, options = section("Command line"), parser()
    commands = next(a for a in options._actions if isinstance(a, argparse._SubParsersAction)).choices
    assert {row.split()[0] for row in rows(text)} >= set(commands)
    for command in (options, *commands.values()):
        for action in command._actions:
            for word in (*action.option_strings, *(action.choices or () if action.option_strings else ())):
                assert f"`{word}`" in text, f"{command.prog}: {word} is not described"


def test_every_activity_has_its_row() -> None:
    """All activities are listed, and none that is gone."""
    modules = [importlib.import_module(f"activities.{path.stem}") for path in (ROOT / "activities").glob("[a-z]*.py")]
    kinds = [thing for module in modules for thing in vars(module).values() if isinstance(thing, type)]
    names = {n for kind in kinds for n, f in vars(kind).items() if hasattr(f, "__temporal_activity_definition")}
    assert set(rows(section("Activities"))) == names


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_example_configurations_load(path: Path) -> None:
    """Every example is one that a worker accepts."""
    assert load_config(path).clusters


def test_configuration_in_the_readme_loads(tmp_path: Path) -> None:
    """What README shows as configuration is one that a worker accepts."""
    shown = blocks(README, "toml")
    assert shown
    for number, text in enumerate(shown):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        assert load_config(path).clusters


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_parse(page: Path) -> None:
    """Every etcd-handoff command that a page shows in a shell block is one that the command line takes."""
    for line in shell_lines(page):
        command = re.match(r"(?:kubectl .* -- |docker compose exec \w+ )?etcd-handoff (.+)", line)
        if command:
            words = re.sub(r"\s(?:\d?>|\||&).*", "", command[1])  # what is the shell's
            parser().parse_args(shlex.split(words))


def test_readme_shows_every_command_that_an_operator_starts_with() -> None:
    """Worker, watcher, doctor, plan and remove stand in README's shell blocks."""
    shown = " ".join(line for line in shell_lines(ROOT / "README.md") if line.startswith("etcd-handoff"))
    assert all(f"etcd-handoff {name}" in shown for name in ("worker", "watch start", "doctor", "plan", "remove"))


def test_pages_name_one_cluster_profile() -> None:
    """The path that README sets up and all commands of the operators' pages are about the profile `prod`."""
    for page in PAGES:
        for line in shell_lines(page):
            named = re.findall(r"(?:-c |--cluster |etcd-(?:remove|watch)/)([a-z]+)", line)
            assert set(named) <= {"prod"}, f"{page.name}: {line}"


def test_starting_with_temporals_own_command_line_keeps_the_contract() -> None:
    """README's temporal command has the type, queue, workflow ID and input of the contract."""
    line = next(
        line for code in blocks(README, "sh") for line in code.splitlines() if "temporal workflow start" in line
    )
    assert (
        f"--type {RemovalRequest.workflow_type} --task-queue {TASK_QUEUE} --workflow-id {workflow_id('prod', 'node2')}"
        in line
    )
    given = re.search(r"--input '(.*)'", line)
    assert given
    assert RemovalRequest.model_validate_json(given[1]) == RemovalRequest(cluster="prod", member="node2")


def test_queries_for_open_states_ask_for_operations_that_run() -> None:
    """One that was terminated keeps its last state: a list would show it, and a batch would act on it."""
    ended = {HandoffState.DONE, HandoffState.REFUSED, HandoffState.FAILED}
    page = (ROOT / "docs" / "temporal-cli.md").read_text(encoding="utf-8")
    queries = re.findall(r'--query "([^"]+)"|^\| `([^`]+)` \|', page, re.MULTILINE)
    by_state = [query for query in map("".join, queries) if "HandoffState" in query]
    waiting = [query for query in by_state if not any(f"'{state}'" in query for state in ended)]
    assert len(waiting) > 1
    assert [query for query in waiting if "ExecutionStatus = 'Running'" not in query] == []


def test_python_in_the_readme_compiles_and_imports_what_there_is() -> None:
    """README's Python is valid, and the names that it imports exist."""
    shown = blocks(README, "python")
    assert shown
    for code in shown:
        imports = [node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module([*imports], []), "README.md", "exec"), {})  # noqa: S102  # our own README


def test_troubleshooting_leads_from_every_reason_and_failure_to_what_to_do() -> None:
    """Each reason is named, and each failure has its row."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    missing = [str(reason) for reason in Reason if f"[{reason}]" not in page and f"`{reason}`" not in page]
    missing += [str(failure) for failure in FailureType if f"| `{failure}`" not in page]
    assert not missing, f"docs/troubleshooting.md lacks {missing}"


def test_checklists_name_files_that_there_are() -> None:
    """Every path in docs/contributing.md is a file or folder of the repository."""
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:etcd_handoff|activities|workflows|tests|docs)/[\w./-]*|worker\.py)`", page)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("folder", ["etcd_handoff", "activities", "workflows"])
def test_architecture_says_what_each_file_is_for(folder: str) -> None:
    """Whoever looks for a file by its purpose finds it there; `*` stands for the rest of a name."""
    tables = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = {word for row in tables.splitlines() if row.startswith("|") for word in re.findall(r"[\w*]+\.py", row)}
    files = {path.name for path in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    assert [file for file in sorted(files) if not any(fnmatch(file, pattern) for pattern in named)] == []


def test_every_variable_of_ours_is_named() -> None:
    """Each environment variable that the code reads by name stands in the reference."""
    code = "".join(
        path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.py"), *ROOT.glob("etcd_handoff/**/*.py")]
    )
    names = set(re.findall(r'"(ETCD_HANDOFF_[A-Z_]+|KUBEBUILDER_[A-Z_]+|TEMPORAL_[A-Z_]+)"', code))
    assert {CONFIG_VARIABLE, FAILPOINTS_VARIABLE, FOLDER_VARIABLE} <= names
    missing = [name for name in names if f"`{name}`" not in section("Environment variables")]
    assert not missing, f"docs/reference.md#environment-variables lacks {missing}"


def test_every_decision_is_listed_once() -> None:
    """The list of decisions has each page, in order, under the page's own title."""
    folder = ROOT / "docs" / "decisions"
    pages = sorted(folder.glob("0*.md"))
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    titles = [page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for page in pages]
    assert [(f"{number}. {title}", name) for number, title, name in listed] == [
        (title, page.name) for title, page in zip(titles, pages, strict=True)
    ]
