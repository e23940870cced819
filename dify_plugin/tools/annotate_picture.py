"""The tool `annotate_picture`: boxes, arrows and captions over a picture."""

from collections.abc import Generator
from typing import Any

from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.drawn import drawn, marks_of
from dify_plugin.sending import fetched, files_of
from dify_plugin.server import Server


class AnnotatePictureTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        marks = marks_of(tool_parameters)
        picture = fetched(files_of(tool_parameters, "picture")[0], "picture")
        units = str(tool_parameters.get("units") or "pixels")
        answer = Server.of(self.runtime.credentials).annotate(picture, marks, units)
        shown = drawn(answer.body, answer.content_type, picture.name)
        yield self.create_blob_message(shown.data, meta=shown.meta)
        yield self.create_variable_message("filename", shown.name)
        yield self.create_variable_message("mime_type", shown.mime)
        yield self.create_text_message(shown.name)
