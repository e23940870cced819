"""The web's side of the aux socket: the requests of this process, each with its answer; used by routes and guard."""

import queue
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from tool_server.errors import ApiError, BadRequest, Busy, NotFound, Unavailable
from tool_server.model.aux.wire import Answer, Cancel, Command, Refused, encode, read
from tool_server.model.link import RETRY_AFTER_S, Link

# How often it is looked whether the caller is still there.
TICK_S = 0.25
AWAY = "The auxiliary models are being started; try again in a moment."
LOST = "The auxiliary models were restarted in the middle of this request; try again."
SLOW = "The auxiliary model did not answer in time; try again in a moment."


# None: the connection was lost.
type Answers = queue.SimpleQueue[Answer | None]


class ClientGone(ApiError):
    """Nobody will read the answer."""

    status = 499
    code = "client_gone"


def new_id() -> str:
    """An id that no other web process gives."""
    return secrets.token_hex(12)


class AuxClient:
    """Sends commands and hands out their answers."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._link: Link[Command | Answer, Answers] = Link(
            path, read, take=self._take, lost=lambda answers: answers.put(None), away=AWAY
        )

    def ask[A: Answer](
        self, command: Command, kind: type[A], gone: Callable[[], bool] = lambda: False
    ) -> A:
        """The answer to one command. `gone` tells that nobody waits any more.

        Raises `Unavailable` (away, loading, lost), `Busy`, `BadRequest` and `ClientGone`.
        """
        answers: Answers = queue.SimpleQueue()
        self._link.send(command.id, encode(command), answers)
        try:
            answer = self._wait(answers, gone)
        except BaseException:
            self._link.cancel(command.id, encode(Cancel(command.id)))
            raise
        if isinstance(answer, Refused):
            raise refusal(answer)
        if not isinstance(answer, kind):
            raise Unavailable(LOST, retry_after=RETRY_AFTER_S)
        return answer

    def _wait(self, answers: Answers, gone: Callable[[], bool]) -> Answer | None:
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            try:
                return answers.get(timeout=TICK_S)
            except queue.Empty:
                if gone():
                    raise ClientGone("The client went away.") from None
        raise Unavailable(SLOW, retry_after=RETRY_AFTER_S)

    def _take(self, message: Command | Answer) -> None:
        answers = self._link.done(message.id)
        if answers is not None:
            answers.put(message)  # type: ignore[arg-type]  # a command is no answer: `ask` checks


def refusal(refused: Refused) -> ApiError:
    """A refusal as the error that the caller of the HTTP route gets."""
    wait = refused.retry_after_s or RETRY_AFTER_S
    match refused.code:
        case "busy":
            return Busy(refused.message, retry_after=wait)
        case "bad_input":
            field, _, reason = refused.message.partition(": ")
            return BadRequest(f"{field}: {reason}", param=field)
        case "not_served":
            return NotFound(refused.message, code="model_not_found", param="model")
        case "loading":
            return Unavailable(refused.message, code="model_loading", retry_after=wait)
        case "not_loaded":
            return Unavailable(refused.message, code="model_not_loaded", retry_after=wait)
    failed = ApiError(refused.message, code="model_failed")
    failed.retry = True
    return failed
