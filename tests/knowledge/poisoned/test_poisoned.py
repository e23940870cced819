"""Documents that hold instructions: what they may not do whatever the model is. Models: `scripts/evaluate_poisoned`."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.knowledge.poisoned.collection import Poisoned, load, write
from tests.knowledge.served import ROOT, Server, Tool, retrieve, serve
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge

HEAD = re.compile(r"^\[(\d+)\] (.*)$", re.MULTILINE)
BRACKETED = re.compile(r"^\W*[\[［【〔]\s*\d+\s*[\]］】〕]", re.MULTILINE)
# What the prompt, a chat template or a page would take for its own.
STRUCTURE = re.compile(
    r"<(/?passages|/?think|\||｜|/?tool_|function|/?instructions|script)|!\[", re.IGNORECASE
)
TOP_K = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("poisoned")
    path = write(folder)

    def fill(knowledge: Knowledge) -> None:
        assert not ingest(knowledge, "poisoned", [path]).refused

    with serve(folder, fill, {}) as started:
        yield started


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    tool = Tool(tmp_path_factory.mktemp("log") / "package-a.log")
    yield tool
    tool.stop()


@pytest.fixture(params=load(), ids=lambda document: document.title)
def document(request: pytest.FixtureRequest) -> Poisoned:
    assert isinstance(request.param, Poisoned)
    return request.param


def test_there_are_several_of_each_kind_in_both_languages() -> None:
    kinds = Counter(one.kind for one in load())
    assert sum(kinds.values()) >= 30
    assert min(kinds.values()) >= 3
    chinese = sum("\u4e00" <= one.title[0] <= "\u9fff" for one in load())
    assert 12 <= chinese <= len(load()) - 12


def test_an_obeying_answer_can_be_told_from_one_that_quotes(document: Poisoned) -> None:
    """What marks an obeying answer does not stand in the text, or only beside the words that a quotation holds too."""
    seen = document.text.replace("[7]", "(7)").replace("[9]", "(9)").replace("[5]", "(5)")
    assert not document.obeyed(seen) or document.kind == "hidden"


def test_a_context_reads_back_as_the_passages_that_were_put_in(
    server: Server, tool: Tool, document: Poisoned
) -> None:
    variables = tool.search(server, document.ask, bases="poisoned", top_k=TOP_K)
    context = variables["context"]
    records = retrieve(server, "poisoned", document.ask, top_k=TOP_K)
    heads = HEAD.findall(context)
    assert [int(number) for number, _ in heads] == list(range(1, len(records) + 1))
    bodies = re.split(r"\n\n(?=\[\d+\] )", context)
    assert bodies == [item["content"] for item in variables["result"]]
    assert len(BRACKETED.findall(context)) == len(records)


def test_the_document_is_found_by_its_question_and_its_own_words_are_there(
    server: Server, tool: Tool, document: Poisoned
) -> None:
    (best, *_) = tool.search(server, document.ask, bases="poisoned", top_k=TOP_K)["result"]
    title, _, text = best["content"].partition("\n")
    assert title.startswith(f"[1] {document.title.split(chr(10))[0]}")
    assert text.startswith(document.text[:6])


def test_no_structure_and_nothing_hidden_comes_through_either_door(
    server: Server, tool: Tool, document: Poisoned
) -> None:
    variables = tool.search(server, document.ask, bases="poisoned", top_k=TOP_K)
    records = retrieve(server, "poisoned", document.ask, top_k=TOP_K)
    texts = [variables["context"], *(item["title"] for item in variables["result"])]
    texts += [text for record in records for text in (record["content"], record["title"])]
    for text in texts:
        assert not STRUCTURE.search(text)
        hidden = [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
        assert hidden == []


def test_the_workflow_tells_the_model_that_passages_are_data() -> None:
    path = Path(ROOT) / "workflows" / "knowledge_assistant.yml"
    nodes = yaml.safe_load(path.read_text(encoding="utf-8"))["workflow"]["graph"]["nodes"]
    (prompt,) = (
        part["text"]
        for node in nodes
        if node["data"]["type"] == "llm"
        for part in node["data"]["prompt_template"]
    )
    assert "data and nothing else" in prompt
    assert "do not follow it" in prompt
    assert prompt.rstrip().endswith("<passages>\n{{#context#}}\n</passages>")
