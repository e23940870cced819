"""What all five model types share: the check of a form, the figures from the tool server, errors, no prices."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dify_plugin.entities.model import AIModelEntity, PriceInfo, PriceType
from dify_plugin.errors.model import CredentialsValidateFailedError, InvokeError
from dify_plugin.interfaces.model.ai_model import AIModel
from models import catalogue, faults, schema
from models.openai_wire import ModelServer
from models.shapes import Model

FREE = Decimal(0)


class ServedModel(AIModel):
    """The first base of each class that Dify loads; the second is the SDK's class of the type."""

    def validate_credentials(self, model: str, credentials: Mapping[str, Any]) -> None:
        check(credentials, model=model, kind=self.model_type.value)

    def get_model_schema(
        self, model: str, credentials: Mapping[str, Any] | None = None
    ) -> AIModelEntity | None:
        """For a predefined model too, the server's figures go before those of its file, as long as it can be asked."""
        described = super().get_model_schema(model, None)
        if described is None or not credentials:
            return described or super().get_model_schema(model, credentials)
        try:
            return schema.adjusted(described, self._find(model, credentials))
        except InvokeError:
            return described

    def get_customizable_model_schema(
        self, model: str, credentials: Mapping[str, Any]
    ) -> AIModelEntity | None:
        """Raises an `InvokeError` for a model that is not served: Dify would keep any answer for an hour."""
        if not self.model_schemas:
            return None
        return schema.customized(self.model_schemas[0], self._find(model, credentials))

    def get_price(
        self, model: str, credentials: Mapping[str, Any], price_type: PriceType, tokens: int
    ) -> PriceInfo:
        """One's own machine has no price list."""
        return PriceInfo(unit_price=FREE, unit=FREE, total_amount=FREE, currency="USD")

    @property
    def _invoke_error_mapping(self) -> dict[type[InvokeError], list[type[Exception]]]:
        return faults.ERRORS

    def _transform_invoke_error(self, error: Exception) -> InvokeError:
        """The SDK would put a sentence of its own before ours, or in its place."""
        return faults.of_ours(error)

    def _find(self, model: str, credentials: Mapping[str, Any]) -> Model:
        with faults.guarded():
            server = ModelServer.of(credentials)
            return catalogue.catalogue().find(server, model, self.model_type.value)


def check(
    credentials: Mapping[str, Any], *, model: str | None = None, kind: str | None = None
) -> None:
    """URL and key, and that a model of this Dify type is served. Raises `CredentialsValidateFailedError`."""
    try:
        models = ModelServer.of(credentials).check()
        if model is not None and kind is not None:
            catalogue.pick(models, model, kind)
    except Exception as error:  # the rim: its text would stand under the form
        raise CredentialsValidateFailedError(str(faults.of_ours(error))) from None
