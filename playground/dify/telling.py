"""A run's events as the Service API tells them, of a chatflow and of a workflow app; used by `runs`."""

import time
from collections.abc import Iterator
from typing import Any

from playground.dify.events import Event
from playground.dify.run import Run
from playground.dify.store import Message


class ChatTelling:
    """Of a chatflow: the answer grows in `message` events, and belongs to a message."""

    def __init__(self, run: Run, message: Message) -> None:
        self._run = run
        self._message = message
        self._text: list[str] = []
        self._usage: dict[str, Any] = {}

    def tell(self, event: Event) -> Iterator[dict[str, Any]]:
        match event.kind:
            case "citations":
                self._keep(event.data["resources"])
            case "text":
                self._text.append(event.data["text"])
                said = {"answer": event.data["text"]} | _selector(event)
                yield {"event": "message", **self._base(), "id": self._message.id, **said}
            case "workflow_finished":
                yield from self._finish(event)
            case _:
                data = _started(self._run) if event.kind == "workflow_started" else event.data
                yield self._of_run(event.kind, dict(data))

    def end(self) -> Iterator[dict[str, Any]]:
        """The last event, and the answer into its row; a failed run has told its error instead."""
        if self._run.status == "failed":
            return
        self._message.answer = "".join(self._text)
        resources = self._message.resources
        yield {
            "event": "message_end",
            **self._base(),
            "id": self._message.id,
            "metadata": {
                "usage": self._usage,
                "retriever_resources": resources,
                "annotation_reply": None,
            },
            "files": [],
        }

    def _keep(self, resources: list[dict[str, Any]]) -> None:
        """Citations, numbered on."""
        first = len(self._message.resources) + 1
        self._message.resources += [
            {**resource, "position": position} for position, resource in enumerate(resources, first)
        ]

    def _finish(self, event: Event) -> Iterator[dict[str, Any]]:
        self._usage = event.data["usage"]
        answer = event.data["outputs"].get("answer")
        if answer is not None and answer != "".join(self._text):
            self._text = [str(answer)]
            yield {"event": "message_replace", **self._base(), "answer": str(answer)}
        yield self._of_run("workflow_finished", _finished(self._run, event))
        if self._run.status == "failed":
            self._message.status, self._message.error = "error", str(event.data["error"])
            yield {"event": "error", **self._base(), **failure(self._message.error)}

    def _of_run(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        return {"event": kind, **self._base(), "workflow_run_id": self._run.id, "data": data}

    def _base(self) -> dict[str, Any]:
        return {
            "task_id": self._run.task,
            "message_id": self._message.id,
            "conversation_id": self._message.conversation,
            "created_at": self._message.created_at,
        }


class WorkflowTelling:
    """Of a workflow app: what counts are the outputs at the end."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def tell(self, event: Event) -> Iterator[dict[str, Any]]:
        match event.kind:
            case "citations":
                return
            case "text":
                data = {"text": event.data["text"]} | _selector(event)
                yield self._event("text_chunk", data)
            case "workflow_started":
                yield self._event(event.kind, _started(self._run))
            case "workflow_finished":
                yield self._event(event.kind, _finished(self._run, event))
                if self._run.status == "failed":
                    said = failure(str(self._run.error))
                    yield {"event": "error", "task_id": self._run.task, **said}
            case _:
                yield self._event(event.kind, dict(event.data))

    def end(self) -> Iterator[dict[str, Any]]:
        return iter(())

    def _event(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        task, run = self._run.task, self._run.id
        return {"event": kind, "task_id": task, "workflow_run_id": run, "data": data}


def failure(message: str) -> dict[str, Any]:
    """Dify's error of a run that failed."""
    return {"status": 400, "code": "completion_request_error", "message": message}


def _selector(event: Event) -> dict[str, Any]:
    return {"from_variable_selector": event.data["from_variable_selector"]}


def _started(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "workflow_id": run.workflow_id,
        "inputs": run.inputs,
        "created_at": int(run.started_at),
    }


def _finished(run: Run, event: Event) -> dict[str, Any]:
    told = {name: value for name, value in event.data.items() if name != "usage"}
    return {
        **_started(run),
        **told,
        "elapsed_time": round(run.total_s, 4),
        "created_by": {"id": run.user, "user": run.user},
        "finished_at": int(time.time()),
    }
