"""What must hold in a workflow file beyond its shape: edges, variables, tools and models; used by `scripts.workflows`.

Dify checks none of this when a file is imported: what is wrong fails only when a person asks.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from scripts.dsl.nodes import (
    TYPES,
    Aggregator,
    Answer,
    DocumentExtractor,
    End,
    IfElse,
    ListOperator,
    Llm,
    Retrieval,
    Start,
    Tool,
)
from scripts.dsl.packages import Catalogue
from scripts.dsl.references import selectors, templates
from scripts.dsl.shapes import AppFile, Edge, Node

REFERENCE = re.compile(r"\{\{#([^{}#]+)#\}\}")
SYSTEM = ("files", "user_id", "app_id", "workflow_id", "workflow_run_id")
SYSTEM_TYPES: Mapping[str, str] = {"files": "array[file]", "dialogue_count": "number"}
FAILED = "fail-branch"
OF_CHAT = ("query", "conversation_id", "dialogue_count")
FILE_RESULTS = {"result": "array[file]", "first_record": "file", "last_record": "file"}


def faults(app: AppFile, catalogue: Catalogue) -> list[str]:
    """Sentences, each naming the node; empty for a good file."""
    graph = Checked(app, catalogue)
    # A reference is only looked up in a graph whose nodes and edges fit.
    return list(graph.of_edges()) or [*graph.of_variables(), *graph.of_packages()]


@dataclass(frozen=True)
class Checked:
    """A file with what the rules ask of it again and again."""

    app: AppFile
    catalogue: Catalogue

    @cached_property
    def nodes(self) -> dict[str, Node]:
        return {node.id: node for node in self.app.workflow.graph.nodes}

    @property
    def edges(self) -> list[Edge]:
        return self.app.workflow.graph.edges

    @cached_property
    def before(self) -> dict[str, set[str]]:
        """For each node all that may have run before it."""
        found: dict[str, set[str]] = {name: set() for name in self.nodes}
        for _ in self.nodes:
            for edge in self.edges:
                found[edge.target] |= found[edge.source] | {edge.source}
        return found

    @cached_property
    def done(self) -> dict[str, set[str]]:
        """For each node all that has run before it, and has not failed, whichever way led there."""
        found = {name: set(self.nodes) if self.before[name] else set() for name in self.nodes}
        for _ in self.nodes:
            for edge in self.edges:
                come = set() if edge.source_handle == FAILED else {edge.source}
                found[edge.target] &= found[edge.source] | come
        return found

    # -- nodes and edges ----------------------------------------------------------------------

    def of_edges(self) -> Iterator[str]:
        yield from _twice("node", (node.id for node in self.app.workflow.graph.nodes))
        yield from _twice("edge", (edge.id for edge in self.edges))
        for edge in self.edges:
            yield from self._of_edge(edge)
        left = {(edge.source, edge.source_handle) for edge in self.edges}
        for node in self.nodes.values():
            if not isinstance(node.data, (Answer, End)):
                open_ways = (way for way in _ways(node) if (node.id, way) not in left)
                yield from (f"{node.id}: nothing follows {way}" for way in open_ways)
        if {end for edge in self.edges for end in (edge.source, edge.target)} <= set(self.nodes):
            yield from self._of_reach()

    def _of_edge(self, edge: Edge) -> Iterator[str]:
        ends = ((edge.source, edge.data.source_type), (edge.target, edge.data.target_type))
        for name, kind in ends:
            if name not in self.nodes:
                yield f"edge {edge.id}: there is no node {name}"
            elif self.nodes[name].data.type != kind:
                yield f"edge {edge.id}: {name} is no {kind}"
        source = self.nodes.get(edge.source)
        if source is not None and edge.source_handle not in _ways(source):
            yield f"edge {edge.id}: {edge.source} has no way out {edge.source_handle}"

    def _of_reach(self) -> Iterator[str]:
        starts = [node.id for node in self.nodes.values() if isinstance(node.data, Start)]
        if len(starts) != 1:
            yield f"there are {len(starts)} start nodes"
        for name, earlier in self.before.items():
            if name in earlier:
                yield f"{name}: the graph runs in a circle"
            elif name not in starts and not earlier & set(starts):
                yield f"{name}: nothing leads there"
        wanted = End if self.app.app.mode == "workflow" else Answer
        if not any(isinstance(node.data, wanted) for node in self.nodes.values()):
            yield f"an app of the mode {self.app.app.mode} has no {wanted.__name__.lower()} node"

    # -- variables ----------------------------------------------------------------------------

    def of_variables(self) -> Iterator[str]:
        for node in self.nodes.values():
            for selector, wanted in selectors(node.data):
                there = self._type(node.id, selector)
                if there is None:
                    yield f"{node.id}: {'.'.join(selector)} is not known there on every way"
                elif wanted and there != wanted:
                    yield f"{node.id}: {'.'.join(selector)} is {there}, not {wanted}"
            for template in templates(node.data):
                for found in REFERENCE.findall(template):
                    if found != "context" and self._type(node.id, found.split(".")) is None:
                        yield f"{node.id}: {{{{#{found}#}}}} is not known there on every way"

    def _type(self, at: str, selector: list[str]) -> str | None:
        """The type of a variable as the node `at` sees it; None where there is none."""
        source, *path = selector
        if source == "sys":
            names = SYSTEM + (OF_CHAT if self.app.app.mode == "advanced-chat" else ())
            return SYSTEM_TYPES.get(path[0], "string") if path[0] in names else None
        if source == "env":
            names = tuple(one.name for one in self.app.workflow.environment_variables)
            return "string" if path[0] in names else None
        # These two take what there is; anything else fails where a variable is missing.
        lenient = isinstance(self.nodes[at].data, (Aggregator, End))
        if source not in (self.before if lenient else self.done)[at]:
            return None
        return self._outputs(self.nodes[source]).get(".".join(path))

    def _outputs(self, node: Node) -> dict[str, str]:
        """A failed node's `error_message` is left out: nobody is to read it."""
        match node.data:
            case Start(variables=variables):
                return {one.variable: TYPES[one.type] for one in variables}
            case Llm():
                return _of_model(node.data)
            case Tool():
                return self.catalogue.outputs(node.data)
            case Aggregator(output_type=kind):
                return {"output": kind}
            case ListOperator():
                return FILE_RESULTS
            case DocumentExtractor(is_array_file=several):
                return {"text": "array[string]" if several else "string"}
            case Retrieval():
                return {"result": "array[object]"}
        return {}

    # -- tools and models ---------------------------------------------------------------------

    def of_packages(self) -> Iterator[str]:
        for node in self.nodes.values():
            if isinstance(node.data, Tool):
                yield from (f"{node.id}: {fault}" for fault in self.catalogue.of_tool(node.data))
            elif isinstance(node.data, Llm):
                yield from (f"{node.id}: {fault}" for fault in self.catalogue.of_model(node.data))


def _ways(node: Node) -> list[str]:
    """The ways out of a node, as edges name them."""
    match node.data:
        case IfElse(cases=cases):
            return [*(case.case_id for case in cases), "false"]
        case Llm(error_strategy="fail-branch") | Tool(error_strategy="fail-branch"):
            return ["source", FAILED]
        case End():
            return []
    return ["source"]


def _of_model(data: Llm) -> dict[str, str]:
    found = {"text": "string"}
    if data.structured_output_enabled and data.structured_output is not None:
        found["structured_output"] = "object"
        for name, one in data.structured_output.definition["properties"].items():
            found[f"structured_output.{name}"] = str(one["type"])
    return found


def _twice(what: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{what} {name} is there twice"
        seen.add(name)
