"""The status page, for whoever sets the endpoint up."""

from collections.abc import Mapping
from typing import Any

from werkzeug import Request, Response

from dify_plugin import Endpoint
from dify_plugin.pages import status


class StatusEndpoint(Endpoint):
    def _invoke(
        self, r: Request, values: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> Response:
        return status(r, settings)
