"""Error codes of the long connection. 846605, 846608 and 45009 are documented; the others are this program's choice."""

OK = 0
BAD_REQ_ID = 846605
STREAM_EXPIRED = 846608
TOO_MANY = 45009
BAD_SECRET = 40001
NOT_SUBSCRIBED = 40014
BAD_BODY = 40058
BAD_MEDIA = 40007
NEVER_WROTE = 81013
UNKNOWN_COMMAND = 40016

MESSAGES = {
    OK: "ok",
    BAD_REQ_ID: "invalid req_id",
    STREAM_EXPIRED: "stream expired",
    TOO_MANY: "api freq out of limit",
    BAD_SECRET: "invalid bot_id or secret",
    NOT_SUBSCRIBED: "not subscribed",
    BAD_BODY: "invalid parameter",
    BAD_MEDIA: "invalid media_id",
    NEVER_WROTE: "the user has not written to this bot",
    UNKNOWN_COMMAND: "unknown command",
}


def text(code: int) -> str:
    """The sentence that goes with a code."""
    return MESSAGES.get(code, "by script")
