"""The supervisor with its web process alone; the engine is somebody else's."""

import sys

from tool_server import supervisor

_children = supervisor._children


def children(*arguments: object) -> list[supervisor.Child]:
    return [child for child in _children(*arguments) if child.name == "web"]  # type: ignore[arg-type]


supervisor._children = children  # type: ignore[assignment]

if __name__ == "__main__":
    from tool_server.__main__ import main

    sys.argv[1:] = ["serve"]
    main()
