"""Every number of the platform that matters here, in one table, with the page of its documentation.

Pages are those of developer.work.weixin.qq.com/document/path/N. What the documentation leaves open is a setting.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The WeCom self-built app; each field can be set in the stand-in's configuration."""

    callback_s: float = 5.0  # 90238: no answer in this time, and the connection is cut
    check_s: float = 1.0  # 90238: the address check
    deliveries: int = 3  # 90238: "three retries in total" may mean 3 or 4
    gap_s: float = 1.0  # not documented: from a cut or failure to the next delivery
    text_bytes: int = 2048  # 90236: the rest is cut without a word
    receivers: int = 1000  # 90236: in touser
    token_s: float = 7200  # 91039: the same token inside this time
    wrong_secrets: int = 10  # 91039: "many" wrong ones, and the caller's address is banned
    ban_s: float = 3600  # 91039
    duplicate_s: int = 1800  # 90236: the default of duplicate_check_interval
    longest_duplicate_s: int = 14400  # 90236
    per_minute: int = 30  # 90236: to one member; more are dropped without a word
    per_hour: int = 1000  # 90236
    textcard_title_bytes: int = 128  # 90236: the rest is cut without a word
    textcard_text_bytes: int = 512
    menu_buttons: int = 3  # menu/create
    menu_sub_buttons: int = 5
    menu_name_bytes: int = 16
    menu_key_bytes: int = 128
    menu_url_bytes: int = 1024


@dataclass(frozen=True)
class CallLimits:
    """Calls of the API (90312), and how long a saved list of trusted addresses takes to work."""

    calls_per_minute: int = 10_000  # of one API
    blocked_s: float = 60.0
    trusted_after_s: float = 60.0


@dataclass(frozen=True)
class MediaLimits:
    """Media that are uploaded, and the addresses under which bots fetch what people sent (90253, 90254, 101033)."""

    least_bytes: int = 5  # more than this
    image_bytes: int = 10 * 1024 * 1024  # JPG, PNG
    voice_bytes: int = 2 * 1024 * 1024  # AMR
    video_bytes: int = 10 * 1024 * 1024  # MP4
    file_bytes: int = 20 * 1024 * 1024
    life_s: float = 3 * 86400
    address_s: float = 300.0

    def most_bytes(self, kind: str) -> int:
        return {
            "image": self.image_bytes,
            "voice": self.voice_bytes,
            "video": self.video_bytes,
        }.get(kind, self.file_bytes)


@dataclass(frozen=True)
class OAuthLimits:
    """Signing in (91022): where a browser may be sent back to, and how long and how many codes count."""

    trusted_domains: tuple[str, ...] = ()  # host[:port]
    code_s: float = 300.0
    codes: int = 10_000


@dataclass(frozen=True)
class CardLimits:
    """Cards with buttons (90236, 96458, and the SDK of the AI bot)."""

    buttons: int = 6
    task_bytes: int = 128
    key_bytes: int = 1024
    response_s: float = 72 * 3600


@dataclass(frozen=True)
class BotLimits:
    """The WeCom AI bot, by webhook and by long connection; each field can be set in the section `bot`."""

    callback_s: float = 5.0  # 100719: as the app's
    check_s: float = 1.0  # 101033
    deliveries: int = 3  # not documented how often a callback comes again
    gap_s: float = 1.0  # not documented
    content_bytes: int = 20480  # 101031: of a stream, and of a markdown message
    stream_s: float = 360.0  # 101031: from the person's message on
    refresh_s: float = 1.0  # not documented: from one refresh to the next
    in_interaction: int = 3  # 100719: messages of one person at once
    msg_items: int = 10  # 101031: pictures of a finished stream
    msg_item_bytes: int = 10 << 20  # 101031: of one picture
    feedback_bytes: int = 256  # 101031: of feedback.id
    event_s: float = 5.0  # 101138: welcome and card update
    response_url_s: float = 3600.0  # not documented
    response_url_uses: int = 1  # 101138
    # A line that begins so tells what is being done; the first real text takes its place. Agreed with the bots
    # that are tested here, no rule of the platform.
    progress_marks: tuple[str, ...] = ("⏳",)


@dataclass(frozen=True)
class BotSocketLimits:
    """The AI bot's long connection (101463); each field can be set in the section `bot_socket`."""

    content_bytes: int = 20480  # 101031: of a stream, and of a markdown message
    silence_s: float = 75.0  # a ping is due every 30 s; not documented when the platform gives up
    stream_s: float = 360.0  # from a stream's first frame
    reply_s: float = 86400.0  # from the callback
    event_s: float = 5.0  # welcome and card update
    per_minute: int = 30  # replies and pushes in one conversation
    per_hour: int = 1000
    subscribes_per_minute: int = 20  # "protected"; not documented how
    chunk_bytes: int = 512 * 1024
    chunks: int = 100
    upload_s: float = 1800.0
    uploads_per_minute: int = 30
    uploads_per_hour: int = 1000
    frame_bytes: int = 2 << 20


# What this program holds at most; no number of the platform.
ENTRIES = 50_000  # bubbles, deliveries and calls, each
MESSAGES = 20_000  # messages that can be delivered again
IN_FLIGHT = 2_000  # deliveries at once
COPIES = 20  # of one message at once
SCRIPTED = 1_000  # faults that wait for their calls
LONGEST_WAIT_S = 120.0  # somebody who waits for the next bubble
STREAMS = 20_000  # streams that are remembered


def cut(text: str, limit: int) -> str:
    """The text as it is shown: at most `limit` bytes, whole characters."""
    return text.encode()[:limit].decode(errors="ignore")
