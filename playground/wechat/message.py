"""What people send: messages and events with the fields that the platform gives them (90239, 90240)."""

import time
from dataclasses import dataclass

# What each kind of message carries besides the common fields.
MESSAGES: dict[str, dict[str, str]] = {
    "text": {},
    "image": {"PicUrl": "https://example.com/p.jpg", "MediaId": "media-1"},
    "voice": {"MediaId": "media-2", "Format": "amr"},
    "video": {"MediaId": "media-3", "ThumbMediaId": "media-4"},
    "location": {
        "Location_X": "31.2",
        "Location_Y": "121.5",
        "Scale": "16",
        "Label": "上海",
        "AppType": "wxwork",
    },
    "link": {"Title": "t", "Description": "d", "Url": "https://example.com", "PicUrl": ""},
}
EVENTS: dict[str, dict[str, str]] = {
    "subscribe": {},
    "unsubscribe": {},
    "enter_agent": {"EventKey": ""},
    "click": {"EventKey": "help"},
    "view": {"EventKey": "https://example.com"},
    "template_card_event": {
        "EventKey": "like",
        "TaskId": "task-1",
        "CardType": "button_interaction",
        "ResponseCode": "code-1",
    },
    "change_contact": {"ChangeType": "update_user"},
    "LOCATION": {"Latitude": "31.2", "Longitude": "121.5", "Precision": "65", "AppType": "wxwork"},
}
KINDS = {**MESSAGES, **EVENTS}


@dataclass(frozen=True)
class Message:
    """One message, or one event, of one person."""

    id: str
    user: str
    kind: str
    text: str
    created_at: int
    more: tuple[tuple[str, str], ...] = ()  # inner fields that are other than the usual ones

    @property
    def is_event(self) -> bool:
        return self.kind in EVENTS

    def fields(self) -> dict[str, str]:
        """The inner fields but for the receiver's two. Events have no MsgId."""
        common = {"FromUserName": self.user, "CreateTime": str(self.created_at)}
        if self.is_event:
            return {
                **common,
                "MsgType": "event",
                "Event": self.kind,
                **EVENTS[self.kind],
                **dict(self.more),
            }
        content = {"Content": self.text} if self.kind == "text" else {}
        kind = {"MsgType": self.kind, **MESSAGES[self.kind], **dict(self.more)}
        return {**common, **kind, **content, "MsgId": self.id}


def new_message(
    number: int, user: str, kind: str, text: str, more: tuple[tuple[str, str], ...] = ()
) -> Message:
    """MsgIds are 64-bit numbers."""
    msg_id = str(7_000_000_000_000_000_000 + number)
    return Message(msg_id, user, kind, text, int(time.time()), more)
