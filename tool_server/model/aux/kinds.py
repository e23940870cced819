"""The kinds of auxiliary models, and which of them this installation serves; read by all processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tool_server.settings import Settings, SettingsError

type Kind = Literal["embedding", "rerank", "speech", "guard"]
KINDS: tuple[Kind, ...] = get_args(Kind.__value__)


@dataclass(frozen=True)
class Served:
    """One auxiliary model: the name that clients use, and its folder."""

    kind: Kind
    name: str
    path: Path


def configured(settings: Settings) -> Mapping[Kind, Served]:
    """The kinds whose path is set."""
    served = (
        Served("embedding", settings.model_embedding_name, settings.model_embedding_path),
        Served("rerank", settings.model_rerank_name, settings.model_rerank_path),
        Served("speech", settings.model_speech_name, settings.model_speech_path),
        Served("guard", settings.model_guard_name, settings.model_guard_path),
    )
    return {entry.kind: entry for entry in served if entry.path != Path()}


def variable(kind: Kind) -> str:
    """The setting that names the folder of this kind."""
    return f"SHENQIAO_MODEL_{kind.upper()}_PATH"


def check(settings: Settings) -> Mapping[Kind, Served]:
    """The kinds that are served. Raises `SettingsError` where a folder holds no model."""
    served = configured(settings)
    for kind, entry in served.items():
        for name in ("config.json", "tokenizer.json"):
            if not (entry.path / name).is_file():
                raise SettingsError(
                    f"{variable(kind)}: there is no {name} in {str(entry.path)!r};"
                    " name a model's folder, or leave it empty."
                )
    return served
