"""Keys belong to origins, in the environment as in the store."""

import base64
import os

import pytest
from pydantic import ValidationError

from providers import keys
from providers.errors import KeyMissing
from providers.settings import ProviderSettings

SECRET = os.urandom(32)


def test_keys_go_by_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMTUNE_PROVIDER_ALLOW_HOSTS", "ollama:11434")
    monkeypatch.setenv(
        "NMTUNE_PROVIDER_KEYS", "openai=sk-1, https://gw.example=a=b==\n http://ollama:11434=x"
    )
    settings = ProviderSettings()
    assert settings.keys_by_origin == {
        "https://api.openai.com": "sk-1",
        "https://gw.example": "a=b==",
        "http://ollama:11434": "x",
    }
    assert "sk-1" not in repr(settings)


@pytest.mark.parametrize(
    "text", ["sk-secret", "openai=", "azure=sk-secret", "http://h=sk-secret", "x=sk-secret"]
)
def test_what_is_wrong_with_keys_is_told_without_them(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProviderSettings(provider_keys=text)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("secret", ["short", "ä", base64.b64encode(b"a" * 31).decode()])
def test_a_secret_has_32_bytes(secret: str) -> None:
    with pytest.raises(ValidationError, match="32 random bytes"):
        ProviderSettings(secret_key=secret)


def test_a_sealed_key_opens_for_its_tenant_and_origin_alone() -> None:
    place = {"tenant_id": "default", "origin": "https://api.openai.com"}
    sealed = keys.seal("sk-1", secret=SECRET, **place)
    assert b"sk-1" not in sealed
    assert keys.unseal(sealed, secret=SECRET, **place) == "sk-1"
    assert keys.seal("sk-1", secret=SECRET, **place) != sealed, "a nonce of its own"
    wrong = [
        (sealed, os.urandom(32), place),
        (sealed, SECRET, place | {"tenant_id": "other"}),
        (sealed, SECRET, place | {"origin": "https://evil.example"}),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), SECRET, place),
        (b"\x02" + sealed[1:], SECRET, place),
        (b"", SECRET, place),
    ]
    for content, secret, where in wrong:
        with pytest.raises(KeyMissing, match="store the key again"):
            keys.unseal(content, secret=secret, **where)
