"""A bounded list that is read by name: bubbles by person, deliveries by message; used by `ledger`."""

from collections import deque


class Shelf[Item]:
    """Keeps the newest `bound` items over all names; not for several threads at once."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._all: deque[tuple[str, Item]] = deque()
        self._by_name: dict[str, deque[Item]] = {}

    def add(self, name: str, item: Item) -> None:
        self._all.append((name, item))
        self._by_name.setdefault(name, deque()).append(item)
        if len(self._all) > self._bound:
            self._drop_oldest()

    def of(self, name: str) -> list[Item]:
        """The items of one name, oldest first."""
        return list(self._by_name.get(name, ()))

    def everything(self) -> list[Item]:
        return [item for _, item in self._all]

    def newest(self, name: str) -> Item | None:
        items = self._by_name.get(name)
        return items[-1] if items else None

    def _drop_oldest(self) -> None:
        name, _ = self._all.popleft()
        items = self._by_name[name]
        items.popleft()
        if not items:
            del self._by_name[name]
