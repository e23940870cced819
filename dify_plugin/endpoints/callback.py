"""A callback of the platform, passed on to the tool server as it is."""

from collections.abc import Mapping
from typing import Any

from werkzeug import Request, Response

from dify_plugin import Endpoint
from dify_plugin.relay import relay


class CallbackEndpoint(Endpoint):
    def _invoke(
        self, r: Request, values: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> Response:
        return relay(r, settings)
