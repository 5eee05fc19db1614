"""The settings of requests to receivers of webhooks, read once at each door."""

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from outbound.addresses import parse_allowed


class WebhookSettings(BaseSettings):
    """Where webhooks may go; each door's settings class inherits it."""

    model_config = SettingsConfigDict(
        env_prefix="NMTUNE_", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    webhook_allow_hosts: str = ""
    """`receiver:8080,10.0.0.5:9000`: where webhooks may go, beyond https on the public internet;
    also by plain http."""

    @field_validator("webhook_allow_hosts")
    @classmethod
    def _receivers(cls, text: str) -> str:
        parse_allowed(text)
        return text

    @property
    def webhook_hosts(self) -> frozenset[tuple[str, int]]:
        """(host, port) pairs that the operator allows."""
        return parse_allowed(self.webhook_allow_hosts)
