"""What a person may write to the assistant itself: /stop and the like, in Chinese and English; read by `compose`."""

STOP = ("/stop", "/停止")


def is_urgent(text: str) -> bool:
    """Whether a text is a command that concerns the answer on its way."""
    return text.strip().lower() in STOP
