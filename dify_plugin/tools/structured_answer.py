"""The tool `structured_answer`: an object of a given shape, read out of a text by the private model."""

import json
from collections.abc import Generator
from typing import Any

from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.server import Server
from dify_plugin.structured import Wanted, answer


class StructuredAnswerTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        wanted = Wanted.of(tool_parameters)
        outcome = answer(Server.of(self.runtime.credentials), wanted)
        for name, value in outcome.variables().items():
            yield self.create_variable_message(name, value)
        yield self.create_text_message(json.dumps(outcome.result, ensure_ascii=False))
