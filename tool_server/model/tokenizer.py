"""Tokens and prompts in the web process: the checkpoint's tokenizer.json and chat template, without transformers."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from tool_server.errors import BadRequest
from tool_server.settings import SettingsError

# Where a chat template may stand, in this order.
TEMPLATE_FILE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"


class ChatTokenizer:
    """Messages to tokens, tokens to text."""

    def __init__(self, path: Path) -> None:
        """Read the checkpoint in `path`. Raises `SettingsError`."""
        if not (path / "tokenizer.json").is_file():
            raise SettingsError(
                f"SHENQIAO_MODEL_PATH: there is no tokenizer.json in {str(path)!r}."
            )
        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        config = _json(path / TOKENIZER_CONFIG)
        self._special = {name: _token(config.get(name)) for name in ("bos_token", "eos_token")}
        self._template = _template(path, config)
        self.context_tokens = int(_json(path / "config.json").get("max_position_embeddings", 2048))

    @property
    def vocabulary(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def render(self, messages: Sequence[Mapping[str, Any]], **options: Any) -> str:
        """The prompt's text. Raises `BadRequest` where the template refuses the messages."""
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=True,
                tools=None,
                **self._special,
                **options,
            )
        except (TemplateError, TypeError, ValueError) as error:
            reason = str(error)[:200]
            raise BadRequest(
                f"The model's chat template refuses these messages: {reason}", param="messages"
            ) from None

    def encode(self, prompt: str) -> list[int]:
        """Tokens of a rendered prompt; the template has set all special tokens already."""
        return list(self._tokenizer.encode(prompt, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))


def _template(path: Path, config: Mapping[str, Any]) -> Template:
    file = path / TEMPLATE_FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
    if isinstance(text, list):  # several named ones: the default is the one for chats
        text = next((entry["template"] for entry in text if entry["name"] == "default"), None)
    if not isinstance(text, str):
        raise SettingsError(
            f"SHENQIAO_MODEL_PATH: the model in {str(path)!r} has no chat template."
        )
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    environment.filters["tojson"] = lambda value, **options: json.dumps(
        value, ensure_ascii=False, **options
    )
    return environment.from_string(text)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _token(value: Any) -> str:
    """A special token stands in the file as text or as an object with its content."""
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    read = json.loads(path.read_text(encoding="utf-8"))
    return read if isinstance(read, dict) else {}
