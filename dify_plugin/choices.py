"""What a form offers to choose from, asked of the tool server while it is filled in; used by `tools/search`."""

from __future__ import annotations

from dify_plugin.entities import I18nObject, ParameterOption

from dify_plugin.question import ALL
from dify_plugin.server import Server


def bases_to_choose(server: Server) -> list[ParameterOption]:
    """All together, and each knowledge base that the key opens. Raises `ServerError`."""
    every = ParameterOption(
        value=ALL, label=I18nObject(en_US="All that may be seen", zh_Hans="所有可见的知识库")
    )
    return [every, *(_choice(base.name, base.documents) for base in server.bases())]


def _choice(name: str, documents: int) -> ParameterOption:
    label = I18nObject(
        en_US=f"{name} ({documents} documents)", zh_Hans=f"{name}（{documents} 篇文档）"
    )
    return ParameterOption(value=name, label=label)
