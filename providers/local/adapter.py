"""Local encoders that were adapted (LoRA): one base in memory for all of its adapters."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from providers.encoder import Encoder
from providers.errors import InvalidEncoder
from providers.local import provider
from providers.local.network import Array, Network
from providers.local.provider import LIMITS, FindPlace, LoadedEncoder
from providers.provider import Embedded

ReadHead = Callable[[], bytes]
"""Reads the bytes of the head that keeps the adapter."""

_MOST_LOADED: Final = 64
"""Adapters that are kept in memory; one of rank 8 of a MiniLM takes 1.3 MB."""

_IN_HEAD: Final = "adapter.bytes"
_KIND: Final = "nmtune-adapter"
_loading = threading.Lock()
_loaded: "OrderedDict[str, LoadedAdapter]" = OrderedDict()


@dataclass(frozen=True)
class LoadedAdapter:
    """The factors of each changed layer, transposed: x (n, inputs) @ down @ up is its change."""

    pairs: Mapping[str, tuple[Array, Array]]
    normalised: bool
    """Whether the adapted encoder's vectors are scaled to length 1."""


@dataclass(frozen=True)
class AdaptedNetwork(Network):
    """A network with an adapter beside its weights, which it shares with the base."""

    adapter: LoadedAdapter

    def _linear(self, name: str, x: Array) -> Array:
        y = super()._linear(name, x)
        if (pair := self.adapter.pairs.get(name)) is not None:
            down, up = pair
            y += ((x.reshape(-1, x.shape[-1]) @ down) @ up).reshape(y.shape)
        return y


class AdaptedEncoder:
    """The provider of one adapted local encoder."""

    limits = LIMITS

    def __init__(self, encoder: Encoder, find_place: FindPlace, read_head: ReadHead) -> None:
        """`find_place` and `read_head` are asked unless base or adapter is loaded.

        Raises as they do, and InvalidEncoder.
        """
        self.encoder = encoder
        adapter = loaded(str(encoder.adapter), read_head)
        key = encoder.sha256 or encoder.model
        whole = provider.loaded(key, lambda: find_place(encoder))
        network = AdaptedNetwork(whole.network.config, whole.network.weights, adapter)
        settings = replace(whole.settings, normalise=adapter.normalised)
        self._loaded = LoadedEncoder(network, settings, whole.tokenizer)

    def elsewhere(self) -> "Sequence[AdaptedEncoder]":
        """See `Provider.elsewhere`."""
        return ()

    def embed(self, texts: Sequence[str], *, seconds: float) -> Embedded:  # noqa: ARG002
        """See `Provider.embed`. It cannot be interrupted."""
        return self._loaded.embed(texts)


def loaded(sha256: str, read_head: ReadHead) -> LoadedAdapter:
    """The adapter, read once in a process while it is among the last used."""
    with _loading:
        if sha256 not in _loaded:
            _loaded[sha256] = of_head(read_head())
        _loaded.move_to_end(sha256)
        while len(_loaded) > _MOST_LOADED:
            _loaded.popitem(last=False)
        return _loaded[sha256]


def of_head(data: bytes) -> LoadedAdapter:
    """The adapter in the bytes of a head. Raises InvalidEncoder."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        inner = load(data)[_IN_HEAD].tobytes()
        tensors: dict[str, NDArray[Any]] = load(inner)
        header = json.loads(inner[8 : 8 + int.from_bytes(inner[:8], "little")])
        document = json.loads(header["__metadata__"]["nmtune"])
        if (document["kind"], document["version"]) != (_KIND, 1):
            raise ValueError(f"it is {document['kind']} version {document['version']}")
        scale = np.float32(document["alpha"] / document["rank"] * document["strength"])
        pairs = {
            name: (
                np.ascontiguousarray(tensors[f"{name}.a"].T),
                np.ascontiguousarray(tensors[f"{name}.b"].T * scale),
            )
            for name in {one.rpartition(".")[0] for one in tensors}
        }
        return LoadedAdapter(pairs, bool(document["normalised"]))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InvalidEncoder("The head", f"has no readable adapter: {error}") from error
