"""The tool `search`: one question in, passages as citations out."""

from collections.abc import Generator
from typing import Any

from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.citations import Citations
from dify_plugin.server import Question, Server


class SearchTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        question = Question.of(
            tool_parameters,
            app=self.session.app_id or "",
            conversation=self.session.conversation_id or "",
        )
        citations = Citations.of(Server.of(self.runtime.credentials).search(question))
        yield self.create_variable_message("result", citations.items)
        yield self.create_variable_message("context", citations.context)
        yield self.create_variable_message("found", citations.found)
        yield self.create_variable_message("language", question.language)
        yield self.create_text_message(citations.context)
