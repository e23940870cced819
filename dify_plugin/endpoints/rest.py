"""All other paths: pages of answers, the return from signing in, and paths that there are not."""

from collections.abc import Mapping
from typing import Any

from werkzeug import Request, Response

from dify_plugin import Endpoint
from dify_plugin.pages import rest


class RestEndpoint(Endpoint):
    def _invoke(
        self, r: Request, values: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> Response:
        return rest(r, str(values.get("path", "")), settings)
