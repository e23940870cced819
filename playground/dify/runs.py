"""Running the app for one message: calls the packages, measures, and tells it in the Service API's events."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from playground.dify.packages import Packages, Session
from playground.dify.store import Message, Store
from playground.dify.workflow import Calls, Event, Workflow

KEPT = 2000
APP_ID = "0b9f4d7e-6c0a-4b55-9a3e-5f1d2c3b4a59"


@dataclass
class Run:
    """One run, as the playground shows it; seconds inside the packages' calls are counted apart."""

    task: str
    message: Message
    started_at: float
    cancelled: threading.Event = field(default_factory=threading.Event)
    finished_at: float | None = None
    status: str = "running"
    tool_s: float = 0.0
    model_s: float = 0.0
    total_s: float = 0.0
    model_requests: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "task_id": self.task,
            "message_id": self.message.id,
            "conversation_id": self.message.conversation,
            "user": self.message.user,
            "query": self.message.query,
            "inputs": self.message.inputs,
            "status": self.status,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "total_s": self.total_s,
            "tool_s": self.tool_s,
            "model_s": self.model_s,
            "overhead_s": self.total_s - self.tool_s - self.model_s,
            "model_requests": self.model_requests,
        }


class Runs:
    """Starts runs, remembers the newest, and can make the next ones slow."""

    def __init__(self, workflow: Workflow, packages: Packages, store: Store) -> None:
        self.workflow = workflow
        self._packages = packages
        self._store = store
        self._runs: deque[Run] = deque(maxlen=KEPT)
        self._slow: deque[float] = deque()

    def newest(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [run.as_json() for run in list(self._runs)]

    def make_slow(self, seconds: float, runs: int) -> None:
        """Let the next `runs` runs wait before their model is called."""
        self._slow.extend([seconds] * runs)

    def forget(self) -> None:
        self._runs.clear()
        self._slow.clear()

    def stop(self, task: str, user: str) -> None:
        for run in list(self._runs):
            if run.task == task and run.message.user == user:
                run.cancelled.set()

    def start(self, message: Message) -> Run:
        run = Run(str(uuid.uuid4()), message, time.time())
        self._runs.append(run)
        return run

    def events(self, run: Run) -> Iterator[dict[str, Any]]:
        """The Service API's events. A reader that leaves ends the run and costs the answer, as in Dify."""
        started = time.monotonic()
        message = run.message
        text: list[str] = []
        try:
            for event in self._execute(run):
                run.total_s = time.monotonic() - started
                yield from self._tell(run, event, text)
            if run.status != "failed":
                message.answer = "".join(text)
                yield self._end(run)
        except GeneratorExit:
            run.status = "reader gone"
            raise
        finally:
            run.cancelled.set()
            run.finished_at = time.time()
            run.total_s = time.monotonic() - started

    def _execute(self, run: Run) -> Iterator[Event]:
        message = run.message
        session = Session(message.user, APP_ID, message.conversation, message.id)
        return self.workflow.run(
            message.query,
            inputs=message.inputs,
            system={
                "conversation_id": message.conversation,
                "user_id": message.user,
                "app_id": APP_ID,
            },
            history=self._store.turns(message),
            calls=self._calls(run, session),
        )

    def _calls(self, run: Run, session: Session) -> Calls:
        def tool(
            provider: str, name: str, parameters: Mapping[str, Any]
        ) -> Iterator[dict[str, Any]]:
            started = time.monotonic()
            try:
                answers = self._packages.invoke_tool(provider, name, parameters, session)
                yield from _until_cancelled(answers, run)
            finally:
                run.tool_s += time.monotonic() - started

        def model(
            provider: str, name: str, messages: list[dict[str, Any]], parameters: Mapping[str, Any]
        ) -> Iterator[dict[str, Any]]:
            asked = {
                "provider": provider,
                "model": name,
                "prompt_messages": messages,
                "parameters": dict(parameters),
            }
            run.model_requests.append(asked)
            started = time.monotonic()
            try:
                run.cancelled.wait(self._slow.popleft() if self._slow else 0)
                answers = self._packages.invoke_model(provider, name, messages, parameters, session)
                yield from _until_cancelled(answers, run)
            finally:
                run.model_s += time.monotonic() - started

        return Calls(tool, model)

    def _tell(self, run: Run, event: Event, text: list[str]) -> Iterator[dict[str, Any]]:
        if event.kind == "citations":
            first = len(run.message.resources) + 1
            run.message.resources += [
                {**resource, "position": position}
                for position, resource in enumerate(event.data["resources"], first)
            ]
        elif event.kind == "message":
            text.append(event.data["answer"])
            yield {"event": "message", **_base(run), "id": run.message.id, **event.data}
        elif event.kind == "workflow_finished":
            yield from self._finish(run, event, text)
        else:
            yield {
                "event": event.kind,
                **_base(run),
                "workflow_run_id": run.task,
                "data": dict(event.data),
            }

    def _finish(self, run: Run, event: Event, text: list[str]) -> Iterator[dict[str, Any]]:
        run.status = str(event.data["status"])
        final = event.data["outputs"].get("answer")
        if final is not None and final != "".join(text):
            text[:] = [str(final)]
            yield {"event": "message_replace", **_base(run), "answer": str(final)}
        data = {**event.data, "id": run.task, "elapsed_time": round(run.total_s, 4)}
        yield {
            "event": "workflow_finished",
            **_base(run),
            "workflow_run_id": run.task,
            "data": data,
        }
        if run.status == "failed":
            run.message.status, run.message.error = "error", str(event.data.get("error"))
            yield {
                "event": "error",
                **_base(run),
                "status": 400,
                "code": "completion_request_error",
                "message": run.message.error,
            }

    def _end(self, run: Run) -> dict[str, Any]:
        metadata = {"usage": {}, "retriever_resources": run.message.resources}
        return {
            "event": "message_end",
            **_base(run),
            "id": run.message.id,
            "metadata": metadata,
            "files": [],
        }


def _until_cancelled(answers: Iterator[dict[str, Any]], run: Run) -> Iterator[dict[str, Any]]:
    """graphon cannot interrupt a node; its calls end by themselves when nobody wants the answer any more."""
    for answer in answers:
        if run.cancelled.is_set():
            return
        yield answer


def _base(run: Run) -> dict[str, Any]:
    return {
        "task_id": run.task,
        "message_id": run.message.id,
        "conversation_id": run.message.conversation,
        "created_at": run.message.created_at,
    }
