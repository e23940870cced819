"""The tool `document_text`: a document that a search found, read whole or part by part."""

from collections.abc import Generator
from typing import Any

from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.question import DocumentQuestion
from dify_plugin.quote import quoted
from dify_plugin.server import Server


class DocumentTextTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        question = DocumentQuestion.of(
            tool_parameters,
            app=self.session.app_id or "",
            conversation=self.session.conversation_id or "",
        )
        part = Server.of(self.runtime.credentials).document(question)
        content = quoted(1, part.title, part.text) if part.text else ""
        yield self.create_variable_message("content", content)
        yield self.create_variable_message("title", part.title)
        yield self.create_variable_message("url", part.url)
        yield self.create_variable_message("truncated", "yes" if part.truncated else "no")
        yield self.create_variable_message("next_offset", part.next_offset or 0)
        yield self.create_text_message(content)
