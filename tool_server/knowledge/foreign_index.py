"""An index of others that a base names: what is set for it (`bases.Profile`), and the connection to it."""

import json
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tool_server.knowledge.filters import matches
from tool_server.knowledge.question import Passage, Question
from tool_server.settings import Settings

if TYPE_CHECKING:
    from tool_server.knowledge.index.elastic_client import Connection

FIELDS = 20
HIGHEST_BOOST = 100.0
FILTER_CHARACTERS = 10_000
# Queries that run a script, or hide what they are.
REFUSED = frozenset({"script", "script_score", "wrapper"})
FIELD = r"[A-Za-z0-9_@-]+(?:\.[A-Za-z0-9_@-]+)*"

type FieldPath = Annotated[str, Field(pattern=rf"^(?:{FIELD})?$", max_length=200)]


def _boosts(given: object) -> object:
    """{"title": 3} or ["title^3", "content"], as Elasticsearch's own queries write it."""
    if not isinstance(given, list | tuple):
        return given
    found: dict[str, float] = {}
    for one in given:
        name, _, boost = str(one).partition("^")
        try:
            found[name] = float(boost or 1)
        except ValueError:
            raise ValueError(f"{name}^{boost[:20]}: after '^' comes a number") from None
    return found


def _check_fields(fields: dict[str, float]) -> dict[str, float]:
    for name, boost in fields.items():
        if not re.fullmatch(FIELD, name):
            raise ValueError(f"{name[:64]!r} is no name of a field")
        if not 0 < boost <= HIGHEST_BOOST:
            raise ValueError(f"{name}: a weight is above 0 and at most {HIGHEST_BOOST:.0f}")
    return fields


def _check_filter(query: dict[str, Any]) -> dict[str, Any]:
    """One query, small, without scripts. One that Elasticsearch does not take makes each search fail."""
    if len(query) != 1:
        raise ValueError('a filter is one query, as {"term": {"state": "published"}}')
    if len(json.dumps(query)) > FILTER_CHARACTERS:
        raise ValueError(f"a filter has at most {FILTER_CHARACTERS} characters")
    if refused := REFUSED & set(_keys(query)):
        raise ValueError(f"a filter may not have {min(refused)!r}")
    return query


def _keys(query: object) -> list[str]:
    if isinstance(query, dict):
        return [*query, *(key for value in query.values() for key in _keys(value))]
    if isinstance(query, list):
        return [key for value in query for key in _keys(value)]
    return []


class ForeignIndex(BaseModel):
    """An index or alias that exists already, which is only read; who may see the base may see all that the filter lets
    through. `id`, `title`, `content`, `url` and `page` are paths in a document; without `id` it is Elasticsearch's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,254}$")
    fields: Annotated[dict[str, float], BeforeValidator(_boosts), AfterValidator(_check_fields)] = (
        Field({"title": 3.0, "content": 1.0}, min_length=1, max_length=FIELDS)
    )
    type: Literal["best_fields", "most_fields"] = "best_fields"
    id: FieldPath = ""
    title: FieldPath = "title"
    content: FieldPath = Field("content", min_length=1)
    url: FieldPath = ""
    page: FieldPath = ""
    filter: Annotated[dict[str, Any], AfterValidator(_check_filter)] | None = None


class ForeignAccess:
    """The way to indexes of others: its connection is made when the first base asks for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def search(
        self, settings: Settings, question: Question, bases: Mapping[str, ForeignIndex]
    ) -> list[Passage]:
        """The best `top_k` passages of each of these bases. Raises `Unavailable`.

        Their documents have neither metadata nor language: a question that sets such a condition does not mean them.
        """
        unmet = question.filter is not None and not matches(question.filter, {})
        if not bases or unmet or question.language:
            return []
        from tool_server.knowledge.foreign import search_foreign  # its client takes 0.3 s to import

        connection = self._connect(settings)
        found = [
            passage
            for name, foreign in bases.items()
            for passage in search_foreign(connection, name, foreign, question.query, question.top_k)
        ]
        return [passage for passage in found if passage.score >= question.threshold]

    def _connect(self, settings: Settings) -> "Connection":
        from tool_server.knowledge.index.elastic_client import Connection

        with self._lock:
            if self._connection is None:
                key = settings.knowledge_foreign_api_key.get_secret_value()
                self._connection = Connection(settings, api_key=key)
            return self._connection
