"""Open the encoder of a job in torch: its network, and the job's texts as its tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune import DataError
from nmtune.encoder.adapter import Adapter
from nmtune.encoder.architecture import Architecture
from nmtune.encoder.network import EncoderNetwork, Tokens
from providers import probe_texts
from providers.encoder import Encoder, fingerprint
from providers.errors import InvalidEncoder
from providers.local.directory import read_encoder
from providers.local.tokenizer import read_tokenizer
from store.files.texts import TextsFile
from workers.folder import TrainingInstructions


@dataclass(frozen=True, kw_only=True)
class OpenEncoder:
    """An encoder to be adapted, and the texts of the job's splits for it."""

    encoder: Encoder
    network: EncoderNetwork
    tokenizer: Any
    prefix: str
    tokens: dict[str, Tokens]
    """By split, in the order of the dataset's rows."""

    def tokenized(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The token ids of texts, cut to what the encoder takes."""
        found = self.tokenizer.encode_batch([self.prefix + text for text in texts])
        return [np.array(one.ids, np.int64) for one in found]

    def record(self, network: EncoderNetwork, adapter: Adapter) -> dict[str, Any]:
        """What a head keeps of the adapted encoder: how to ask it, and what it is known by."""
        adapted = Encoder.from_dict({**self.encoder.to_dict(), "adapter": adapter.sha256})
        found = probe_texts.signature(network.encode(self.tokenized(probe_texts.TEXTS), adapter))
        return {
            **adapted.to_dict(),
            "identity": adapted.identity,
            "fingerprint": fingerprint(adapted.identity, found),
            "sketch": found,
        }


def open_encoder(plan: TrainingInstructions, *, device: str) -> OpenEncoder:
    """The encoder that embedded the job's texts. Raises DataError for files that cannot be used."""
    if plan.encoder is None or plan.encoder_place is None or plan.texts_path is None:
        raise DataError("an encoder can only be adapted to a data set of texts", field="dataset_id")
    try:
        found = read_encoder(Path(plan.encoder_place))
        tokenizer = read_tokenizer(found.tokenizer, found.config, found.settings)
    except InvalidEncoder as error:
        raise DataError(str(error), field="provider") from error
    config, settings = found.config, found.settings
    architecture = Architecture(
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        width=config.width,
        inner_width=config.inner_width,
        epsilon=config.epsilon,
        activation=config.activation,  # type: ignore[arg-type]  # both name transformers' own
        first_position=config.first_position,
        has_token_types=bool(config.n_token_types),
        has_relative_bias=config.family == "mpnet",
        pooling=settings.pooling,  # type: ignore[arg-type]
        normalised=settings.normalise,
    )
    opened = OpenEncoder(
        encoder=Encoder.from_dict(plan.encoder),
        network=EncoderNetwork.load(architecture, found.tensors, device=device),
        tokenizer=tokenizer,
        prefix=settings.prefix,
        tokens={},
    )
    texts = TextsFile.from_bytes(Path(plan.texts_path).read_bytes())
    for split in texts.splits:
        opened.tokens[split.name] = opened.tokenized(split.texts)
    return opened
