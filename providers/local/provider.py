"""The provider that runs in this process: texts through a tokenizer and a network."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from providers.encoder import Encoder
from providers.errors import InputRefused, InvalidEncoder, WrongAnswer
from providers.local.files import TOKENIZER
from providers.provider import Embedded, Limits

if TYPE_CHECKING:
    from providers.local.network import Network
    from providers.local.text_settings import TextSettings

NAME: Final = "local"
"""The provider of encoders that were added to this server; `model` is their name."""

LIMITS: Final = Limits(
    max_items=64,
    max_tokens=1 << 20,
    max_text_tokens=1 << 20,  # texts are cut here, where tokens are counted, not estimated
    max_concurrency=1,  # one matrix product uses all cores
)
INNER_NUMBERS_AT_A_TIME: Final = 4096 * 1536
"""This bounds memory: about 100 MB of activations."""

_MOST_LOADED: Final = 4
_loading = threading.Lock()
_loaded: "OrderedDict[str, LoadedEncoder]" = OrderedDict()

FindPlace = Callable[[Encoder], Path]
"""Looks up where an encoder's files are. Raises InvalidProvider."""


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder that is ready to embed."""

    network: "Network"
    settings: "TextSettings"
    tokenizer: Any

    def embed(self, texts: Sequence[str]) -> Embedded:
        """The texts' vectors (n, width). Raises InvalidEncoder, WrongAnswer, InputRefused."""
        with np.errstate(all="ignore"):  # what overflows is found at the end
            return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Embedded:
        found = self._tokenized(texts)
        order = sorted(range(len(texts)), key=lambda place: len(found[place].ids))
        vectors = np.empty((len(texts), self.network.config.width), np.float32)
        most = max(1, INNER_NUMBERS_AT_A_TIME // self.network.config.inner_width)
        start = 0
        while start < len(order):  # texts of similar length together, to save padding
            stop = start + 1
            while stop < len(order) and (stop + 1 - start) * len(found[order[stop]].ids) <= most:
                stop += 1
            part = order[start:stop]
            vectors[part] = self._vectors([found[place].ids for place in part])
            start = stop
        for place in range(len(texts)):
            if not np.isfinite(vectors[place]).all():
                error = WrongAnswer("The encoder makes numbers that are not finite of a text.")
                error.place = place
                raise error
        return Embedded(
            vectors,
            n_tokens=sum(len(one.ids) for one in found),
            n_truncated=sum(bool(one.overflowing) for one in found),
        )

    def _tokenized(self, texts: Sequence[str]) -> Any:
        from providers.local.tokenizer import failures_as

        with failures_as(_refused):
            return self.tokenizer.encode_batch([self.settings.prefix + text for text in texts])

    def _vectors(self, ids: Sequence[Sequence[int]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The vectors of texts of similar length, the longest last."""
        from providers.local.network import pooled

        config, settings = self.network.config, self.settings
        shape = len(ids), max(1, len(ids[-1]))
        tokens = np.full(shape, config.padding_id, np.int64)
        mask = np.zeros(shape, np.bool_)
        for row, one in enumerate(ids):
            tokens[row, : len(one)] = one
            mask[row, : len(one)] = True
        if int(tokens.max()) >= config.vocabulary:
            raise InvalidEncoder(
                TOKENIZER,
                f"makes the token {int(tokens.max())} of a text, but by config.json the network "
                f"has {config.vocabulary} word embeddings.",
            )
        hidden = self.network.hidden(tokens, mask)
        return pooled(hidden, mask, pooling=settings.pooling, normalise=settings.normalise)


def _refused(words: str) -> InputRefused:
    return InputRefused(f"The encoder's tokenizer fails on these texts. It says: {words}")


class LocalEncoder:
    """The provider of one local encoder."""

    limits = LIMITS

    def __init__(self, encoder: Encoder, find_place: FindPlace) -> None:
        """`find_place` is asked unless the encoder is loaded. Raises as it, and InvalidEncoder."""
        self.encoder = encoder
        self._loaded = loaded(encoder.sha256 or encoder.model, lambda: find_place(encoder))

    def elsewhere(self) -> "Sequence[LocalEncoder]":
        """See `Provider.elsewhere`."""
        return ()

    def embed(self, texts: Sequence[str], *, seconds: float) -> Embedded:  # noqa: ARG002
        """See `Provider.embed`. It cannot be interrupted."""
        return self._loaded.embed(texts)


def loaded(key: str, place: Callable[[], Path]) -> LoadedEncoder:
    """The encoder at `place`, read once in a process while it is among the last used.

    key: the sha256 of its files, or the name of what never changes.
    """
    with _loading:
        if key not in _loaded:
            _loaded[key] = load(place())
        _loaded.move_to_end(key)
        while len(_loaded) > _MOST_LOADED:
            _loaded.popitem(last=False)
        return _loaded[key]


def load(place: Path) -> LoadedEncoder:
    """The encoder in a directory or archive. Raises InvalidEncoder, ImportError."""
    from providers.local.directory import read_encoder
    from providers.local.network import Network
    from providers.local.tokenizer import read_tokenizer

    found = read_encoder(place)
    return LoadedEncoder(
        Network(found.config, found.tensors),
        found.settings,
        read_tokenizer(found.tokenizer, found.config, found.settings),
    )
