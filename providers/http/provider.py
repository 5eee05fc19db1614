"""A provider over HTTP: an encoder, its dialect and a key, asked in one way."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from providers.base_url import BaseUrl
from providers.encoder import Encoder
from providers.errors import NothingThere, ProviderUnavailable, WrongAnswer
from providers.http import answers, refusals
from providers.http.exchange import Answer, Exchange
from providers.provider import Dialect, Embedded, Limits, estimated_tokens


class HttpProvider:
    """One encoder behind one origin. The key is sent only there."""

    def __init__(
        self,
        encoder: Encoder,
        limits: Limits,
        *,
        dialect: Dialect,
        base_url: BaseUrl,
        key: str | None,
        exchange: Exchange,
        is_vouched: bool = False,
    ) -> None:
        """`is_vouched`: the service is known to exist, so a lost name may come back."""
        self.encoder = encoder
        self.limits = limits
        self._dialect = dialect
        self._base_url = base_url
        self._key = key
        self._exchange = exchange
        self._is_vouched = is_vouched

    def __repr__(self) -> str:
        return f"HttpProvider({self.encoder})"

    def embed(self, texts: Sequence[str], *, seconds: float) -> Embedded:
        """See `Provider.embed`."""
        url = f"{self._base_url}{self._dialect.path(self.encoder)}"
        try:
            answer = self._exchange.post(
                url,
                self._dialect.body(self.encoder, texts),
                headers=self._dialect.headers(self._key) if self._key else {},
                seconds=seconds,
            )
        except NothingThere as error:
            if self._is_vouched:
                raise ProviderUnavailable(str(error)) from error
            raise
        if not 200 <= answer.status < 300:
            raise refusals.error_of(answer, key=self._key, url=url)
        vectors, n_tokens = self._read(answer, len(texts), url)
        self._is_vouched = True
        if n_tokens is None:
            n_tokens = sum(map(estimated_tokens, texts))
        return Embedded(vectors, n_tokens)

    def _read(
        self, answer: Answer, n_texts: int, url: str
    ) -> tuple[NDArray[np.float32], int | None]:
        """The vectors, and the number of tokens if the answer has it."""
        data = answer.json()
        hidden = refusals.hidden_in(answer, data, key=self._key, url=url)
        if hidden is not None:
            raise hidden
        try:
            found, n_tokens = self._dialect.read(data, n_texts)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            message = "The provider's answer does not have the expected format."
            told = refusals.hidden_in(answer, data, key=self._key, url=url, is_read=False)
            raise told or WrongAnswer(message) from error
        vectors = answers.checked(found, n_texts, dimensions=self.encoder.dimensions)
        return vectors, n_tokens

    def elsewhere(self) -> list["HttpProvider"]:
        """The same provider at base URLs that may be meant instead."""
        return [
            HttpProvider(
                replace(self.encoder, base_url=str(base_url)),
                self.limits,
                dialect=self._dialect,
                base_url=base_url,
                key=self._key,
                exchange=self._exchange,
                is_vouched=self._is_vouched,
            )
            for base_url in self._base_url.alternatives(self._dialect.roots)
        ]
