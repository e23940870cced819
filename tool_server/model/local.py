"""The backend `engine`: our own engine process behind its socket; used by the routes."""

from collections.abc import Mapping

from tool_server.model import chat
from tool_server.model.client import EngineClient
from tool_server.model.request import ChatRequest
from tool_server.model.tokenizer import ChatTokenizer
from tool_server.model.wire import SOCKET
from tool_server.settings import Settings


class LocalBackend:
    """See `backend.Backend`."""

    def __init__(self, settings: Settings) -> None:
        """Reads the tokenizer. Raises `SettingsError` when there is no model to serve."""
        engine = EngineClient(settings.run_dir / SOCKET)
        self._model = chat.Model(settings, ChatTokenizer(settings.model_path), engine)

    def read(self, body: object) -> ChatRequest:
        return ChatRequest.model_validate(body)

    def start(self, asked: ChatRequest) -> chat.Answer:
        return chat.start(self._model, asked)

    def describe(self) -> Mapping[str, object]:
        features = ["tool-call", "multi-tool-call", "stream-tool-call", "structured-output"]
        if self._model.tokenizer.think is not None:
            features.append("thinking")
        settings = self._model.settings
        return {
            "context_length": self._model.context_tokens,
            "max_output_tokens": min(settings.model_max_tokens, self._model.context_tokens - 1),
            "features": features,
        }

    def check(self) -> None:
        """The engine's own heartbeat tells."""

    def close(self) -> None:
        """Nothing runs in the background."""
