"""`/pictures/…`: what the app's tools have drawn; a key of the scope `knowledge`, as the tools' form has one."""

import base64
from typing import Annotated

from flask import Blueprint, Response, jsonify, request
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field

from tool_server.auth import Keys
from tool_server.errors import BadRequest
from tool_server.pictures.drawing import Drawing
from tool_server.pictures.marks import Units
from tool_server.settings import Settings

# Marks and boundaries around a picture.
FORM_BYTES = 256 * 1024
TITLE_CHARACTERS = 200


class RenderRequest(BaseModel):
    """Markdown, and what stands above it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[str, Field(min_length=1)]
    title: Annotated[str, Field(max_length=TITLE_CHARACTERS)] = ""


class AnnotateRequest(BaseModel):
    """The fields beside the picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    marks: Annotated[str, Field(min_length=1)]
    units: Units = "pixels"


def blueprint(settings: Settings, keys: Keys, registry: CollectorRegistry) -> Blueprint:
    """Both routes; they keep nothing of what they are sent."""
    routes = Blueprint("pictures", __name__, url_prefix="/pictures")
    drawing = Drawing(settings, registry)

    @routes.post("/annotate")
    def annotate() -> Response:
        keys.require("knowledge")
        request.max_content_length = settings.pictures_input_bytes + FORM_BYTES
        asked = AnnotateRequest.model_validate(request.form.to_dict())
        picture = request.files.get("picture")
        if picture is None:
            raise BadRequest("picture: send one picture.", param="picture")
        drawn = drawing.annotate(picture.read(), asked.marks, asked.units)
        return Response(drawn.files[0], mimetype=drawn.mime)

    @routes.post("/render")
    def render() -> Response:
        keys.require("knowledge")
        asked = RenderRequest.model_validate(request.get_json(force=True))
        drawn = drawing.render(asked.text, asked.title)
        pages = [base64.b64encode(page).decode() for page in drawn.files]
        return jsonify(pages=pages, type=drawn.mime, truncated=drawn.truncated)

    return routes
