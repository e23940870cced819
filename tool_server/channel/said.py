"""One sentence for an operator, in both languages; what people in WeChat read stands in `tool_server.words`."""

from dataclasses import dataclass

from tool_server.words import Language


@dataclass(frozen=True)
class Said:
    """The sentence in English and in Chinese."""

    en: str = ""
    zh: str = ""

    def of(self, language: Language) -> str:
        return self.en if language == "en" else self.zh
