"""The provider: checks URL and key when their form is saved."""

from typing import Any

from dify_plugin.errors.model import CredentialsValidateFailedError, InvokeError
from models.openai_wire import ModelServer

from dify_plugin import ModelProvider


class PrivateDeepseekProvider(ModelProvider):
    def validate_provider_credentials(self, credentials: dict[str, Any]) -> None:
        try:
            ModelServer.of(credentials).models()
        except InvokeError as error:
            raise CredentialsValidateFailedError(str(error)) from None
