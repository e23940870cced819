"""The tool `render_picture`: an answer as pictures, for chats that show no tables and cut long texts."""

from collections.abc import Generator
from typing import Any

from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.drawn import pages_of
from dify_plugin.server import Server, ServerError


class RenderPictureTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        text, title = (str(tool_parameters.get(name) or "").strip() for name in ("text", "title"))
        if not text:
            raise ServerError("text: it is empty.")
        answer = Server.of(self.runtime.credentials).render(text, title)
        pages = pages_of(answer, title)
        for page in pages:
            yield self.create_blob_message(page.data, meta=page.meta)
        yield self.create_variable_message("pages", len(pages))
        yield self.create_variable_message("truncated", "yes" if answer.truncated else "no")
        yield self.create_text_message(", ".join(page.name for page in pages))
