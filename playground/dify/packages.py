"""Both packages with their credentials: the calls that Dify's API makes of the daemon; used by `runs`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.dify.plugin import Plugin

TOOL_TIMEOUT_S = 60.0
MODEL_TIMEOUT_S = 300.0
USER = "playground"


@dataclass(frozen=True)
class Session:
    """What the daemon tells a plugin of a call: Dify's ids of user, app, conversation and message."""

    user: str
    app: str
    conversation: str
    message: str

    def fields(self) -> dict[str, str]:
        return {
            "app_id": self.app,
            "conversation_id": self.conversation,
            "message_id": self.message,
        }


class Packages:
    """Package A (tools, endpoint) and package B (model); provider ids are Dify's full ones."""

    def __init__(
        self,
        tools_root: Path,
        model_root: Path,
        *,
        knowledge: Mapping[str, str],
        model: Mapping[str, str],
        logs: Path,
    ) -> None:
        self._knowledge = dict(knowledge)
        self._model = dict(model)
        self.tools = Plugin(tools_root, logs / "package-a.log")
        self.model = Plugin(model_root, logs / "package-b.log")

    def validate(self) -> None:
        """Save both forms: the packages check URL and key. Raises `PluginError` with the package's sentence."""
        tool = {"provider": "knowledge", "credentials": self._knowledge}
        model = {"provider": "private_deepseek", "credentials": self._model}
        checks = (
            (self.tools, {"type": "tool", "action": "validate_tool_credentials", **tool}),
            (self.model, {"type": "model", "action": "validate_provider_credentials", **model}),
        )
        for plugin, data in checks:
            list(plugin.call({"user_id": USER, **data}, timeout_s=TOOL_TIMEOUT_S))

    def invoke_tool(
        self, provider: str, tool: str, parameters: Mapping[str, Any], session: Session
    ) -> Iterator[dict[str, Any]]:
        """The tool's messages, as the SDK sends them."""
        data = {
            "type": "tool",
            "action": "invoke_tool",
            "user_id": session.user,
            "provider": provider.rpartition("/")[2],
            "tool": tool,
            "credentials": self._knowledge,
            "credential_type": "api-key",
            "tool_parameters": dict(parameters),
        }
        return self.tools.call(data, timeout_s=TOOL_TIMEOUT_S, session=session.fields())

    def invoke_model(
        self,
        provider: str,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        parameters: Mapping[str, Any],
        session: Session,
    ) -> Iterator[dict[str, Any]]:
        """The model's chunks, as the SDK sends them."""
        data = {
            "type": "model",
            "action": "invoke_llm",
            "user_id": session.user,
            "provider": provider.rpartition("/")[2],
            "model_type": "llm",
            "model": model,
            "credentials": self._model,
            "prompt_messages": list(messages),
            "model_parameters": dict(parameters),
            "stop": None,
            "tools": None,
            "stream": True,
        }
        return self.model.call(data, timeout_s=MODEL_TIMEOUT_S, session=session.fields())

    def model_schema(self, provider: str, model: str) -> dict[str, Any]:
        """What package B says of a model, features among it; empty where it knows none."""
        data = {
            "type": "model",
            "action": "get_ai_model_schemas",
            "user_id": USER,
            "provider": provider.rpartition("/")[2],
            "model_type": "llm",
            "model": model,
            "credentials": self._model,
        }
        (answer,) = self.model.call(data, timeout_s=TOOL_TIMEOUT_S)
        return dict(answer.get("model_schema") or {})

    def stop(self) -> None:
        self.tools.stop()
        self.model.stop()
