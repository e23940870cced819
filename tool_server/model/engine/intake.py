"""The engine's door: what would kill a backend, or never get done, is refused here; called by `process`."""

from tool_server.model.engine.backend import Backend
from tool_server.model.engine.grammar import BadSchema, Grammars
from tool_server.model.engine.picker import Picker
from tool_server.model.wire import Accepted, Refused, Submit


class Intake:
    """Checks requests, compiles their grammars, hands them on."""

    def __init__(self, backend: Backend, grammars: Grammars) -> None:
        self._backend = backend
        self._grammars = grammars

    def submit(self, request: Submit, owner: object) -> Accepted | Refused:
        """Take a request or say why not; waits only for a schema that is compiled for the first time."""
        reason = self._reason(request)
        if reason:
            return Refused(request.id, "too_long", reason)
        matcher = None
        if request.schema:
            try:
                matcher = self._grammars.matcher(request.schema)
            except BadSchema as error:
                return Refused(request.id, "bad_schema", str(error))
        return self._backend.submit(request, Picker(request, matcher), owner)

    def _reason(self, request: Submit) -> str:
        limit = self._backend.context_tokens
        if not request.prompt or request.max_tokens < 1:
            return "There is nothing to answer."
        if len(request.prompt) + request.max_tokens > limit:
            return (
                f"{len(request.prompt)} tokens of prompt and {request.max_tokens} of answer are more than "
                f"the {limit} of this model."
            )
        if not all(0 <= token < self._backend.vocabulary for token in request.prompt):
            return "The prompt holds tokens that the model does not know."
        return ""
