"""The tool `reply_card`: a card for the person who asks, by the message's ticket."""

from collections.abc import Generator
from typing import Any

from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.sending import Card, Place
from dify_plugin.server import Server


class ReplyCardTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        place = Place.of(
            tool_parameters,
            app=self.session.app_id or "",
            conversation=self.session.conversation_id or "",
        )
        kept = Server.of(self.runtime.credentials).reply(place, Card.of(tool_parameters))
        yield self.create_variable_message("sent", "yes")
        yield self.create_variable_message("again", "yes" if kept.again else "no")
        yield self.create_text_message("The card goes out behind the answer.")
