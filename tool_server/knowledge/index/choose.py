"""Which index this installation searches, by its settings."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry

from tool_server.errors import Unavailable
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.index import Index
from tool_server.knowledge.index.embedded import Embedded
from tool_server.settings import Settings

PROBE_S = 0.5  # the first call asks twice


def open_index(
    settings: Settings, catalogue: Catalogue, registry: CollectorRegistry | None = None
) -> Index:
    """Raises `SettingsError` where the settings of Elasticsearch do not fit together."""
    if settings.knowledge_backend == "embedded":
        return Embedded(settings.data_dir / "index", catalogue)
    from tool_server.knowledge.index.elastic import Elastic  # its client takes 0.3 s to import

    return Elastic(settings, registry)


def open_probe(settings: Settings) -> Callable[[], Mapping[str, object]] | None:
    """What `/health/ready` asks of an index that is elsewhere, in a second at most; None for the embedded one."""
    if not settings.knowledge_enabled or settings.knowledge_backend == "embedded":
        return None
    from tool_server.knowledge.index.elastic import Elastic

    index = Elastic(settings.model_copy(update={"knowledge_elasticsearch_timeout_s": PROBE_S}))

    def probe() -> Mapping[str, object]:
        try:
            applied = index.applied()
        except Unavailable as error:
            return {"ok": False, "state": error.message}
        return {"ok": True, "state": {"applied": applied}}

    return probe
