"""Running the app, and telling each run in the Service API's events; used by the routes."""

import time
import uuid
from collections import deque
from collections.abc import Iterator
from typing import Any

from playground.dify.calls import Callees, Measured
from playground.dify.events import Event
from playground.dify.packages import Session
from playground.dify.run import Run
from playground.dify.store import Store
from playground.dify.telling import ChatTelling, WorkflowTelling
from playground.dify.workflow import Asked, Workflow

KEPT = 2000
APP_ID = "0b9f4d7e-6c0a-4b55-9a3e-5f1d2c3b4a59"


class Runs:
    """Starts runs, remembers the newest, and can make the next ones slow."""

    def __init__(self, workflow: Workflow, callees: Callees, store: Store) -> None:
        self.workflow = workflow
        self.workflow_id = str(uuid.uuid4())
        self._callees = callees
        self._store = store
        self._runs: deque[Run] = deque(maxlen=KEPT)
        self._slow: deque[float] = deque()

    def newest(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [run.as_json() for run in list(self._runs)]

    def find(self, run_id: str) -> Run | None:
        return next((run for run in list(self._runs) if run.id == run_id), None)

    def make_slow(self, seconds: float, runs: int) -> None:
        """Let the next `runs` runs wait before their model is called."""
        self._slow.extend([seconds] * runs)

    def forget(self) -> None:
        self._runs.clear()
        self._slow.clear()

    def stop(self, task: str, user: str) -> None:
        for run in list(self._runs):
            if run.task == task and run.user == user:
                run.cancelled.set()

    def add(self, run: Run) -> Run:
        self._runs.append(run)
        return run

    def events(self, run: Run) -> Iterator[dict[str, Any]]:
        """The Service API's events. A reader that leaves ends the run and costs the answer, as in Dify."""
        started = time.monotonic()
        telling = ChatTelling(run, run.message) if run.message else WorkflowTelling(run)
        try:
            for event in self._execute(run):
                run.total_s = time.monotonic() - started
                if event.kind == "workflow_finished":
                    run.end(event.data)
                yield from telling.tell(event)
            yield from telling.end()
        except GeneratorExit:
            run.status = "stopped"
            raise
        finally:
            run.cancelled.set()
            run.finished_at = time.time()
            run.total_s = time.monotonic() - started

    def _execute(self, run: Run) -> Iterator[Event]:
        message = run.message
        system = {"user_id": run.user, "app_id": APP_ID}
        if message:
            system["conversation_id"] = message.conversation
        asked = Asked(
            run.inputs,
            system,
            query=run.query,
            history=self._store.turns(message) if message else (),
            files=run.files,
        )
        session = Session(run.user, APP_ID, run.conversation, message.id if message else "")
        calls = Measured(self._callees, run, session, self._slow).calls()
        return self.workflow.run(asked, calls, run.cancelled.is_set)
