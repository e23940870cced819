"""One module per surface: its limits and the verbs verify, decode, seal_reply, bodies, send."""

from collections.abc import Mapping

from tool_server.channel.surface import Surface
from tool_server.channel.surfaces import wecom_app

SURFACES: Mapping[str, Surface] = {"wecom_app": wecom_app}
