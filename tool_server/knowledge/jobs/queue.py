"""The jobs of ingestion: asked for, taken by one process, ended with a word why; each method is one transaction."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tool_server.database import Database
from tool_server.errors import Busy, NotFound
from tool_server.knowledge.jobs.job import ENDED, Item, Job, Kind, Request
from tool_server.knowledge.schema import job_items, jobs
from tool_server.owner import is_held
from tool_server.settings import Settings

# Rows that one statement may carry.
ROWS = 1000
RETRY_S = 10
CUT_OFF = "It was cut off {times} times at the same place{where}; look into the indexer's log."


@dataclass(frozen=True)
class NewItem:
    """A file that a job is asked to take."""

    location: str
    name: str
    size: int = 0
    path: str = ""


def owners_of(settings: Settings) -> Path:
    """The folder of locks of those who run jobs: beside the catalogue, so that who sees the one sees the other."""
    return settings.data_dir / "owners"


class Jobs:
    """All jobs of one catalogue; many processes may use it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._owners = owners_of(settings)

    def room(self) -> None:
        """Raises `Busy` where too many jobs wait."""
        self._database.read(self._check_room)

    def enqueue(
        self, base: str, kind: Kind, request: Request, items: Sequence[NewItem] = ()
    ) -> int:
        """A new job's number; the same folders twice, while they wait, are one job. Raises `Busy`."""

        def work(db: sa.Connection) -> int:
            row: dict[str, Any] = {"base": base, "kind": kind}
            row["request"] = request.model_dump_json()
            same = sa.select(jobs.c.id).where(jobs.c.state == "queued", jobs.c.scan.is_(True))
            same = same.where(*(jobs.c[name] == value for name, value in row.items()))
            if not items and (waiting := db.scalar(same)) is not None:
                return int(waiting)
            self._check_room(db)
            row |= {"state": "queued", "created_at": time.time()}
            number = int(db.execute(sa.insert(jobs).values(row).returning(jobs.c.id)).scalar_one())
            write_items(db, number, [(item, "read", None) for item in items])
            count(db, number)
            return number

        return self._database.write(work)

    def take(self, owner: str, number: int | None = None) -> Job | None:
        """The oldest job that waits, or the one of this number if it does: ours from now on."""

        def work(db: sa.Connection) -> Job | None:
            waiting = sa.select(jobs.c.id).where(jobs.c.state == "queued").order_by(jobs.c.id)
            if number is not None:
                waiting = waiting.where(jobs.c.id == number)
            found = db.scalar(waiting.limit(1))
            if found is None:
                return None
            now = time.time()
            change = sa.update(jobs).where(jobs.c.id == found)
            taken = {"state": "running", "owner": owner, "reason": "", "heartbeat_at": now}
            counted = {"attempts": jobs.c.attempts + 1, "stalled": jobs.c.stalled + 1}
            began = {"started_at": sa.func.coalesce(jobs.c.started_at, now), "finished_at": None}
            db.execute(change.values(**taken, **counted, **began))
            return _job(db, found)

        return self._database.write(work)

    def take_over(self, mine: str = "") -> list[int]:
        """Let jobs whose owner has died, and left-over ones of `mine`, wait again; their numbers."""
        found = sa.select(jobs.c.id, jobs.c.owner).where(jobs.c.state == "running")
        rows = self._database.read(lambda db: db.execute(found).all())
        lost = [
            (row.id, row.owner)
            for row in rows
            if row.owner == mine or not is_held(self._owners, row.owner)
        ]
        for number, owner in lost:
            self.put_back(number, owner)
        return [number for number, _ in lost]

    def put_back(self, number: int, owner: str, reason: str = "") -> None:
        """A job that `owner` did not end waits again; one that never gets further fails, and says where."""

        def work(db: sa.Connection) -> None:
            job = _job(db, number)
            if job is None or (job.state, job.owner) != ("running", owner):
                return
            if job.cancel:
                _end(db, number, "cancelled", "")
            elif not reason and job.stalled >= self._settings.knowledge_job_attempts:
                where = f", at {job.current!r}" if job.current else ""
                _end(db, number, "failed", CUT_OFF.format(times=job.stalled, where=where))
            else:
                waits: dict[str, Any] = {"state": "queued", "owner": "", "reason": reason}
                if reason:  # it was not the job's fault
                    waits |= {"stalled": 0, "attempts": jobs.c.attempts - 1}
                db.execute(sa.update(jobs).where(jobs.c.id == number).values(waits))

        self._database.write(work)

    def beat(self, number: int, owner: str, stage: str, current: str) -> bool:
        """Say what a running job is at; whether it is still ours and shall go on."""
        change = sa.update(jobs).where(
            jobs.c.id == number, jobs.c.owner == owner, jobs.c.state == "running"
        )
        now = {"heartbeat_at": time.time(), "stage": stage, "current": current}

        def work(db: sa.Connection) -> bool:
            db.execute(change.values(now))
            return goes_on(db, number, owner)

        return self._database.write(work)

    def end(self, number: int, owner: str, state: str, reason: str = "") -> None:
        """A running job of `owner` is over."""

        def work(db: sa.Connection) -> None:
            job = _job(db, number)
            if job is not None and (job.state, job.owner) == ("running", owner):
                _end(db, number, state, reason)

        self._database.write(work)

    def cancel(self, number: int) -> Job:
        """One that waits is cancelled at once, one that runs after its batch. Raises `NotFound`."""

        def work(db: sa.Connection) -> Job:
            job = _required(db, number)
            if job.state == "queued":
                _end(db, number, "cancelled", "")
            elif job.state == "running":
                db.execute(sa.update(jobs).where(jobs.c.id == number).values(cancel=True))
            return _required(db, number)

        return self._database.write(work)

    def retry(self, number: int) -> Job:
        """Refused and left-over files of a job that has ended wait again, and nothing else. Raises `NotFound`."""

        def work(db: sa.Connection) -> Job:
            job = _required(db, number)
            again = _items_of(number, ("refused", "cancelled", "waiting"))
            left = db.scalar(sa.select(sa.func.count()).select_from(again.subquery())) or 0
            if not job.ended or (not left and job.state == "done"):
                return job
            change = sa.update(job_items).where(job_items.c.job_id == number)
            change = change.where(job_items.c.state.in_(("refused", "cancelled")))
            db.execute(change.values(state="waiting", reason=""))
            waits = {"state": "queued", "owner": "", "cancel": False, "reason": "", "stalled": 0}
            change = sa.update(jobs).where(jobs.c.id == number)
            db.execute(change.values(**waits, scan=not left, finished_at=None))
            count(db, number)
            return _required(db, number)

        return self._database.write(work)

    def get(self, number: int) -> Job:
        """Raises `NotFound`."""
        return self._database.read(lambda db: _required(db, number))

    def newest(
        self, *, base: str = "", state: str = "", before: int | None = None, limit: int = 50
    ) -> list[Job]:
        """Jobs, the newest first."""
        found = sa.select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        for column, value in ((jobs.c.base, base), (jobs.c.state, state)):
            if value:
                found = found.where(column == value)
        if before is not None:
            found = found.where(jobs.c.id < before)
        rows = self._database.read(lambda db: db.execute(found).all())
        return [Job(**row._mapping) for row in rows]

    def items(
        self,
        number: int,
        *,
        states: Collection[str] = (),
        action: str = "",
        after: int = 0,
        limit: int = 100,
    ) -> list[Item]:
        """Files of a job after the item `after`, in their order."""
        found = _items_of(number, states).where(job_items.c.id > after)
        if action:
            found = found.where(job_items.c.action == action)
        rows = self._database.read(lambda db: db.execute(found.limit(limit)).all())
        return [Item(**row._mapping) for row in rows]

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        found = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
        return self._database.read(lambda db: {row[0]: row[1] for row in db.execute(found)})

    def prune(self) -> int:
        """Forget the oldest jobs that have ended, over the number that is remembered; how many there were."""
        kept = sa.select(jobs.c.id).where(jobs.c.state.in_(ENDED)).order_by(jobs.c.id.desc())
        kept = kept.limit(self._settings.knowledge_job_history)
        old = sa.delete(jobs).where(jobs.c.state.in_(ENDED), jobs.c.id.not_in(kept))
        return self._database.write(lambda db: db.execute(old).rowcount)

    def _check_room(self, db: sa.Connection) -> None:
        waiting = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state == "queued")
        if (db.scalar(waiting) or 0) >= self._settings.knowledge_queue_jobs:
            limit = self._settings.knowledge_queue_jobs
            raise Busy(f"{limit} jobs are waiting already; come back later.", retry_after=RETRY_S)


def goes_on(db: sa.Connection, number: int, owner: str) -> bool:
    """Whether a job is this owner's and nobody has cancelled it."""
    mine = sa.select(jobs.c.id).where(
        jobs.c.id == number, jobs.c.owner == owner, jobs.c.state == "running"
    )
    return db.scalar(mine.where(jobs.c.cancel.is_(False))) is not None


def write_items(
    db: sa.Connection, number: int, items: Sequence[tuple[NewItem, str, int | None]]
) -> None:
    """Add files to a job: each with its action and its row in `files`."""
    rows = [
        {
            "job_id": number,
            "location": item.location,
            "name": item.name,
            "path": item.path,
            "size": item.size,
            "action": action,
            "file_id": file_id,
        }
        for item, action, file_id in items
    ]
    for at in range(0, len(rows), ROWS):
        db.execute(sa.insert(job_items), rows[at : at + ROWS])


def count(db: sa.Connection, number: int) -> None:
    """A job's sums from what its files say."""
    waits = job_items.c.state == "waiting"
    refused = job_items.c.state == "refused"
    sums: Mapping[str, sa.ColumnElement[Any]] = {
        "files_total": sa.func.count(),
        "files_done": sa.func.sum(sa.case((waits, 0), else_=1)),
        "files_refused": sa.func.sum(sa.case((refused, 1), else_=0)),
        "documents": sa.func.sum(job_items.c.documents),
        "changed": sa.func.sum(job_items.c.changed),
        "withdrawn": sa.func.sum(job_items.c.withdrawn),
        "passages": sa.func.sum(job_items.c.passages),
        "bytes_total": sa.func.sum(job_items.c.size),
        "bytes_done": sa.func.sum(sa.case((waits, 0), else_=job_items.c.size)),
    }
    selected = sa.select(*(sa.func.coalesce(of, 0).label(name) for name, of in sums.items()))
    row = db.execute(selected.where(job_items.c.job_id == number)).one()
    db.execute(sa.update(jobs).where(jobs.c.id == number).values(**row._mapping))


def _items_of(number: int, states: Collection[str]) -> sa.Select[Any]:
    found = sa.select(job_items).where(job_items.c.job_id == number).order_by(job_items.c.id)
    return found.where(job_items.c.state.in_(states)) if states else found


def _job(db: sa.Connection, number: int) -> Job | None:
    row = db.execute(sa.select(jobs).where(jobs.c.id == number)).first()
    return None if row is None else Job(**row._mapping)


def _required(db: sa.Connection, number: int) -> Job:
    job = _job(db, number)
    if job is None:
        raise NotFound(f"There is no job {number}.")
    return job


def _end(db: sa.Connection, number: int, state: str, reason: str) -> None:
    if state == "cancelled":
        left = sa.update(job_items).where(
            job_items.c.job_id == number, job_items.c.state == "waiting"
        )
        db.execute(left.values(state="cancelled"))
    over = {"state": state, "reason": reason, "owner": "", "cancel": False, "current": ""}
    change = sa.update(jobs).where(jobs.c.id == number)
    db.execute(change.values(**over, stage="", finished_at=time.time()))
