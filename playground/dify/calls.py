"""The calls of one run to packages, models and knowledge: measured, and ended when nobody wants the answer any more."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from playground.dify.datasets import Datasets
from playground.dify.host import Calls
from playground.dify.models import Models
from playground.dify.packages import Packages, Session
from playground.dify.run import Run


@dataclass(frozen=True)
class Callees:
    """What nodes call."""

    packages: Packages
    models: Models
    datasets: Datasets


class Measured:
    """Of one run; `slow` holds the seconds that the next calls of a model wait."""

    def __init__(self, callees: Callees, run: Run, session: Session, slow: deque[float]) -> None:
        self._callees = callees
        self._run = run
        self._session = session
        self._slow = slow

    def calls(self) -> Calls:
        return Calls(self.tool, self.model, self.features, self._callees.datasets.retrieve)

    def tool(
        self, provider: str, name: str, parameters: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        packages = self._callees.packages
        with self._counted("tool_s"):
            answers = packages.invoke_tool(provider, name, parameters, self._session)
            yield from self._until_cancelled(answers)

    def model(
        self,
        provider: str,
        name: str,
        messages: Sequence[Mapping[str, Any]],
        parameters: Mapping[str, Any],
    ) -> Iterator[dict[str, Any]]:
        asked = {"provider": provider, "model": name, "prompt_messages": list(messages)}
        self._run.model_requests.append(asked | {"parameters": dict(parameters)})
        models = self._callees.models
        with self._counted("model_s"):
            self._run.cancelled.wait(self._slow.popleft() if self._slow else 0)
            answers = models.invoke(provider, name, messages, parameters, self._session)
            yield from self._until_cancelled(answers)

    def features(self, provider: str, name: str) -> frozenset[str]:
        with self._counted("model_s"):
            return self._callees.models.features(provider, name)

    def _until_cancelled(self, answers: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """graphon cannot interrupt a node; its calls end by themselves."""
        while not self._run.cancelled.is_set():
            answer = next(answers, None)
            if answer is None:
                return
            yield answer

    def _counted(self, field: str) -> AbstractContextManager[None]:
        return _counted(self._run, field)


@contextmanager
def _counted(run: Run, field: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        setattr(run, field, getattr(run, field) + time.monotonic() - started)
