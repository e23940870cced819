"""What is to be done: the files that were found against those that are known; called by `run`.

A file is known by its location. Its source id is the name below its folder, as people know it; where another file of
the base has that name already, its folder's name comes before it.
"""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import sqlalchemy as sa

from tool_server.knowledge.jobs.job import Job, Request
from tool_server.knowledge.jobs.queue import NewItem, count, write_items
from tool_server.knowledge.jobs.scan import Found, Scan, is_below
from tool_server.knowledge.schema import files, job_items

# So few files may vanish all at once.
TRIVIAL = 10


class Refused(Exception):
    """The whole job is refused; nothing was changed."""


@dataclass
class Plan:
    """Files by what is to be done with each."""

    read: list[Found] = field(default_factory=list)
    unchanged: list[tuple[Found, int]] = field(
        default_factory=list
    )  # with their numbers of documents
    moved: list[tuple[Found, int]] = field(default_factory=list)  # with the ids of their rows
    vanished: list[sa.Row[Any]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)  # locations that were read before


def make(db: sa.Connection, job: Job, request: Request, found: Scan, recipe: str) -> Plan:
    """Compare what was found with what is known. Raises `Refused` where too much has vanished."""
    known = {
        row.location: row for row in db.execute(sa.select(files).where(files.c.base == job.base))
    }
    plan = Plan(refused=dict(found.refused))
    plan.known = [at for at, row in known.items() if row.hash]
    gone = [row for at, row in known.items() if at not in found.files and found.has_seen(at)]
    movable = {row.hash: row for row in gone if row.hash and row.recipe == recipe}
    sizes = {row.size for row in movable.values()}
    for at, file in found.files.items():
        row = known.get(at)
        if row is not None and _is_same(row, file, recipe):
            plan.unchanged.append((file, row.documents))
        elif row is None and file.size in sizes and (moved := movable.pop(_hash(at), None)):
            plan.moved.append((file, moved.id))
        else:
            plan.read.append(file)
    if request.delete:
        moved_ids = {number for _, number in plan.moved}
        plan.vanished = [row for row in gone if row.id not in moved_ids]
    return plan


def check_vanished(plan: Plan, found: Scan, request: Request, share: float) -> None:
    """Raises `Refused` where so many files of a folder have vanished that its disk is rather not there."""
    if request.force:
        return
    gone = [row.location for row in plan.vanished if row.hash]
    for folder in found.folders:
        known = sum(is_below(at, folder) for at in plan.known)
        lost = sum(is_below(at, folder) for at in gone)
        if known > TRIVIAL and lost > share * known:
            raise Refused(
                f"{lost} of {known} files of {folder!r} have vanished, more than {share:.0%}; nothing was changed."
                " Is their disk there? If they are meant to go, use --force."
            )


def write(db: sa.Connection, job: Job, plan: Plan | None) -> None:
    """Put the plan into the job, whose files are known already where there is none."""
    if plan is not None:
        _write_plan(db, job, plan)
    _adopt(db, job)
    count(db, job.id)


def _write_plan(db: sa.Connection, job: Job, plan: Plan) -> None:
    """What the job has done before stays; a file that changed since waits again."""
    held = {row.location: row for row in db.execute(_held(job.id))}
    names = Names(db, job.base)
    reading = [(_new(file), "read", names.row_of(file.location, file.name)) for file in plan.read]
    moving = [(_new(file), "move", number) for file, number in plan.moved]
    removing = [(NewItem(row.location, row.source_id), "remove", row.id) for row in plan.vanished]
    wanted = [*moving, *reading, *removing]
    _settle(db, held, plan, wanted)
    write_items(db, job.id, [entry for entry in wanted if entry[0].location not in held])
    _write_known(db, job.id, held, plan)


def _adopt(db: sa.Connection, job: Job) -> None:
    """Give the files of an upload, and pages, their rows in `files`; also where one was deleted meanwhile."""
    known = sa.select(files.c.id).where(files.c.id == job_items.c.file_id).exists()
    found = _held(job.id).where(job_items.c.state == "waiting", ~known)
    found = found.where(job_items.c.action == "read")
    names = Names(db, job.base)
    for row in db.execute(found).all():
        number = names.row_of(row.location, row.name)
        db.execute(sa.update(job_items).where(job_items.c.id == row.id).values(file_id=number))


class Names:
    """Rows in `files`, each with a source id that no other file of the base has."""

    def __init__(self, db: sa.Connection, base: str) -> None:
        self._db = db
        self._base = base
        found = db.execute(
            sa.select(files.c.location, files.c.source_id, files.c.id).where(files.c.base == base)
        ).all()
        self._ids = {row.location: int(row.id) for row in found}
        self._taken = {row.source_id for row in found}

    def row_of(self, location: str, name: str) -> int:
        """The id of the file's row, which is made where there is none."""
        number = self._ids.get(location)
        if number is None:
            row = {"base": self._base, "location": location, "source_id": self.free(location, name)}
            made = sa.insert(files).values(**row, updated_at=time.time()).returning(files.c.id)
            number = self._ids[location] = int(self._db.execute(made).scalar_one())
        return number

    def free(self, location: str, name: str) -> str:
        """Its name; with its folder's before it where that is taken; at last with a number made of its place."""
        root = location.removesuffix(name).rstrip("/:")
        name = name.replace("#", "%23")  # comes before the id of a line
        folder = PurePosixPath(root).name or "files"
        mark = hashlib.sha256(root.encode()).hexdigest()[:8]
        for candidate in (name, f"{folder}/{name}", f"{folder}-{mark}/{name}"):
            if candidate not in self._taken:
                self._taken.add(candidate)
                return candidate
        raise Refused(f"There are too many files with the name {name!r}.")


def hash_file(path: str) -> str:
    """SHA-256 of a file's bytes. Raises `OSError`."""
    with open(path, "rb") as file:  # noqa: PTH123  (`file_digest` wants the file itself)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(path: str) -> str:
    try:
        return hash_file(path)
    except OSError:
        return ""


def _is_same(row: sa.Row[Any], file: Found, recipe: str) -> bool:
    stat = (row.size, row.mtime_ns) == (file.size, file.mtime_ns)
    return stat and bool(row.hash) and row.recipe == recipe and not row.reason


def _new(file: Found) -> NewItem:
    return NewItem(file.location, file.name, file.size)


def _held(number: int) -> sa.Select[Any]:
    return sa.select(job_items).where(job_items.c.job_id == number)


def _settle(
    db: sa.Connection,
    held: dict[str, sa.Row[Any]],
    plan: Plan,
    wanted: Sequence[tuple[NewItem, str, int | None]],
) -> None:
    """Bring the job's files from an earlier attempt to this plan."""
    again = {item.location: (action, number) for item, action, number in wanted}
    for at, (action, number) in again.items():
        if at in held:
            waits = {"state": "waiting", "action": action, "file_id": number, "reason": ""}
            db.execute(sa.update(job_items).where(job_items.c.id == held[at].id).values(waits))
    same = {file.location for file, _ in plan.unchanged}
    lost = [
        row.id
        for at, row in held.items()
        if row.state == "waiting" and at not in again and at not in same
    ]
    _delete(db, lost)


def _write_known(db: sa.Connection, number: int, held: dict[str, sa.Row[Any]], plan: Plan) -> None:
    """What needs no work: files that are as they were, and what could not be looked at."""
    rows = [
        {"location": file.location, "name": file.name, "size": file.size}
        | {"state": "unchanged", "documents": documents, "reason": ""}
        for file, documents in plan.unchanged
    ]
    rows += [
        {"location": at, "name": at, "size": 0, "state": "refused", "documents": 0, "reason": why}
        for at, why in plan.refused.items()
    ]
    new = [
        {"job_id": number, "action": "read", **row} for row in rows if row["location"] not in held
    ]
    if new:
        db.execute(sa.insert(job_items), new)
    for row in rows:
        before = held.get(str(row["location"]))
        if before is not None and before.state == "waiting":
            db.execute(sa.update(job_items).where(job_items.c.id == before.id).values(row))


def _delete(db: sa.Connection, ids: Iterable[int]) -> None:
    for number in ids:
        db.execute(sa.delete(job_items).where(job_items.c.id == number))
