"""What graphon asks of its host: a tool runtime, a language model, a memory; made per run by `graph`."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphon.model_runtime.entities.common_entities import I18nObject
from graphon.model_runtime.entities.llm_entities import (
    LLMResultChunk,
    LLMResultChunkDelta,
    LLMResultChunkWithStructuredOutput,
    LLMUsage,
)
from graphon.model_runtime.entities.message_entities import (
    AssistantPromptMessage,
    PromptMessage,
    UserPromptMessage,
)
from graphon.model_runtime.entities.model_entities import (
    AIModelEntity,
    FetchFrom,
    ModelFeature,
    ModelPropertyKey,
    ModelType,
)
from graphon.nodes.tool.exc import ToolNodeError
from graphon.nodes.tool_runtime_entities import (
    ToolRuntimeHandle,
    ToolRuntimeMessage,
    ToolRuntimeParameter,
)

from playground.dify.nodes import Retrieve

CONTEXT_TOKENS = 32768
FEATURES = {feature.value for feature in ModelFeature}

# (provider, tool, parameters) → the SDK's messages; (provider, model, messages, parameters) → the SDK's chunks.
type ToolCall = Callable[[str, str, Mapping[str, Any]], Iterator[dict[str, Any]]]
type ModelCall = Callable[
    [str, str, list[dict[str, Any]], Mapping[str, Any]], Iterator[dict[str, Any]]
]


@dataclass(frozen=True)
class Calls:
    """What nodes call. Tool and model look between two parts of an answer whether anybody still wants it."""

    tool: ToolCall
    model: ModelCall
    features: Callable[[str, str], frozenset[str]]  # of a provider's model
    retrieve: Retrieve


class OutputParserError(Exception):
    """A model was to write an object and did not."""


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
        self, calls: Calls, provider: str, model_name: str, parameters: Mapping[str, Any]
    ) -> None:
        self._calls = calls
        self.provider = provider
        self.model_name = model_name
        self.parameters: Mapping[str, Any] = dict(parameters)
        self.stop: Sequence[str] | None = None

    def get_model_schema(self) -> AIModelEntity:
        """graphon leaves out pictures where there is no "vision", and refuses structured output without its feature."""
        features = self._calls.features(self.provider, self.model_name)
        return AIModelEntity(
            model=self.model_name,
            label=I18nObject(en_US=self.model_name),
            model_type=ModelType.LLM,
            features=[ModelFeature(name) for name in sorted(features & FEATURES)],
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
        for chunk in self._calls.model(self.provider, self.model_name, messages, model_parameters):
            yield LLMResultChunk.model_validate(chunk)

    def invoke_llm_with_structured_output(
        self,
        *,
        prompt_messages: Sequence[PromptMessage],
        json_schema: Mapping[str, Any],
        model_parameters: Mapping[str, Any],
        **_: Any,
    ) -> Generator[LLMResultChunkWithStructuredOutput, None, None]:
        """As Dify does: the schema goes as two parameters, and the text is read when it is whole."""
        schema = json.dumps(json_schema, ensure_ascii=False)
        asked = {**model_parameters, "response_format": "json_schema", "json_schema": schema}
        text: list[str] = []
        for chunk in self.invoke_llm(prompt_messages=prompt_messages, model_parameters=asked):
            text.append(chunk.delta.message.get_text_content())
            yield LLMResultChunkWithStructuredOutput.model_validate(chunk.model_dump())
        yield LLMResultChunkWithStructuredOutput(
            model=self.model_name,
            delta=LLMResultChunkDelta(index=len(text), message=AssistantPromptMessage(content="")),
            structured_output=_object("".join(text)),
        )

    def is_structured_output_parse_error(self, error: Exception) -> bool:
        return isinstance(error, OutputParserError)


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


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text.rpartition("</think>")[2])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OutputParserError("The model's text is no JSON object.")
    return found


def _value(setting: Any) -> Any:
    """A form parameter stands in the file as itself or as `{type, value}`."""
    return setting.get("value") if isinstance(setting, Mapping) else setting
