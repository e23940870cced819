"""A workflow file, read once and run often, by graphon: Dify's own graph engine. `graph`, `nodes`, `host`, `files` and
`events` are the other modules that know it."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from graphon.graph.graph import Graph
from graphon.runtime.init_params import InitParams
from graphon.runtime.runtime_state import RuntimeState
from graphon.runtime.variable_pool import VariablePool

from playground.dify.events import Event, Translator
from playground.dify.files import GraphFiles
from playground.dify.graph import NODES, Factory
from playground.dify.host import Calls, History
from playground.dify.uploads import Upload

VERSION = "0.5.0"
WORKERS = 1


class WorkflowError(Exception):
    """The file cannot be run here; the sentence says why."""


@dataclass(frozen=True)
class Turn:
    """A question and its answer, from earlier in the conversation."""

    query: str
    answer: str


@dataclass(frozen=True)
class Asked:
    """What a run begins with; a workflow app has neither query nor history."""

    inputs: Mapping[str, Any]
    system: Mapping[str, str]
    query: str = ""
    history: Sequence[Turn] = ()
    files: Sequence[Upload] = ()


@dataclass(frozen=True)
class Changes:
    """What an administrator changes after the import: fields of nodes, by the node's id, and environment variables."""

    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


class Workflow:
    """An app's file."""

    def __init__(self, path: Path, changes: Changes | None = None) -> None:
        """Raises `WorkflowError`."""
        self.raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        if self.raw.get("version") != VERSION:
            raise WorkflowError(
                f"{path.name} has version {self.raw.get('version')}, not {VERSION}."
            )
        _change(self.raw["workflow"], changes or Changes())
        self._plan = inspect(yaml.safe_dump(self.raw, allow_unicode=True))
        if self._plan.document.graph_config is None:
            raise WorkflowError(f"{path.name}: {self._plan.load_reason}")
        nodes = self.raw["workflow"]["graph"]["nodes"]
        # graphon's own list of types does not count: two are ours.
        if unknown := {node["data"]["type"] for node in nodes} - set(NODES):
            raise WorkflowError(f"{path.name}: nodes of the type {unknown} cannot be run here.")
        self._providers = {
            n["id"]: n["data"]["model"]["provider"] for n in nodes if n["data"]["type"] == "llm"
        }
        self._start = next(node for node in nodes if node["data"]["type"] == "start")

    @property
    def mode(self) -> str:
        """The app's: "advanced-chat" or "workflow"."""
        return str(self.raw["app"]["mode"])

    @property
    def features(self) -> dict[str, Any]:
        return dict(self.raw["workflow"]["features"])

    @property
    def variables(self) -> list[dict[str, Any]]:
        """What the start node declares; nothing else reaches a run."""
        return list(self._start["data"]["variables"])

    def run(
        self, asked: Asked, calls: Calls, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Event]:
        """Run it; the last event is `workflow_finished`. What is stopped begins no further node."""
        files = GraphFiles(asked.files)
        engine = self._engine(asked, calls, files)
        translator = Translator(engine, files)
        events = filter_engine_events(
            engine.run(),
            context=EngineEventFilterContext.from_engine(engine),
            filters=[ResponseStreamFilter()],
        )
        finished = False
        try:
            for event in events:
                if stopped():
                    engine.request_abort("stopped")
                for told in translator.events(event, stopped=stopped()):
                    finished = told.kind == "workflow_finished"
                    yield told
        except RuntimeError:
            if not finished:  # the engine raises again after its own event of a failed run
                raise

    def _engine(self, asked: Asked, calls: Calls, files: GraphFiles) -> Engine:
        run_id = str(uuid.uuid4())
        config = self._plan.document.graph_config
        pool = self._pool(asked, run_id, files)
        state = RuntimeState(variable_pool=pool, start_at=time.time(), workflow_id=run_id)
        factory = Factory(
            InitParams(workflow_id=run_id, graph_config=config, run_context={}, call_depth=0),
            state,
            calls,
            History([(turn.query, turn.answer) for turn in asked.history]),
            self._providers,
        )
        start = self._start["id"]
        graph = Graph.init(graph_config=config, node_factory=factory, root_node_id=start)
        return Engine(graph=graph, runtime_state=state, workers=WORKERS, file_runtime=files)

    def _pool(self, asked: Asked, run_id: str, files: GraphFiles) -> VariablePool:
        pool = VariablePool()
        system: dict[str, Any] = {
            **asked.system,
            "files": files.files,
            "workflow_id": run_id,
            "workflow_run_id": run_id,
        }
        if self.mode == "advanced-chat":
            system |= {"query": asked.query, "dialogue_count": len(asked.history) + 1}
        for name, value in system.items():
            pool.add(("sys", name), value)
        for variable in self.raw["workflow"]["environment_variables"]:
            pool.add(("env", variable["name"]), variable["value"])
        for variable in self.variables:
            name = variable["variable"]
            pool.add((self._start["id"], name), asked.inputs.get(name, ""))
        return pool


def _change(workflow: dict[str, Any], changes: Changes) -> None:
    """Raises `WorkflowError` for a name that is not in the file."""
    nodes = {node["id"]: node["data"] for node in workflow["graph"]["nodes"]}
    variables = {one["name"]: one for one in workflow["environment_variables"]}
    for known, named in ((nodes, changes.nodes), (variables, changes.environment)):
        if unknown := set(named) - set(known):
            raise WorkflowError(f"The file has no {', '.join(sorted(unknown))}.")
    for node_id, fields in changes.nodes.items():
        nodes[node_id].update(fields)
    for name, value in changes.environment.items():
        variables[name]["value"] = value
