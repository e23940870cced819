"""Owners: whose lock is free is dead, but only among those of the same folder of locks."""

import threading
from pathlib import Path

from tool_server.owner import OwnerLock, here, is_dead, new_owner


def test_an_owner_is_dead_once_its_lock_is_free(tmp_path: Path) -> None:
    owner = new_owner(tmp_path)
    lock = OwnerLock(tmp_path, owner)
    assert not is_dead(tmp_path, owner)
    lock.close()
    assert is_dead(tmp_path, owner)


def test_an_owner_of_another_node_with_the_same_machine_name_is_not_dead(tmp_path: Path) -> None:
    other, ours = tmp_path / "other", tmp_path / "ours"
    owner = new_owner(other)
    lock = OwnerLock(other, owner)
    assert not is_dead(ours, owner)
    lock.close()
    assert not is_dead(ours, owner), "only its lease tells"


def test_processes_that_begin_at_once_have_one_node(tmp_path: Path) -> None:
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(here(tmp_path))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 16
    assert len(set(names)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".node"]
