"""The moderation model: one SDK class that asks the tool server."""

from __future__ import annotations

from typing import Any

from models.openai_wire import ModelServer
from models.served import ServedModel

from dify_plugin import ModerationModel


class PrivateModerationModel(ServedModel, ModerationModel):
    def _invoke(
        self, model: str, credentials: dict[str, Any], text: str, user: str | None = None
    ) -> bool:
        return bool(text.strip()) and ModelServer.of(credentials).moderate(model, text).flagged
