"""What happens in a run, in the Service API's words: graphon's events translated for `workflow`, told by `telling`."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphon.engine import Engine
from graphon.file.runtime import use_workflow_file_runtime
from graphon.workflow_type_encoder import WorkflowRuntimeTypeConverter

from playground.dify.files import GraphFiles

OUTCOMES = {
    "GraphRunSucceededEvent": "succeeded",
    "GraphRunPartialSucceededEvent": "partial-succeeded",
    "GraphRunAbortedEvent": "stopped",
    "GraphRunFailedEvent": "failed",
}


@dataclass(frozen=True)
class Event:
    """Something that happened in a run: `kind` is Dify's name of it, `data` what the Service API tells."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Translator:
    """Of one run; what the Service API does not tell is dropped."""

    def __init__(self, engine: Engine, files: GraphFiles) -> None:
        self._engine = engine
        self._files = files
        self._steps: dict[str, dict[str, Any]] = {}
        self._exceptions = 0

    def events(self, event: Any, *, stopped: bool) -> Iterator[Event]:
        """graphon's event as none or one of ours; a node that was stopped may have failed, the run was stopped."""
        name = type(event).__name__
        match name:
            case "GraphRunStartedEvent":
                yield Event("workflow_started")
            case "NodeRunStartedEvent":
                yield Event("node_started", self._step(event))
            case "NodeRunRetryEvent":
                retried = {"status": "retry", "error": event.error}
                step = self._step(event) | self._result(event) | retried
                yield Event("node_retry", step | {"retry_index": event.retry_index})
            case "NodeRunSucceededEvent" | "NodeRunFailedEvent" | "NodeRunExceptionEvent":
                self._exceptions += name != "NodeRunSucceededEvent"
                yield Event("node_finished", self._step(event) | self._result(event))
            case "NodeRunStreamChunkEvent" if event.chunk:
                said = {"text": event.chunk, "from_variable_selector": list(event.selector)}
                yield Event("text", said)
            case "NodeRunRetrieverResourceEvent":
                yield Event("citations", {"resources": list(event.retriever_resources)})
            case _ if name in OUTCOMES:
                status = "stopped" if stopped else OUTCOMES[name]
                yield Event("workflow_finished", self._end(event, status))

    def _step(self, event: Any) -> dict[str, Any]:
        """What tells a node of a run; the same for its start and its end."""
        step = self._steps.get(event.id)
        if step is None:
            step = self._steps[event.id] = {
                "id": event.id,
                "node_id": event.node_id,
                "node_type": str(event.node_type),
                "title": getattr(event, "node_title", ""),
                "index": len(self._steps) + 1,
                "predecessor_node_id": getattr(event, "predecessor_node_id", None),
                "inputs": None,
                "created_at": int(time.time()),
                "extras": {},
            }
        return step

    def _result(self, event: Any) -> dict[str, Any]:
        result = event.node_run_result
        now = time.time()
        return {
            "inputs": self._plain(result.inputs),
            "process_data": self._plain(result.process_data),
            "outputs": self._plain(result.outputs),
            "status": str(result.status),
            "error": getattr(event, "error", None),
            "elapsed_time": round(now - event.start_at.timestamp(), 4),
            "execution_metadata": None,
            "finished_at": int(now),
            "files": [],
        }

    def _end(self, event: Any, status: str) -> dict[str, Any]:
        usage = self._engine.runtime_state.llm_usage.model_dump(mode="json")
        return {
            "status": status,
            "outputs": self._plain(getattr(event, "outputs", {})),
            "error": event.error if status == "failed" else None,
            "total_tokens": usage["total_tokens"],
            "total_steps": len(self._steps),
            "exceptions_count": self._exceptions,
            "usage": usage,
            "files": [],
        }

    def _plain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Files and graphon's own kinds of values as JSON."""
        with use_workflow_file_runtime(self._files):
            return dict(WorkflowRuntimeTypeConverter().to_json_encodable(dict(values)))
