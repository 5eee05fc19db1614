"""The home of the providers' errors: one tree, each class with a stable `code`.

    ProviderError
    ├── InvalidProvider        invalid_provider            (the request names what cannot be)
    │   ├── NothingThere       invalid_provider            (base_url leads to nobody)
    │   ├── UnknownPath        invalid_provider            (404, 405: base_url has the wrong path)
    │   └── NotInstalled       provider_not_installed
    ├── AddressForbidden       provider_address_forbidden
    ├── KeyMissing             provider_key_missing
    ├── KeyRefused             provider_key_refused        (401, 403)
    ├── QuotaExhausted         provider_quota_exhausted    (402, or a 429 that says so)
    ├── InputRefused           provider_input_refused      (400, 404, 422)
    │   ├── TooMuch            provider_request_too_large  (fewer texts at once will do)
    │   └── TooLong            provider_text_too_long
    ├── WrongAnswer            provider_wrong_answer       (count, width, values, form)
    ├── EncoderChanged         encoder_changed
    └── ProviderUnavailable    provider_unavailable        (transient: try again)
        └── ProviderBusy       provider_busy               (429)

Messages are fit for users: they may quote a provider's own words, never a key.
"""

# ruff: noqa: N818  `raise TooMuch(...)` reads better than with "Error" after each name.
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Self


class ProviderError(Exception):
    """Texts could not be embedded; `code` is stable and may be shown to users."""

    code: ClassVar[str] = "provider_error"
    place: int | None = None
    """Which of the texts it is about, where that is known."""
    n_texts: int = 1
    """How many it may be about, the first of which has that place."""
    where: Mapping[str, str | int] = MappingProxyType({})
    """The same in the words of whoever sent the texts, such as row and split."""

    def found_at(self, words: str, **where: str | int) -> Self:
        """The same error, which also says where its text is."""
        self.args = (f"{self} {words}",)
        self.where = where
        return self


class InvalidProvider(ProviderError):
    """What was asked for does not exist or contradicts itself; `field` says which part."""

    code = "invalid_provider"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NothingThere(InvalidProvider):
    """No such host, or what answers there does not speak HTTP."""


class UnknownPath(InvalidProvider):
    """The provider knows nothing at the URL that was asked."""


class NotInstalled(InvalidProvider):
    """The provider needs an optional library."""

    code = "provider_not_installed"


class AddressForbidden(ProviderError):
    """The provider's host lies where requests may not go."""

    code = "provider_address_forbidden"


class KeyMissing(ProviderError):
    """There is no key for the provider's origin."""

    code = "provider_key_missing"


class KeyRefused(ProviderError):
    """The provider does not accept the key, or not for this."""

    code = "provider_key_refused"


class QuotaExhausted(ProviderError):
    """The provider's account may not use more: trying again will not help."""

    code = "provider_quota_exhausted"


class InputRefused(ProviderError):
    """The provider finds something wrong with the request; another time it will again."""

    code = "provider_input_refused"
    share_taken: float | None = None
    """Of what was sent, how much the provider says that it would take, if it gives numbers."""


class TooMuch(InputRefused):
    """Too many texts, tokens or bytes in one request."""

    code = "provider_request_too_large"
    is_of_tokens = False
    """Whether it is known to be the tokens."""


class TooLong(InputRefused):
    """One of the texts is longer than the model takes."""

    code = "provider_text_too_long"


class WrongAnswer(ProviderError):
    """The answer is not what was asked for: another count or width, no numbers, no JSON."""

    code = "provider_wrong_answer"


class EncoderChanged(ProviderError):
    """The same name now gives other vectors than those a head was trained on."""

    code = "encoder_changed"


class ProviderUnavailable(ProviderError):
    """The provider does not answer now; `retry_after` is how many seconds it asked to wait."""

    code = "provider_unavailable"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderBusy(ProviderUnavailable):
    """The provider asks for fewer requests."""

    code = "provider_busy"
