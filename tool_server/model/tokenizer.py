"""Tokens and prompts in the web process: the checkpoint's tokenizer.json and chat template, without transformers."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, meta
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from tool_server.errors import BadRequest
from tool_server.model.text import CLOSE, OPEN
from tool_server.model.toolcalls import MARKS
from tool_server.settings import SettingsError

# Where a chat template may stand, in this order.
TEMPLATE_FILE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
# JSON can hold half a character; no tokenizer takes one.
HALF_CHARACTERS = re.compile("[\ud800-\udfff]")
WORD_JOINER = "\u2060"
SHOWN = frozenset({OPEN, CLOSE, *MARKS})


class ChatTokenizer:
    """Messages to tokens, tokens to text."""

    def __init__(self, path: Path, variable: str = "SHENQIAO_MODEL_PATH") -> None:
        """Read the checkpoint in `path`, which `variable` names. Raises `SettingsError`."""
        if not (path / "tokenizer.json").is_file():
            raise SettingsError(f"{variable}: there is no tokenizer.json in {str(path)!r}.")
        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        config = _json(path / TOKENIZER_CONFIG)
        self._special = {name: _token(config.get(name)) for name in ("bos_token", "eos_token")}
        self._template, self.knows_tools = _template(path, config, variable)
        self.think = self._pair(OPEN, CLOSE)
        decoder = _json(path / "tokenizer.json").get("decoder") or {}
        self.looks_back = decoder.get("type") != "ByteLevel"
        added = self._tokenizer.get_added_tokens_decoder()
        self._hidden = {
            token for token, known in added.items() if known.special and known.content not in SHOWN
        }
        self._marks = _marks(known.content for known in added.values())
        self.context_tokens = int(_json(path / "config.json").get("max_position_embeddings", 2048))

    @property
    def vocabulary(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> str:
        """The prompt's text. Raises `BadRequest` where the template refuses the messages."""
        fixed = {"messages": messages, "tools": tools, "add_generation_prompt": True}
        try:
            return self._template.render({**options, **self._special, **fixed})
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            reason = str(error)[:200]
            raise BadRequest(
                f"The model's chat template refuses these messages: {reason}", param="messages"
            ) from None

    def _pair(self, start: str, end: str) -> tuple[int, int] | None:
        """The tokens of two marks, where each is a single one."""
        first, last = self._tokenizer.token_to_id(start), self._tokenizer.token_to_id(end)
        return None if first is None or last is None else (first, last)

    def encode(self, prompt: str) -> list[int]:
        """Tokens of a rendered prompt; the template has set all special tokens already."""
        prompt = HALF_CHARACTERS.sub("\ufffd", prompt)
        return list(self._tokenizer.encode(prompt, add_special_tokens=False).ids)

    def defuse(self, text: str) -> str:
        """Text in which no mark of the chat template is one any more: what a person writes cannot end their message."""
        return self._marks.sub(lambda mark: mark[0][:-1] + WORD_JOINER + mark[0][-1], text)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, without the special ones; the marks of reasoning and tool calls stay, special or not."""
        shown = [token for token in tokens if token not in self._hidden]
        return str(self._tokenizer.decode(shown, skip_special_tokens=False))


def _marks(contents: Iterable[str]) -> re.Pattern[str]:
    """Finds the added tokens of a tokenizer that are marks, as all that stand in angle brackets are."""
    marks = sorted((text for text in contents if len(text) > 2 and text[0] == "<"), key=len)
    return re.compile("|".join(map(re.escape, reversed(marks))) or "(?!)")


def _template(path: Path, config: Mapping[str, Any], variable: str) -> tuple[Template, bool]:
    """The chat template, and whether it knows tools."""
    file = path / TEMPLATE_FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
    if isinstance(text, list):  # several named ones: the default is the one for chats
        text = next((entry["template"] for entry in text if entry["name"] == "default"), None)
    if not isinstance(text, str):
        raise SettingsError(f"{variable}: the model in {str(path)!r} has no chat template.")
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    environment.filters["tojson"] = lambda value, **options: json.dumps(
        value, ensure_ascii=False, **options
    )
    try:
        knows_tools = "tools" in meta.find_undeclared_variables(environment.parse(text))
        return environment.from_string(text), knows_tools
    except TemplateError as error:
        raise SettingsError(
            f"{variable}: the chat template in {str(path)!r} is wrong: {error}"
        ) from None


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
