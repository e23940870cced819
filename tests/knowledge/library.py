"""Documents put straight into a base, with rights, pages and metadata that no file of ours can carry."""

import json
from collections.abc import Mapping

from tool_server.auth import Keys
from tool_server.knowledge.bases import Profile
from tool_server.knowledge.cut import cut
from tool_server.knowledge.document import Document, Section, Value, document_id
from tool_server.knowledge.search import Knowledge


def put(knowledge: Knowledge, base: str, *documents: Document) -> None:
    """Stored and found at once."""
    limit = knowledge.settings.knowledge_passage_characters
    pieces = {one.source_id: cut(one, limit) for one in documents}
    with knowledge.index.writing(knowledge.catalogue) as writer:
        knowledge.catalogue.put(base, documents, pieces)
        writer.sync()


def note(
    source_id: str,
    text: str,
    *,
    title: str = "",
    url: str = "",
    metadata: Mapping[str, Value] | None = None,
    access: tuple[str, ...] = (),
) -> Document:
    """A document of one short section."""
    section = Section("", text)
    return Document(source_id, title or source_id, (section,), url, metadata or {}, access)


def close_base(knowledge: Knowledge, base: str, *access: str) -> None:
    """Only these rights open it from now on."""
    knowledge.catalogue.set_profile(base, Profile(access=access))


def id_of(base: str, source_id: str) -> str:
    return document_id(base, source_id)


def key_with(knowledge: Knowledge, *rights: str) -> str:
    """A new key of the scope `knowledge` that may see more than what is public."""
    Keys.load(knowledge.settings)  # makes the file
    path = knowledge.settings.data_dir / "keys.json"
    held = json.loads(path.read_text())
    secret = "sq-" + f"{len(held['keys']):040d}"
    name = f"key{len(held['keys'])}"
    row = {"name": name, "key": secret, "scopes": ["knowledge"], "rights": list(rights)}
    path.write_text(json.dumps({**held, "keys": [*held["keys"], row]}))
    return secret
