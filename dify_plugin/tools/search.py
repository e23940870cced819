"""The tool `search`: one question in, passages as citations out."""

from collections.abc import Generator
from typing import Any

from dify_plugin.entities import ParameterOption
from dify_plugin.entities.tool import ToolInvokeMessage

from dify_plugin import Tool
from dify_plugin.choices import bases_to_choose
from dify_plugin.citations import Citations
from dify_plugin.question import Question, budget_of, language_of
from dify_plugin.server import Server


class SearchTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        question = Question.of(
            tool_parameters,
            app=self.session.app_id or "",
            conversation=self.session.conversation_id or "",
        )
        budget = budget_of(tool_parameters)
        citations = Citations.of(Server.of(self.runtime.credentials).search(question), budget)
        for name, value in citations.variables().items():
            yield self.create_variable_message(name, value)
        yield self.create_variable_message("language", language_of(question.query))
        yield self.create_text_message(citations.context)

    def _fetch_parameter_options(self, parameter: str) -> list[ParameterOption]:
        return bases_to_choose(Server.of(self.runtime.credentials))
