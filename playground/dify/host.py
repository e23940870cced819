"""What graphon asks of its host: a tool runtime, a language model, a memory; made per run by `workflow`."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from graphon.model_runtime.entities.common_entities import I18nObject
from graphon.model_runtime.entities.llm_entities import LLMResultChunk, LLMUsage
from graphon.model_runtime.entities.message_entities import (
    AssistantPromptMessage,
    PromptMessage,
    UserPromptMessage,
)
from graphon.model_runtime.entities.model_entities import (
    AIModelEntity,
    FetchFrom,
    ModelPropertyKey,
    ModelType,
)
from graphon.nodes.tool.exc import ToolNodeError
from graphon.nodes.tool_runtime_entities import (
    ToolRuntimeHandle,
    ToolRuntimeMessage,
    ToolRuntimeParameter,
)

CONTEXT_TOKENS = 32768

# (provider, tool, parameters) → the SDK's messages; (provider, model, messages, parameters) → the SDK's chunks.
type ToolCall = Callable[[str, str, Mapping[str, Any]], Iterator[dict[str, Any]]]
type ModelCall = Callable[
    [str, str, list[dict[str, Any]], Mapping[str, Any]], Iterator[dict[str, Any]]
]


class ToolRuntime:
    """Runs tool nodes through the package."""

    def __init__(self, call: ToolCall) -> None:
        self._call = call

    def get_runtime(self, *, node_data: Any, **_: Any) -> ToolRuntimeHandle:
        return ToolRuntimeHandle(raw=node_data)

    def get_runtime_parameters(
        self, *, tool_runtime: ToolRuntimeHandle
    ) -> list[ToolRuntimeParameter]:
        """Every bound name: one that is not declared reaches the tool as None."""
        return [ToolRuntimeParameter(name=name) for name in tool_runtime.raw.tool_parameters]

    def invoke(
        self, *, tool_runtime: ToolRuntimeHandle, tool_parameters: Mapping[str, Any], **_: Any
    ) -> Generator[ToolRuntimeMessage, None, None]:
        node = tool_runtime.raw
        form = {name: _value(setting) for name, setting in node.tool_configurations.items()}
        try:
            for message in self._call(
                node.provider_id, node.tool_name, {**form, **tool_parameters}
            ):
                yield ToolRuntimeMessage.model_validate(message)
        except Exception as error:  # a node's failure is an outcome of the run, with its own branch
            raise ToolNodeError(str(error)) from error

    def get_usage(self, **_: Any) -> LLMUsage:
        return LLMUsage.empty_usage()

    def build_file_reference(self, **_: Any) -> Any:
        raise NotImplementedError("files are not offered here")


class LanguageModel:
    """Runs LLM nodes through the package."""

    def __init__(
        self, call: ModelCall, provider: str, model_name: str, parameters: Mapping[str, Any]
    ) -> None:
        self._call = call
        self.provider = provider
        self.model_name = model_name
        self.parameters: Mapping[str, Any] = dict(parameters)
        self.stop: Sequence[str] | None = None

    def get_model_schema(self) -> AIModelEntity:
        return AIModelEntity(
            model=self.model_name,
            label=I18nObject(en_US=self.model_name),
            model_type=ModelType.LLM,
            fetch_from=FetchFrom.PREDEFINED_MODEL,
            model_properties={ModelPropertyKey.CONTEXT_SIZE: CONTEXT_TOKENS},
        )

    def get_llm_num_tokens(self, prompt_messages: Sequence[PromptMessage]) -> int:
        return sum(len(message.get_text_content()) for message in prompt_messages)

    def invoke_llm(
        self,
        *,
        prompt_messages: Sequence[PromptMessage],
        model_parameters: Mapping[str, Any],
        **_: Any,
    ) -> Generator[LLMResultChunk, None, None]:
        messages = [message.model_dump(mode="json") for message in prompt_messages]
        for chunk in self._call(self.provider, self.model_name, messages, model_parameters):
            yield LLMResultChunk.model_validate(chunk)

    def invoke_llm_with_structured_output(self, **_: Any) -> Any:
        raise NotImplementedError("structured output is not offered here")

    def is_structured_output_parse_error(self, _error: Exception) -> bool:
        return False


class History:
    """The conversation so far, for nodes with a memory; the window counts turns."""

    def __init__(self, turns: Sequence[tuple[str, str]]) -> None:
        self._turns = turns

    def get_history_prompt_messages(
        self, max_token_limit: int = 2000, message_limit: int | None = None
    ) -> list[PromptMessage]:
        del max_token_limit
        turns = self._turns[-message_limit:] if message_limit else self._turns
        messages: list[PromptMessage] = []
        for query, answer in turns:
            messages += [UserPromptMessage(content=query), AssistantPromptMessage(content=answer)]
        return messages


class NoFiles:
    """Stands where graphon wants a file store; none of our files makes one."""

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(f"files are not offered here: {name}")


class PlainPrompt:
    """The prompt as node data, for the run's log."""

    def serialize(
        self, *, prompt_messages: Sequence[PromptMessage], **_: Any
    ) -> list[dict[str, Any]]:
        return [message.model_dump(mode="json") for message in prompt_messages]


def _value(setting: Any) -> Any:
    """A form parameter stands in the file as itself or as `{type, value}`."""
    return setting.get("value") if isinstance(setting, Mapping) else setting
