"""The providers' errors: one tree, each class with a stable `code`.

    ProviderError
    ├── InvalidProvider        invalid_provider            (the request names something impossible)
    │   ├── NothingThere       invalid_provider            (nothing answers at base_url)
    │   ├── UnknownPath        invalid_provider            (404, 405: base_url has the wrong path)
    │   └── NotInstalled       provider_not_installed
    ├── InvalidEncoder         invalid_encoder             (a model whose files cannot be run)
    ├── AddressForbidden       provider_address_forbidden
    ├── KeyMissing             provider_key_missing
    ├── KeyRefused             provider_key_refused        (401, 403)
    ├── QuotaExhausted         provider_quota_exhausted    (402, or a 429 that says so)
    ├── InputRefused           provider_input_refused      (400, 404, 422)
    │   ├── TooMuch            provider_request_too_large  (fewer texts at once may pass)
    │   └── TooLong            provider_text_too_long
    ├── WrongAnswer            provider_wrong_answer       (count, width, values, format)
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
    """The position of the text that the error is about, if known."""
    n_texts: int = 1
    """How many texts it may be about; the first is at `place`."""
    where: Mapping[str, str | int] = MappingProxyType({})
    """The same in the sender's terms, such as row and split."""

    def found_at(self, words: str, **where: str | int) -> Self:
        """Add where the text is, in `words` and as values; return the error itself."""
        self.args = (f"{self} {words}",)
        self.where = where
        return self


class InvalidProvider(ProviderError):
    """The request names something that does not exist or contradicts itself; see `field`."""

    code = "invalid_provider"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NothingThere(InvalidProvider):
    """There is no such host, or what answers there does not speak HTTP."""


class UnknownPath(InvalidProvider):
    """The provider has nothing at the requested URL."""


class NotInstalled(InvalidProvider):
    """The provider needs an optional library."""

    code = "provider_not_installed"


class InvalidEncoder(ProviderError):
    """A file of an encoder is missing, damaged, or of a model that cannot be run here."""

    code = "invalid_encoder"

    def __init__(self, file: str, what: str, *, tensor: str | None = None) -> None:
        """`what` goes on from the file's name, or the tensor's, and says what to do."""
        subject = file if tensor is None else f"{file}: the tensor {tensor[:200]}"
        super().__init__(f"{subject} {what}")
        self.field = file
        self.tensor = tensor


class AddressForbidden(ProviderError):
    """Requests may not go to the provider's host."""

    code = "provider_address_forbidden"


class KeyMissing(ProviderError):
    """There is no key for the provider's origin."""

    code = "provider_key_missing"


class KeyRefused(ProviderError):
    """The provider does not accept the key, or not for this request."""

    code = "provider_key_refused"


class QuotaExhausted(ProviderError):
    """The provider's account is used up: trying again will not help."""

    code = "provider_quota_exhausted"


class InputRefused(ProviderError):
    """The provider refuses the request, and would refuse it again."""

    code = "provider_input_refused"
    share_taken: float | None = None
    """The share of the request that the provider would accept, if it gives numbers."""


class TooMuch(InputRefused):
    """Too many texts, tokens or bytes in one request."""

    code = "provider_request_too_large"
    is_of_tokens = False
    """Whether the limit is known to be one of tokens."""


class TooLong(InputRefused):
    """One of the texts is longer than the model accepts."""

    code = "provider_text_too_long"


class WrongAnswer(ProviderError):
    """The answer has the wrong count, width, values or format."""

    code = "provider_wrong_answer"


class EncoderChanged(ProviderError):
    """The encoder no longer gives the vectors that a head was trained on."""

    code = "encoder_changed"


class ProviderUnavailable(ProviderError):
    """The provider does not answer now; it asked to wait `retry_after` seconds."""

    code = "provider_unavailable"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderBusy(ProviderUnavailable):
    """The provider asks for fewer requests."""

    code = "provider_busy"
