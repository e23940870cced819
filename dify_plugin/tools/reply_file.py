"""The tool `reply_file`: pictures and files for the person who asks, by the message's ticket."""

from collections.abc import Generator
from typing import Any

from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.sending import Place, fetched, files_of
from dify_plugin.server import Server


class ReplyFileTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        place = Place.of(
            tool_parameters,
            app=self.session.app_id or "",
            conversation=self.session.conversation_id or "",
        )
        server = Server.of(self.runtime.credentials)
        files = files_of(tool_parameters, "files")
        kept = [server.reply_file(place, fetched(file, "files")) for file in files]
        yield self.create_variable_message("sent", len(kept))
        yield self.create_variable_message("again", "yes" if all(k.again for k in kept) else "no")
        yield self.create_text_message(f"{len(kept)} of {len(files)} go out behind the answer.")
