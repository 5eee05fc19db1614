"""The home of a provider over HTTP: a dialect, a key, and the one way a request is made."""

from collections.abc import Sequence

from providers import answers
from providers.addresses import BaseUrl
from providers.encoder import Encoder
from providers.errors import WrongAnswer
from providers.exchange import Exchange
from providers.provider import Dialect, Embedded, Limits, estimated_tokens


class HttpProvider:
    """One encoder behind one origin; the key goes there and nowhere else."""

    def __init__(
        self,
        encoder: Encoder,
        limits: Limits,
        *,
        dialect: Dialect,
        base_url: BaseUrl,
        key: str | None,
        exchange: Exchange,
    ) -> None:
        self.encoder = encoder
        self.limits = limits
        self._dialect = dialect
        self._base_url = base_url
        self._key = key
        self._exchange = exchange

    def __repr__(self) -> str:
        return f"HttpProvider({self.encoder})"

    def embed(self, texts: Sequence[str], *, seconds: float) -> Embedded:
        """See `Provider.embed`."""
        answer = self._exchange.post(
            f"{self._base_url}{self._dialect.path(self.encoder)}",
            self._dialect.body(self.encoder, texts),
            headers=self._dialect.headers(self._key) if self._key else {},
            seconds=seconds,
        )
        if answer.status != 200:
            raise answers.error_of(answer, key=self._key)
        data = answer.json()
        try:
            found, n_tokens = self._dialect.read(data, len(texts))
            n_counted = max(0, int(n_tokens)) if n_tokens is not None else None
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            message = "The provider's answer has another form than its kind has."
            raise WrongAnswer(message) from error
        vectors = answers.checked(found, len(texts), dimensions=self.encoder.dimensions)
        if n_counted is None:
            n_counted = sum(map(estimated_tokens, texts))
        return Embedded(vectors, n_counted)
