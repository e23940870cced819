"""One module per surface: its limits and the verbs verify, decode, seal_reply, bodies, send."""

from collections.abc import Mapping

from tool_server.channel.surface import StreamSurface, Surface
from tool_server.channel.surfaces import wecom_app, wecom_bot, wecom_bot_socket, wecom_kf

SURFACES: Mapping[str, Surface] = {
    "wecom_app": wecom_app,
    "wecom_bot": wecom_bot,
    "wecom_kf": wecom_kf,
    "wecom_bot_socket": wecom_bot_socket,
}
# Those whose callbacks are answered with streams.
STREAMS: Mapping[str, StreamSurface] = {"wecom_bot": wecom_bot}
