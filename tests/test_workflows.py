"""The importable apps: YAML and JSON say the same, each rule refuses what breaks it, identifiers are filled in."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.dsl.packages import Catalogue
from scripts.workflows import ROOT, WorkflowError, as_json, checked, filled, read

type Content = dict[str, Any]
NAMES = (
    "dify_knowledge",
    "human_handover",
    "knowledge_assistant",
    "picture_and_voice",
    "streaming_assistant",
    "ticket_triage",
)
A = "shenqiao/shenqiao:1.2.3@" + "a" * 64
B = "shenqiao/shenqiao_model:1.2.3@" + "b" * 64
IDENTITIES = {"shenqiao/shenqiao": A, "shenqiao/shenqiao_model": B}
# The model of the streaming app alone may fail without a branch, which would hold its text back.
WITHOUT_BRANCH = [("streaming_assistant", "model")]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.read(ROOT)


@pytest.fixture(scope="module")
def contents() -> dict[str, Content]:
    return read(ROOT)


def nodes(content: Content) -> dict[str, Content]:
    """The data of each node."""
    return {node["id"]: node["data"] for node in content["workflow"]["graph"]["nodes"]}


def test_six_apps_are_there_and_good(contents: dict[str, Content]) -> None:
    assert tuple(contents) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_json_says_what_yaml_says(contents: dict[str, Content], name: str) -> None:
    written = (ROOT / "workflows" / f"{name}.json").read_bytes()
    assert written == as_json(contents[name]), "run `python -m scripts.workflows`"


@pytest.mark.parametrize("name", NAMES)
def test_each_app_is_drawn_and_explained_in_both_languages(name: str) -> None:
    for page in ("README.md", "README_zh_Hans.md"):
        text = (ROOT / "workflows" / page).read_text()
        assert f"## {name}" in text, page


def test_what_can_fail_has_a_branch(contents: dict[str, Content]) -> None:
    without = [
        (name, node)
        for name, content in contents.items()
        for node, data in nodes(content).items()
        if data["type"] in ("tool", "llm") and data.get("error_strategy") != "fail-branch"
    ]
    assert without == WITHOUT_BRANCH


def test_every_chatflow_knows_who_asks_and_shows_its_sources(contents: dict[str, Content]) -> None:
    for content in contents.values():
        if content["app"]["mode"] == "advanced-chat":
            declared = [one["variable"] for one in nodes(content)["start"]["variables"]]
            assert declared == ["ticket"]
            assert content["workflow"]["features"]["retriever_resource"]["enabled"]


# -- what is refused ------------------------------------------------------------------------


def edges(content: Content) -> list[Content]:
    found = content["workflow"]["graph"]["edges"]
    assert isinstance(found, list)
    return found


def leave(content: Content, name: str) -> Content:
    """The first edge out of a node."""
    return next(edge for edge in edges(content) if edge["source"] == name)


def double(rows: list[Content]) -> None:
    rows.append(copy.deepcopy(rows[0]))


def circle(content: Content) -> None:
    """From the model back to the search."""
    leave(content, "model")["target"] = "search"
    leave(content, "model")["data"]["targetType"] = "tool"


def shortcut(content: Content) -> None:
    """A search that failed goes on as one that found nothing, and would be asked for its language."""
    edge = next(edge for edge in edges(content) if edge["sourceHandle"] == "fail-branch")
    edge["target"], edge["data"]["targetType"] = "language_none", "if-else"
    rows = content["workflow"]["graph"]["nodes"]
    rows[:] = [row for row in rows if row["id"] != "answer_search_failed"]


def orphan(content: Content) -> None:
    rows = content["workflow"]["graph"]["nodes"]
    rows.append(copy.deepcopy(rows[-1]) | {"id": "nobody"})


def unsettle(content: Content, path: str, value: object) -> None:
    """Set what a dotted path of a node names; None takes it away."""
    name, *keys, last = path.split(".")
    place: Any = nodes(content)[name]
    for key in keys:
        place = place[int(key)] if key.isdigit() else place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value


def at(path: str, value: object) -> Callable[[Content], None]:
    return lambda content: unsettle(content, path, value)


BROKEN: list[tuple[str, Callable[[Content], None], str]] = [
    ("version", lambda c: c.update(version="0.6.0"), "version"),
    ("mode", lambda c: c["app"].update(mode="chat"), "app.mode"),
    ("misspelt key", at("model.visoin", {}), "visoin"),
    ("sandbox", at("covered.type", "code"), "does not match any of the expected tags"),
    ("node twice", lambda c: double(c["workflow"]["graph"]["nodes"]), "node start is there twice"),
    ("edge twice", lambda c: double(edges(c)), "is there twice"),
    ("unknown target", lambda c: leave(c, "start").update(target="x"), "there is no node x"),
    (
        "wrong kind",
        lambda c: leave(c, "start")["data"].update(targetType="llm"),
        "search is no llm",
    ),
    ("handle", lambda c: leave(c, "start").update(sourceHandle="x"), "no way out x"),
    ("open branch", lambda c: edges(c).remove(leave(c, "covered")), "nothing follows true"),
    ("circle", circle, "runs in a circle"),
    ("orphan", orphan, "nothing leads there"),
    ("selector", at("covered.cases.0.conditions.0.variable_selector", ["search", "x"]), "search.x"),
    ("too early", at("search.tool_parameters.query.value", "{{#model.text#}}"), "model.text"),
    ("not on every way", shortcut, "language_none: search.language is not known there"),
    (
        "error text",
        at("answer_search_failed.answer", "{{#search.error_message#}}"),
        "error_message",
    ),
    ("type", at("covered.cases.0.conditions.0.varType", "number"), "is string, not number"),
    ("system", at("answer.answer", "{{#sys.name#}}"), "sys.name"),
    ("environment", at("answer.answer", "{{#env.x#}}"), "env.x"),
    ("context", at("model.context.variable_selector", ["search", "passages"]), "search.passages"),
    ("tool", at("search.tool_name", "seek"), "has no tool seek"),
    ("provider", at("search.provider_id", "shenqiao/shenqiao/x"), "has no tool search"),
    ("parameter", at("search.tool_parameters.q", {"type": "mixed", "value": ""}), "parameter q"),
    ("required", at("search.tool_parameters.query", None), "query is required"),
    ("form", at("search.tool_parameters.top_k", {"type": "constant", "value": 3}), "the form form"),
    ("number", at("search.tool_configurations.top_k.value", 50), "no value of the parameter top_k"),
    ("choice", at("search.tool_configurations.mode.value", "x"), "no value of the parameter mode"),
    ("output", at("search.output_schema.properties.found.type", "number"), "gives no found"),
    ("model", at("model.model.name", "gpt"), "has no model gpt"),
    ("model parameter", at("model.model.completion_params.top", 1), "no parameter top"),
    ("temperature", at("model.model.completion_params.temperature", 9), "parameter temperature"),
    ("retry", at("search.retry_config.retry_interval", 1), "retry_interval"),
]


@pytest.mark.parametrize(
    ("change", "word"), [row[1:] for row in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_a_broken_file_is_refused_with_its_place(
    contents: dict[str, Content],
    catalogue: Catalogue,
    change: Callable[[Content], None],
    word: str,
) -> None:
    content = copy.deepcopy(contents["knowledge_assistant"])
    change(content)
    with pytest.raises(WorkflowError, match=r"a\.yml") as caught:
        checked("a.yml", content, catalogue)
    assert word in str(caught.value)


def test_a_structured_value_is_known_by_its_schema(
    contents: dict[str, Content], catalogue: Catalogue
) -> None:
    content = copy.deepcopy(contents["ticket_triage"])
    unsettle(content, "end_it.outputs.0.value_selector", ["sort", "structured_output", "size"])
    with pytest.raises(WorkflowError, match=r"sort\.structured_output\.size"):
        checked("a.yml", content, catalogue)


# -- what is filled in ----------------------------------------------------------------------


def test_both_forms_of_each_app_name_the_packages_they_need() -> None:
    files = filled(ROOT, IDENTITIES)
    assert sorted(files) == sorted(f"{name}.{end}" for name in NAMES for end in ("yml", "json"))
    for name in NAMES:
        content = yaml.safe_load(files[f"{name}.yml"])
        assert content == json.loads(files[f"{name}.json"])
        named = [one["value"]["plugin_unique_identifier"] for one in content["dependencies"]]
        assert named == ([] if name == "dify_knowledge" else [A, B])
        for data in nodes(content).values():
            assert data["type"] != "tool" or data["plugin_unique_identifier"] == A


def test_filling_in_changes_nothing_else(contents: dict[str, Content]) -> None:
    content = yaml.safe_load(filled(ROOT, IDENTITIES)["knowledge_assistant.yml"])
    content["dependencies"] = []
    for data in nodes(content).values():
        data.pop("plugin_unique_identifier", None)
    assert content == contents["knowledge_assistant"]


def test_a_package_without_an_identifier_is_named() -> None:
    with pytest.raises(WorkflowError, match="shenqiao/shenqiao_model"):
        filled(ROOT, {"shenqiao/shenqiao": A})


def test_an_identifier_without_its_checksum_is_refused() -> None:
    with pytest.raises(WorkflowError, match="plugin_unique_identifier"):
        filled(ROOT, {**IDENTITIES, "shenqiao/shenqiao": "shenqiao/shenqiao:1.2.3"})


def test_no_workflow_goes_into_a_package() -> None:
    ignored = Path(ROOT / ".difyignore").read_text().splitlines()
    assert "/workflows/" in ignored
