"""The provider settings that API and worker share, read once at each door."""

from pathlib import Path
from typing import Self

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from outbound import sealing
from outbound.addresses import parse_allowed
from providers import keys


class ProviderSettings(BaseSettings):
    """Keys and the reach of requests; each door's settings class inherits it."""

    model_config = SettingsConfigDict(
        env_prefix="NMTUNE_", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    provider_keys: SecretStr | None = None
    """`openai=sk-… https://gateway.example=KEY`: keys of embedding providers, by the provider's
    name or by origin."""
    provider_allow_hosts: str = ""
    """`ollama:11434,10.0.0.5:8080`: where providers may be, beyond https on the public internet."""
    secret_key: SecretStr | None = None
    """32 random bytes in base64 (`openssl rand -base64 32`) that encrypt the keys stored through
    the API and the secrets of webhooks; without it the server has neither."""

    encoders_dir: Path | None = None
    """A directory of encoders for all tenants, each a folder with config.json, model.safetensors
    and tokenizer.json. It is only read; API and workers need the same one."""

    @field_validator("provider_allow_hosts")
    @classmethod
    def _hosts(cls, text: str) -> str:
        parse_allowed(text)
        return text

    @field_validator("secret_key")
    @classmethod
    def _secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            sealing.parse_secret(secret.get_secret_value())
        return secret

    @model_validator(mode="after")
    def _keys(self) -> Self:
        self.keys_by_origin  # noqa: B018  raises ValueError
        return self

    @property
    def provider_hosts(self) -> frozenset[tuple[str, int]]:
        """(host, port) pairs that the operator allows."""
        return parse_allowed(self.provider_allow_hosts)

    @property
    def keys_by_origin(self) -> dict[str, str]:
        """The operator's keys."""
        if self.provider_keys is None:
            return {}
        return keys.parse_keys(self.provider_keys.get_secret_value(), self.provider_hosts)

    @property
    def secret(self) -> bytes | None:
        """The bytes that seal stored keys."""
        return sealing.parse_secret(self.secret_key.get_secret_value()) if self.secret_key else None
