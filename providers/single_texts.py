"""Ask a provider for one text at a time and measure the latency of each answer."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from providers.encoder import Encoder
from providers.provider import Embedded, Limits, Provider

N_TIMED: Final = 20
"""How many texts are timed: their p95 is then the second slowest."""


class SingleTexts:
    """A provider that takes one text at a time and remembers the seconds of each answer.

    Only answers count: what was refused and asked again later is not part of the time.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._seconds: list[float] = []
        self.limits: Limits = replace(provider.limits, max_items=1, max_concurrency=1)

    @property
    def encoder(self) -> Encoder:
        """See `Provider.encoder`."""
        return self._provider.encoder

    def embed(self, texts: Sequence[str], *, seconds: float) -> Embedded:
        """See `Provider.embed`."""
        began = time.perf_counter()
        found = self._provider.embed(texts, seconds=seconds)
        self._seconds.append(time.perf_counter() - began)
        return found

    def elsewhere(self) -> Sequence[Provider]:
        """See `Provider.elsewhere`."""
        return ()

    @property
    def latency(self) -> dict[str, float] | None:
        """Median and 95th percentile in seconds; None if nothing was timed."""
        if not self._seconds:
            return None
        p95 = np.percentile(self._seconds, 95, method="inverted_cdf")
        return {
            "n_texts": len(self._seconds),
            "median_seconds": round(float(np.median(self._seconds)), 6),
            "p95_seconds": round(float(p95), 6),
        }
