"""Ingestion's routes: uploads and pages become jobs, jobs are shown, documents are listed and taken back."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

import structlog
from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.formparser import FormDataParser

from tool_server import wake
from tool_server.auth import Keys
from tool_server.errors import BadRequest, Busy, TooLarge, Unavailable
from tool_server.knowledge.jobs import pages, uploads
from tool_server.knowledge.jobs.documents import delete_document, list_documents
from tool_server.knowledge.jobs.job import About, Job, Request, check_base
from tool_server.knowledge.jobs.queue import Jobs, NewItem
from tool_server.knowledge.jobs.uploads import Upload
from tool_server.knowledge.repair import INDEXER
from tool_server.knowledge.search import Knowledge
from tool_server.settings import Settings

log = structlog.get_logger()

# What a form has beside its files.
FORM_MEMORY = 256 * 1024
EVENT_S = 0.5
# Each holds a thread of the web process.
EVENT_STREAMS = 16
RETRY_S = 5


class Paging(BaseModel):
    """Which part of a list; `after` and `before` are what the last part ended with."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000)
    after: str = Field("", max_length=500)


class JobsAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    base: str = Field("", max_length=64)
    state: Literal["", "queued", "running", "done", "failed", "cancelled"] = ""
    before: int | None = None
    limit: int = Field(50, ge=1, le=500)


class ItemsAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    outcome: Literal[
        "", "waiting", "indexed", "unchanged", "moved", "withdrawn", "refused", "cancelled"
    ] = ""
    after: int = 0
    limit: int = Field(100, ge=1, le=1000)


class DocumentsAsked(Paging):
    state: Literal["", "indexed", "refused"] = ""


class UrlsAsked(BaseModel):
    """The body of a list of pages."""

    model_config = ConfigDict(extra="forbid")

    urls: list[str] = Field(min_length=1)
    about: About = Field(default_factory=About)


def blueprint(knowledge: Knowledge, keys: Keys) -> Blueprint:
    """`/knowledge/bases/<base>/…` and `/knowledge/jobs…`, with a key of the scope `editor`."""
    routes = Blueprint("jobs", __name__)
    door = _Door(knowledge)

    @routes.before_request
    def guard() -> None:
        keys.require("editor")

    _base_routes(routes, door, knowledge.settings)
    _job_routes(routes, door)
    return routes


def _base_routes(routes: Blueprint, door: "_Door", settings: Settings) -> None:
    """What comes into a base, and what is in it."""

    @routes.post("/bases/<base>/files")
    def upload(base: str) -> tuple[Response, int]:
        check_base(base)
        return _accepted(door.upload(base))

    @routes.post("/bases/<base>/urls")
    def fetch(base: str) -> tuple[Response, int]:
        check_base(base)
        asked = UrlsAsked.model_validate(request.get_json(force=True))
        return _accepted(door.fetch(base, asked))

    @routes.get("/bases/<base>/documents")
    def documents(base: str) -> Response:
        check_base(base)
        asked = DocumentsAsked.model_validate(request.args.to_dict())
        found = list_documents(
            door.database, base, state=asked.state, after=asked.after, limit=asked.limit
        )
        after = found[-1].source_id if len(found) == asked.limit else None
        return jsonify(documents=[document.as_json() for document in found], after=after)

    @routes.delete("/documents/<document>")
    def remove(document: str) -> Response:
        gone = delete_document(door.database, document)
        if gone.file_id is not None:
            uploads.forget(settings, gone.base, gone.file_id)
        door.ring()
        return jsonify(deleted=document)


def _job_routes(routes: Blueprint, door: "_Door") -> None:
    """The jobs: shown, cancelled, retried, followed."""

    @routes.get("/jobs")
    def jobs() -> Response:
        asked = JobsAsked.model_validate(request.args.to_dict())
        door.jobs.take_over()
        found = door.jobs.newest(
            base=asked.base, state=asked.state, before=asked.before, limit=asked.limit
        )
        before = found[-1].id if len(found) == asked.limit else None
        return jsonify(jobs=[job.as_json() for job in found], before=before)

    @routes.get("/jobs/<int:number>")
    def job(number: int) -> Response:
        asked = ItemsAsked.model_validate(request.args.to_dict())
        door.jobs.take_over()
        found = door.jobs.get(number)
        states = (asked.outcome,) if asked.outcome else ()
        items = door.jobs.items(number, states=states, after=asked.after, limit=asked.limit)
        after = items[-1].id if len(items) == asked.limit else None
        shown = [item.as_json() for item in items]
        return jsonify(job=found.as_json(), files=shown, after=after)

    @routes.post("/jobs/<int:number>/cancel")
    def cancel(number: int) -> tuple[Response, int]:
        return _accepted(door.jobs.cancel(number))

    @routes.post("/jobs/<int:number>/retry")
    def retry(number: int) -> tuple[Response, int]:
        found = door.jobs.retry(number)
        door.ring()
        return _accepted(found)

    @routes.get("/jobs/<int:number>/events")
    def events(number: int) -> Response:
        return Response(door.events(number), content_type="text/event-stream")


class _Door:
    """What the routes share: the jobs, and how many streams of events there are."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._settings = knowledge.settings
        self.database = knowledge.catalogue.database
        self.jobs = Jobs(knowledge.settings, self.database)
        self._streams = threading.BoundedSemaphore(EVENT_STREAMS)

    def ring(self) -> None:
        wake.ring(self._settings.run_dir, INDEXER)

    def upload(self, base: str) -> Job:
        """Files and job are on disk when this returns. Raises `Busy`, `TooLarge`, `BadRequest`, `Unavailable`."""
        self.jobs.room()
        upload = Upload(self._settings)
        try:
            form = self._read_form(upload)
            about = _about(form)
            items = upload.items(uploads.clean_prefix(form.get("prefix", "")))
            if not items:
                raise BadRequest("files: send at least one file.", param="files")
            if about.title and len(items) > 1:
                raise BadRequest("title: for one file only.", param="title")
            number = self.jobs.enqueue(base, "upload", Request(about=about), items)
            upload.hand_over()
        except OSError as error:
            log.error("upload.failed", exc_info=error)
            raise Unavailable("The upload cannot be written to disk.") from None
        finally:
            upload.close()
        self.ring()
        return self.jobs.get(number)

    def _read_form(self, upload: Upload) -> dict[str, str]:
        """The form's fields; its files go straight to where they are kept."""
        if request.mimetype != "multipart/form-data":
            raise BadRequest("Send a multipart form with `files`.", param="files")
        limit = self._settings.knowledge_upload_limit
        if (request.content_length or 0) > limit:
            raise TooLarge(f"An upload may have {limit} bytes.", param="files")
        request.max_content_length = limit
        parser = FormDataParser(
            stream_factory=_into(upload),
            max_form_memory_size=FORM_MEMORY,
            max_content_length=limit,
            max_form_parts=self._settings.knowledge_upload_files + len(FIELDS),
            silent=False,
        )
        try:
            _, form, _ = parser.parse(
                request.stream,
                request.mimetype,
                request.content_length,
                request.mimetype_params,
            )
        except ValueError:
            raise BadRequest("The body is no multipart form.", param="files") from None
        for name in form:
            if name not in FIELDS:
                raise BadRequest(f"{name[:64]}: there is no such field.", param=name[:64])
        return form.to_dict()

    def fetch(self, base: str, asked: UrlsAsked) -> Job:
        """Raises `BadRequest`, `Forbidden` and `Busy`."""
        items = [NewItem(url, url) for url in pages.check_urls(self._settings, asked.urls)]
        number = self.jobs.enqueue(base, "urls", Request(about=asked.about), items)
        self.ring()
        return self.jobs.get(number)

    def events(self, number: int) -> Iterator[str]:
        """The job each time that it has changed, until it has ended or the time is over. Raises `NotFound`, `Busy`."""
        self.jobs.get(number)
        if not self._streams.acquire(blocking=False):
            raise Busy(f"{EVENT_STREAMS} streams are open already.", retry_after=RETRY_S)
        return _Events(self._job_events(number), self._streams.release)

    def _job_events(self, number: int) -> Iterator[str]:
        deadline = time.monotonic() + self._settings.knowledge_job_events_s
        before = ""
        while True:
            job = self.jobs.get(number)
            body = json.dumps(job.as_json(), ensure_ascii=False)
            yield ": \n\n" if body == before else f"event: job\ndata: {body}\n\n"
            before = body
            if job.ended or time.monotonic() > deadline:
                return
            time.sleep(EVENT_S)


class _Events:
    """Events with a place. No generator: one that was never begun would not give its place back."""

    def __init__(self, events: Iterator[str], leave: Callable[[], None]) -> None:
        self._events = events
        self._leave = leave

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._events)

    def close(self) -> None:
        """Called by the WSGI server, once, however the answer ended."""
        leave, self._leave = self._leave, lambda: None
        leave()


FIELDS = ("access", "metadata", "title", "url", "prefix")


def _about(form: dict[str, str]) -> About:
    """What the form says about its files. Raises `BadRequest` and `ValidationError`."""
    try:
        metadata = json.loads(form.get("metadata") or "{}")
    except (ValueError, RecursionError):
        raise BadRequest("metadata: not JSON.", param="metadata") from None
    access = [right.strip() for right in form.get("access", "").split(",") if right.strip()]
    texts = {name: form.get(name, "") for name in ("title", "url")}
    return About.model_validate({"access": access, "metadata": metadata, **texts})


def _into(upload: Upload) -> Callable[..., BinaryIO]:
    """What the form's parser calls for each file, by its name."""

    def open_file(
        total_content_length: int | None = None,
        content_type: str | None = None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> BinaryIO:
        del total_content_length, content_type, content_length
        return upload.open(filename or "")

    return open_file


def _accepted(job: Job) -> tuple[Response, int]:
    return jsonify(job=job.as_json()), 202
