"""Package B's small parts: what is refused before a request is made, and the estimate of tokens."""

import pytest
from dify_plugin.entities.model.message import (
    ImagePromptMessageContent,
    PromptMessageTool,
    TextPromptMessageContent,
    UserPromptMessage,
)
from dify_plugin.errors.model import InvokeBadRequestError
from models import answers


def test_pictures_and_tools_are_refused_with_a_sentence() -> None:
    picture = ImagePromptMessageContent(format="png", base64_data="x", mime_type="image/png")
    with pytest.raises(InvokeBadRequestError, match="text only"):
        answers.body("m", [UserPromptMessage(content=[picture])], {}, None, None)
    tool = PromptMessageTool(name="t", description="d", parameters={})
    with pytest.raises(InvokeBadRequestError, match="tools"):
        answers.body("m", [UserPromptMessage(content="q")], {}, None, [tool])


def test_parts_of_text_become_one_text() -> None:
    parts = [TextPromptMessageContent(data="a"), TextPromptMessageContent(data="b")]
    asked = answers.body(
        "m", [UserPromptMessage(content=parts)], {"top_k": 3, "top_p": 0.5}, ["x"], None
    )
    assert asked["messages"] == [{"role": "user", "content": "ab"}]
    assert (asked["top_p"], asked["stop"], "top_k" in asked) == (0.5, ["x"], False)


def test_the_estimate_grows_with_han_characters_more_than_with_letters() -> None:
    def estimate(text: str) -> int:
        return answers.estimate([UserPromptMessage(content=text)])

    assert estimate("") == 4
    assert estimate("年" * 100) == 64
    assert estimate("a" * 100) == 34
