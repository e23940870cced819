"""The provider: checks URL and key when their form is saved."""

from typing import Any

from models.served import check

from dify_plugin import ModelProvider


class PrivateDeepseekProvider(ModelProvider):
    def validate_provider_credentials(self, credentials: dict[str, Any]) -> None:
        check(credentials)
