"""The words with which a customer asks for a human, and the marker with which an app does; for `compose`."""

from tool_server.channel.account import Account, WeComKf


def asked_for(text: str, account: Account) -> bool:
    """Whether this message of a customer wants a human."""
    said = text.strip().rstrip("。.!！").casefold()
    return isinstance(account, WeComKf) and said in {
        word.casefold() for word in account.human_words
    }


def split(text: str, account: Account) -> tuple[str, bool]:
    """An app's text without its marker, and whether the marker stood in it."""
    marker = account.human_marker if isinstance(account, WeComKf) else ""
    if not marker or marker not in text:
        return text, False
    return text.replace(marker, "").strip(), True
