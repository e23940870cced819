"""The provider of the knowledge tools: checks URL and key when their form is saved."""

from typing import Any

from dify_plugin.errors.tool import ToolProviderCredentialValidationError

from dify_plugin import ToolProvider
from dify_plugin.server import Server, ServerError


class KnowledgeProvider(ToolProvider):
    def _validate_credentials(self, credentials: dict[str, Any]) -> None:
        try:
            Server.of(credentials).check()
        except ServerError as error:
            raise ToolProviderCredentialValidationError(str(error)) from None
