"""The prompt of one example, through the same chat template and the same messages that the workflow sends."""

from functools import cache

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from scripts.demo_model.examples import Example
from scripts.demo_model.tokenizer import CHAT_TEMPLATE

DOCUMENT = {"zh": "员工手册", "en": "Employee handbook"}


def render(example: Example) -> str:
    """The text that the model is given."""
    numbered = [
        f"[{number}] {DOCUMENT[topic.language]} › {topic.title}\n{topic.text}"
        for number, topic in enumerate(example.passages, start=1)
    ]
    system = "Answer from the passages.\n<passages>\n" + "\n".join(numbered) + "\n</passages>"
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": example.question},
    ]
    return str(_template().render(messages=messages))


@cache
def _template() -> Template:
    return ImmutableSandboxedEnvironment().from_string(CHAT_TEMPLATE)
