"""`POST /v1/moderations` in OpenAI's shape; the categories are the operator's and the guard model's."""

import secrets
from typing import Annotated, Any

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tool_server.auth import Keys
from tool_server.errors import NotFound
from tool_server.limits import Limits, estimate
from tool_server.model.moderation.service import Finding, Moderation

# Texts of one request, and characters of all of them together.
TEXTS = 64
CHARACTERS = 200_000


def _texts(value: object) -> list[str]:
    """OpenAI's three forms of input: one text, several, or parts of one. Raises `ValueError`."""
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(item, dict) for item in items):
        items = ["\n".join(_part(item) for item in items)]
    texts = [item for item in items if isinstance(item, str)]
    if not texts or len(texts) < len(items):
        raise ValueError("send a text, a list of texts or a list of text parts")
    if len(texts) > TEXTS or sum(map(len, texts)) > CHARACTERS:
        raise ValueError(f"at most {TEXTS} texts and {CHARACTERS} characters")
    return texts


def _part(part: object) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
    raise ValueError("only parts of the type text can be checked here")


class ModerationRequest(BaseModel):
    """The body of `POST /v1/moderations`."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = Field(None, max_length=128)
    input: Annotated[list[str], BeforeValidator(_texts)]


def blueprint(moderation: Moderation, keys: Keys, limits: Limits) -> Blueprint:
    """The route, with a key of the scope `model`."""
    routes = Blueprint("moderation", __name__, url_prefix="/v1")

    @routes.post("/moderations")
    def moderations() -> Response:
        key = keys.require("model")
        asked = ModerationRequest.model_validate(request.get_json(force=True))
        _require_model(moderation, asked.model)
        key.require_model(moderation.name)
        with limits.enter(key, estimate(request.get_data())):
            results = [_result(moderation.check(text)) for text in asked.input]
        body = {"id": f"modr-{secrets.token_hex(12)}", "model": moderation.name, "results": results}
        return jsonify(body)

    return routes


def _require_model(moderation: Moderation, name: str | None) -> None:
    """Nothing to check with is no model: a flag that is always false would look like a check."""
    if not moderation.available or name not in (None, moderation.name):
        reason = "is not served here" if moderation.available else "has no word list and no guard"
        raise NotFound(
            f"The model {(name or moderation.name)[:64]!r} {reason}.",
            code="model_not_found",
            param="model",
        )


def _result(finding: Finding) -> dict[str, Any]:
    return {
        "flagged": bool(finding.blocked),
        "categories": {name: name in finding.blocked for name in finding.scores},
        "category_scores": dict(finding.scores),
    }
