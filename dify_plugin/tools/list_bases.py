"""The tool `list_bases`: which knowledge bases there are, and how large."""

from collections.abc import Generator
from typing import Any

from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.server import Server


class ListBasesTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        bases = Server.of(self.runtime.credentials).bases()
        yield self.create_variable_message("result", [base.model_dump() for base in bases])
        yield self.create_variable_message("count", len(bases))
        lines = (f"{one.name}: {one.documents} documents, {one.passages} passages" for one in bases)
        yield self.create_text_message("\n".join(lines))
