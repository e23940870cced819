"""What can go wrong, as Dify's errors: the class tells Dify what to do, the sentence tells people; for all types.

InvokeConnectionError           the server was not reached, or fell silent
InvokeServerUnavailableError    5xx, a broken answer, a fault of ours
InvokeRateLimitError            429
InvokeAuthorizationError        401, 403
InvokeBadRequestError           any other status: the request must change
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from dify_plugin.config.logger_format import plugin_logger_handler
from dify_plugin.errors.model import (
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
    InvokeRateLimitError,
    InvokeServerUnavailableError,
)
from models import address
from models.shapes import Failed
from pydantic import ValidationError

log = logging.getLogger(__name__)
# The daemon's log; any other line on stdout would break the protocol.
log.addHandler(plugin_logger_handler)

WRONG_KEY = "The tool server does not know this key: copy it from keys.json again."
WRONG_SCOPE = 'This key does not open the model: enter the one with the scope "model".'
NOT_OURS = "This address does not answer like a Shenqiao model server: check the URL."
OURS = "The package failed at this call; the daemon's log names the fault."
# Dify shows an error's class by its name, so that each is its own cause.
ERRORS: dict[type[InvokeError], list[type[Exception]]] = {
    kind: [kind]
    for kind in (
        InvokeConnectionError,
        InvokeServerUnavailableError,
        InvokeRateLimitError,
        InvokeAuthorizationError,
        InvokeBadRequestError,
    )
}


def of_status(status: int, body: bytes, retry_after: int | None) -> InvokeError:
    """The error of an answer that is not 200. `retry_after` in seconds, if the server said so."""
    match status:
        case _ if wrong := address.fault_in(status, body):
            return InvokeBadRequestError(wrong)
        case 401:
            return InvokeAuthorizationError(WRONG_KEY)
        case 403:
            return InvokeAuthorizationError(WRONG_SCOPE)
        case 429:
            busy = _sentence(body, "The model is busy.")
            return InvokeRateLimitError(f"{busy} Try again in {retry_after or 'a few'} seconds.")
        case _ if status >= 500:
            away = _sentence(body, "The model server is away.")
            later = f" Try again in {retry_after} seconds." if retry_after else ""
            return InvokeServerUnavailableError(away + later)
    return InvokeBadRequestError(_sentence(body, NOT_OURS))


def of_ours(error: Exception) -> InvokeError:
    """An error for Dify. What we did not foresee keeps its text to itself: it may hold addresses or a prompt."""
    if isinstance(error, InvokeError):
        return error
    log.error("A model call failed: %s", type(error).__name__)
    return InvokeServerUnavailableError(OURS)


@contextmanager
def guarded() -> Generator[None, None, None]:
    """For what the SDK calls outside of its own care: streams, descriptions."""
    try:
        yield
    except Exception as error:  # the rim: its text would reach Dify's users
        raise of_ours(error) from None


def _sentence(body: bytes, otherwise: str) -> str:
    """The tool server's own; something else in between may have answered."""
    try:
        return Failed.model_validate_json(body).error.message
    except ValidationError:
        return otherwise
