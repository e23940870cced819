"""Who asks: the part of a body that says it, the same for every route that Dify's tools call."""

from pydantic import BaseModel, ConfigDict, Field

from tool_server.key_file import Key
from tool_server.knowledge.door import rights_at
from tool_server.knowledge.rights import ResolveTicket


class Identified(BaseModel):
    """`app` and `conversation` say where the ticket is used; its first use binds it to them."""

    model_config = ConfigDict(extra="forbid")

    ticket: str | None = Field(None, max_length=200)
    app: str | None = Field(None, max_length=200)
    conversation: str | None = Field(None, max_length=200)

    def rights(self, key: Key, resolve: ResolveTicket) -> frozenset[str]:
        """What this request may see."""
        return rights_at(
            key,
            resolve,
            ticket=self.ticket or "",
            app=self.app or "",
            conversation=self.conversation or "",
        )
