"""Every sentence that a person in WeChat can see, in Chinese and English, in one place."""

from typing import Literal

Language = Literal["zh", "en"]

WORDS: dict[str, dict[Language, str]] = {
    "failed": {
        "zh": "抱歉，这个问题我暂时没能回答，请稍后再试。",
        "en": "Sorry, I could not answer this just now. Please try again a little later.",
    },
    "unreachable": {
        "zh": "抱歉，助手服务暂时连接不上，请稍后再试。",
        "en": "Sorry, the assistant cannot be reached right now. Please try again a little later.",
    },
    "misconfigured": {
        "zh": "抱歉，助手还没有配置好，请联系管理员。",
        "en": "Sorry, the assistant is not set up correctly yet. Please tell your administrator.",
    },
    "empty": {
        "zh": "抱歉，这次没有得到回答，请换个说法再问一次。",
        "en": "Sorry, no answer came back. Please put the question another way.",
    },
    "text_only": {
        "zh": "我目前只能读文字消息，请把问题用文字发给我。",
        "en": "I can only read text so far. Please write your question.",
    },
    "sources": {"zh": "来源：", "en": "Source: "},
    "list": {"zh": "；", "en": "; "},
    "ai_label": {"zh": "（内容由 AI 生成）", "en": "(AI-generated)"},
}


def say(name: str, language: Language) -> str:
    """The sentence `name` in `language`."""
    return WORDS[name][language]


def language_of(text: str, default: Language = "zh") -> Language:
    """Chinese where a text holds any Han character, English where it holds letters only."""
    if any("\u4e00" <= character <= "\u9fff" for character in text):
        return "zh"
    return (
        "en" if any(character.isascii() and character.isalpha() for character in text) else default
    )
