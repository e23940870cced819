"""How a passage lies in Elasticsearch: names of indexes and aliases, the template, a passage's form; for `elastic`.

The cluster holds tokens, rights and metadata, not texts: those come from the catalogue, out of which an index can be
made again at any time. A change here needs another `SCHEMA`: indexes of an older one are built anew.
"""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tool_server.knowledge.document import StoredPassage, Value
from tool_server.knowledge.tokens import tokenize
from tool_server.knowledge.values import Stored, stored
from tool_server.settings import Settings

SCHEMA = 1
# Lucene takes terms of 32,766 bytes; a character has at most 4. Longer values are cut.
TERM_CHARACTERS = 8191
STATE = "state"  # id of the one document that is no passage


@dataclass(frozen=True)
class Names:
    """What belongs to one installation in a cluster that others use too."""

    prefix: str

    @property
    def read(self) -> str:
        """Alias that searches use."""
        return f"{self.prefix}_read"

    @property
    def write(self) -> str:
        """Alias that the writer uses."""
        return f"{self.prefix}_write"

    @property
    def template(self) -> str:
        return f"{self.prefix}_v{SCHEMA}"

    @property
    def pattern(self) -> str:
        """All indexes, of every schema."""
        return f"{self.prefix}_v*"

    def fresh(self, now: float) -> str:
        """A new index's name; the random end keeps two of one second apart."""
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
        return f"{self.prefix}_v{SCHEMA}_{stamp}_{os.urandom(2).hex()}"

    def is_ours(self, index: str) -> bool:
        return bool(re.fullmatch(re.escape(self.prefix) + r"_v\d+_\d{14}_[0-9a-f]{4}", index))


def template(names: Names, settings: Settings) -> dict[str, Any]:
    """The composable index template. One shard: document frequencies, and so the ranking, are counted per shard."""
    return {
        "index_patterns": [f"{names.template}_*"],
        "priority": 500,
        "allow_auto_create": False,  # a write to an index that was removed meanwhile fails
        "_meta": {"schema_version": SCHEMA},
        "template": {
            "settings": {
                "index": {
                    "number_of_shards": 1,
                    "auto_expand_replicas": "0-1",
                    "refresh_interval": "-1",  # a change is seen when the writer says so, whole
                    "mapping": {
                        "total_fields": {"limit": settings.knowledge_elasticsearch_total_fields}
                    },
                }
            },
            "mappings": MAPPINGS,
        },
    }


_KEYWORD = {"type": "keyword"}
_TOKENS = {"type": "text", "analyzer": "whitespace", "index_options": "freqs"}
MAPPINGS: Mapping[str, object] = {
    "_meta": {"schema_version": SCHEMA},
    "dynamic": False,
    "_source": {"excludes": ["content_tok", "title_tok", "meta"]},
    "properties": {
        "document": _KEYWORD,
        "base": _KEYWORD,
        "language": _KEYWORD,
        "access": _KEYWORD,
        "title": {"type": "keyword", "index": False, "doc_values": False},
        "content_tok": _TOKENS,
        "title_tok": _TOKENS,
        "meta": {  # `values.Stored`: key, text, folded, number, time as seconds since 1970
            "type": "nested",
            "dynamic": False,
            "properties": {
                "k": _KEYWORD,
                "s": {**_KEYWORD, "ignore_above": TERM_CHARACTERS},
                "f": {**_KEYWORD, "ignore_above": TERM_CHARACTERS},
                "n": {"type": "double"},
                "d": {"type": "double"},
            },
        },
        "state": {"type": "object", "enabled": False},
    },
}


def passage_form(
    passage: StoredPassage, metadata: Mapping[str, Value], keys: int
) -> dict[str, object]:
    """A passage as Elasticsearch takes it, with at most `keys` of its document's metadata."""
    values = list(stored(metadata).items())[:keys]
    return {
        "document": passage.document_id,
        "base": passage.base,
        "language": passage.language,
        "access": list(passage.access),
        "title": passage.title,
        "content_tok": " ".join(tokenize(passage.text)),
        "title_tok": " ".join(tokenize(passage.title)),
        "meta": [_value_form(name, value) for name, value in values],
    }


def _value_form(name: str, value: Stored) -> dict[str, object]:
    return {
        "k": name,
        "s": value.text[:TERM_CHARACTERS],
        "f": value.folded[:TERM_CHARACTERS],
        "n": value.number,
        "d": value.time,
    }
