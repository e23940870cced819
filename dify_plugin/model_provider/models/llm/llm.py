"""The language model: one SDK class that hands everything to `answers`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from dify_plugin.entities.model.llm import LLMResult, LLMResultChunk
from dify_plugin.entities.model.message import PromptMessage, PromptMessageTool
from dify_plugin.errors.model import CredentialsValidateFailedError, InvokeError
from models import answers
from models.openai_wire import ERRORS, ModelServer

from dify_plugin import LargeLanguageModel


class PrivateDeepseekLargeLanguageModel(LargeLanguageModel):
    def _invoke(self, model: str, credentials: dict[str, Any], prompt_messages: list[PromptMessage],
                model_parameters: dict[str, Any], tools: list[PromptMessageTool] | None = None,
                stop: list[str] | None = None, stream: bool = True, user: str | None = None,
                ) -> LLMResult | Generator[LLMResultChunk, None, None]:  # fmt: skip
        asked = answers.body(model, prompt_messages, model_parameters, stop, tools)
        chunks = answers.chunks(self, credentials, prompt_messages, asked)
        return chunks if stream else answers.joined(model, chunks)

    def get_num_tokens(self, model: str, credentials: dict[str, Any], prompt_messages: list[PromptMessage],
                       tools: list[PromptMessageTool] | None = None) -> int:  # fmt: skip
        return answers.estimate(prompt_messages)

    def validate_credentials(self, model: str, credentials: Mapping[str, Any]) -> None:
        try:
            ModelServer.of(credentials).models()
        except InvokeError as error:
            raise CredentialsValidateFailedError(str(error)) from None

    @property
    def _invoke_error_mapping(self) -> dict[type[InvokeError], list[type[Exception]]]:
        return ERRORS
