"""The language model: one SDK class that hands everything to the modules beside it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dify_plugin.entities.model import ParameterRule
from dify_plugin.entities.model.llm import LLMResult, LLMResultChunk
from dify_plugin.entities.model.message import PromptMessage, PromptMessageTool
from models import answers, prompts, schema, tokens
from models.served import ServedModel

from dify_plugin import LargeLanguageModel


class PrivateDeepseekLargeLanguageModel(ServedModel, LargeLanguageModel):
    def _invoke(self, model: str, credentials: dict[str, Any], prompt_messages: list[PromptMessage],
                model_parameters: dict[str, Any], tools: list[PromptMessageTool] | None = None,
                stop: list[str] | None = None, stream: bool = True, user: str | None = None,
                ) -> LLMResult | Generator[LLMResultChunk, None, None]:  # fmt: skip
        asked = prompts.body(model, prompt_messages, model_parameters, stop, tools)
        chunks = answers.chunks(self, credentials, prompt_messages, tools, asked)
        return chunks if stream else answers.joined(model, chunks)

    def get_num_tokens(self, model: str, credentials: dict[str, Any], prompt_messages: list[PromptMessage],
                       tools: list[PromptMessageTool] | None = None) -> int:  # fmt: skip
        return tokens.of_prompt(prompt_messages, tools)

    def get_parameter_rules(self, model: str, credentials: dict[str, Any]) -> list[ParameterRule]:
        return schema.lenient(super().get_parameter_rules(model, credentials))
