"""The only module that knows graphon: a workflow file becomes a graph, a run becomes a few events of our own."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from graphon.dsl import inspect
from graphon.engine import Engine
from graphon.engine.filter import (
    EngineEventFilterContext,
    ResponseStreamFilter,
    filter_engine_events,
)
from graphon.enums import BuiltinNodeTypes, NodeExecutionType
from graphon.graph.graph import Graph
from graphon.nodes.answer.answer_node import AnswerNode
from graphon.nodes.base.node import Node
from graphon.nodes.end.end_node import EndNode
from graphon.nodes.if_else.if_else_node import IfElseNode
from graphon.nodes.llm import LLMNode, LLMNodeData
from graphon.nodes.start import StartNode
from graphon.nodes.tool.entities import ToolNodeData
from graphon.nodes.tool.tool_node import ToolNode
from graphon.runtime.init_params import InitParams
from graphon.runtime.runtime_state import RuntimeState
from graphon.runtime.variable_pool import VariablePool

from playground.dify.host import (
    History,
    LanguageModel,
    ModelCall,
    NoFiles,
    PlainPrompt,
    ToolCall,
    ToolRuntime,
)

VERSION = "0.5.0"
WORKERS = 1
NODES: Mapping[str, type[Node]] = {
    BuiltinNodeTypes.START: StartNode,
    BuiltinNodeTypes.END: EndNode,
    BuiltinNodeTypes.ANSWER: AnswerNode,
    BuiltinNodeTypes.IF_ELSE: IfElseNode,
    BuiltinNodeTypes.TOOL: ToolNode,
    BuiltinNodeTypes.LLM: LLMNode,
}


class WorkflowError(Exception):
    """The file cannot be run here; the sentence says why."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a run: `kind` is Dify's name of it, `data` what the Service API tells."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """A question and its answer, from earlier in the conversation."""

    query: str
    answer: str


@dataclass(frozen=True)
class Calls:
    """What nodes call: a tool and a model; both look at `cancelled` between two parts of an answer."""

    tool: ToolCall
    model: ModelCall


class Workflow:
    """A workflow file, read once."""

    def __init__(self, path: Path) -> None:
        """Raises `WorkflowError`."""
        text = path.read_text(encoding="utf-8")
        self.raw: dict[str, Any] = yaml.safe_load(text)
        if self.raw.get("version") != VERSION:
            raise WorkflowError(
                f"{path.name} has version {self.raw.get('version')}, not {VERSION}."
            )
        self._plan = inspect(text)
        if not self._plan.loadable:
            raise WorkflowError(f"{path.name}: {self._plan.load_reason}")
        nodes = self.raw["workflow"]["graph"]["nodes"]
        # graphon cuts a model's provider to its last part; the full id is needed to find the package.
        self._providers = {
            n["id"]: n["data"]["model"]["provider"] for n in nodes if n["data"]["type"] == "llm"
        }
        self._start = next(node for node in nodes if node["data"]["type"] == "start")

    @property
    def features(self) -> dict[str, Any]:
        return dict(self.raw["workflow"]["features"])

    @property
    def variables(self) -> list[dict[str, Any]]:
        """What the start node declares; nothing else reaches a run."""
        return list(self._start["data"]["variables"])

    def run(
        self,
        query: str,
        *,
        inputs: Mapping[str, Any],
        system: Mapping[str, str],
        history: Sequence[Turn],
        calls: Calls,
    ) -> Iterator[Event]:
        """Run it; the last event is `workflow_finished`."""
        engine = self._engine(query, inputs, system, history, calls)
        events = filter_engine_events(
            engine.run(),
            context=EngineEventFilterContext.from_engine(engine),
            filters=[ResponseStreamFilter()],
        )
        with suppress(RuntimeError):  # the engine raises again after its own event of a failed run
            for event in events:
                yield from _translate(event)

    def _engine(
        self,
        query: str,
        inputs: Mapping[str, Any],
        system: Mapping[str, str],
        history: Sequence[Turn],
        calls: Calls,
    ) -> Engine:
        run_id = str(uuid.uuid4())
        pool = VariablePool()
        values = {**system, "query": query, "files": [], "dialogue_count": len(history) + 1}
        for name, value in {**values, "workflow_id": run_id, "workflow_run_id": run_id}.items():
            pool.add(("sys", name), value)
        for variable in self.variables:
            pool.add(
                (self._start["id"], variable["variable"]), inputs.get(variable["variable"], "")
            )
        config = self._plan.document.graph_config
        state = RuntimeState(variable_pool=pool, start_at=time.time(), workflow_id=run_id)
        factory = _Factory(
            InitParams(workflow_id=run_id, graph_config=config, run_context={}, call_depth=0),
            state,
            calls,
            History([(turn.query, turn.answer) for turn in history]),
            self._providers,
        )
        graph = Graph.init(
            graph_config=config, node_factory=factory, root_node_id=self._start["id"]
        )
        return Engine(graph=graph, runtime_state=state, workers=WORKERS)


@dataclass
class _Factory:
    """Makes the nodes that our files use, each with what it needs of the host (graphon's `NodeFactory`)."""

    init_params: InitParams
    runtime_state: RuntimeState
    calls: Calls
    history: History
    providers: Mapping[str, str]

    def with_runtime_state(self, runtime_state: RuntimeState) -> "_Factory":
        return replace(self, runtime_state=runtime_state)

    def with_graph_config(self, graph_config: Mapping[str, Any]) -> "_Factory":
        params = self.init_params.model_copy(update={"graph_config": graph_config})
        return replace(self, init_params=params)

    def validate_node(self, node_config: Mapping[str, Any]) -> NodeExecutionType:
        kind = _kind(node_config)
        kind.validate_node_data(node_config["data"])
        return kind.execution_type

    def create_node(self, node_config: Mapping[str, Any]) -> Node:
        kind, data, name = _kind(node_config), node_config["data"], str(node_config["id"])
        common: dict[str, Any] = {
            "node_id": name,
            "init_params": self.init_params,
            "runtime_state": self.runtime_state,
        }
        if kind is ToolNode:
            tool = ToolNodeData.model_validate(data.model_dump())
            return ToolNode(
                data=tool,
                tool_file_manager=NoFiles(),
                runtime=ToolRuntime(self.calls.tool),
                **common,
            )
        if kind is LLMNode:
            return self._model_node(LLMNodeData.model_validate(data.model_dump()), name, common)
        return kind(data=kind.validate_node_data(data), **common)

    def _model_node(self, data: LLMNodeData, name: str, common: dict[str, Any]) -> Node:
        model = LanguageModel(
            self.calls.model, self.providers[name], data.model.name, data.model.completion_params
        )
        return LLMNode(
            data=data,
            model_instance=model,
            memory=self.history,
            llm_file_saver=NoFiles(),
            prompt_message_serializer=PlainPrompt(),
            default_query_selector=("sys", "query"),
            **common,
        )


def _kind(node_config: Mapping[str, Any]) -> type[Node]:
    kind = NODES.get(node_config["data"].type)
    if kind is None:
        raise WorkflowError(f"nodes of the type {node_config['data'].type} cannot be run here")
    return kind


def _translate(event: Any) -> Iterator[Event]:
    """graphon's event in the Service API's words; what the API does not tell is dropped."""
    match type(event).__name__:
        case "GraphRunStartedEvent":
            yield Event("workflow_started")
        case "NodeRunStartedEvent":
            yield Event("node_started", _node(event) | {"title": event.node_title})
        case "NodeRunSucceededEvent" | "NodeRunFailedEvent" | "NodeRunExceptionEvent":
            result = event.node_run_result
            status = {"error": getattr(event, "error", None), "status": str(result.status)}
            yield Event("node_finished", _node(event) | status)
        case "NodeRunStreamChunkEvent" if event.chunk:
            yield Event(
                "message", {"answer": event.chunk, "from_variable_selector": list(event.selector)}
            )
        case "NodeRunRetrieverResourceEvent":
            yield Event("citations", {"resources": list(event.retriever_resources)})
        case "GraphRunSucceededEvent":
            yield Event("workflow_finished", {"status": "succeeded", "outputs": _answer(event)})
        case "GraphRunPartialSucceededEvent":
            yield Event(
                "workflow_finished", {"status": "partial-succeeded", "outputs": _answer(event)}
            )
        case "GraphRunAbortedEvent":
            yield Event("workflow_finished", {"status": "stopped", "outputs": {}})
        case "GraphRunFailedEvent":
            yield Event(
                "workflow_finished", {"status": "failed", "outputs": {}, "error": event.error}
            )


def _answer(event: Any) -> dict[str, str]:
    """A chatflow's output is its answer; `files` beside it are not offered here."""
    return {"answer": str(event.outputs.get("answer", ""))}


def _node(event: Any) -> dict[str, Any]:
    return {"id": event.id, "node_id": event.node_id, "node_type": str(event.node_type)}
