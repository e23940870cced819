"""Which items share a forward: those of similar length, within a budget of tokens; used by the executor."""

from collections.abc import Iterable

from tool_server.model.aux.work import Item


def pack(items: Iterable[Item], budget: int) -> list[list[Item]]:
    """Batches whose padded size (longest item times their number) is at most `budget`; a longer item goes alone."""
    batches: list[list[Item]] = []
    for item in sorted(items, key=lambda item: item.length):  # so that little is padded
        last = batches[-1] if batches else []
        if last and item.length * (len(last) + 1) <= budget:
            last.append(item)
        else:
            batches.append([item])
    return batches
