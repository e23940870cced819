"""The one fault of reading: a file that is refused, raised by the formats and by `Parser`."""


class Unreadable(Exception):
    """A file that is refused; the sentence says why, and what helps where something does."""
