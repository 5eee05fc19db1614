"""Read the files of an encoder and check them against each other. Nothing in them is ever run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from providers.local import files, layout, plain_json, tensor_file
from providers.local.config import Config, parse_config
from providers.local.files import CONFIG, TOKENIZER, WEIGHTS, Files
from providers.local.text_settings import TextSettings, read_text_settings


@dataclass(frozen=True, kw_only=True)
class EncoderFiles:
    """The content of an encoder's files, checked."""

    config: Config
    settings: TextSettings
    tensors: dict[str, NDArray[np.float32]]
    """By the names of `layout.shapes`. Read only: those of a float32 file are its pages."""
    stored_names: dict[str, str]
    """What the file calls each of them."""
    tokenizer: bytes
    """The content of tokenizer.json, not yet checked: `tokenizer.read_tokenizer` does so."""
    files: Files


def read_encoder(place: Path) -> EncoderFiles:
    """The encoder in a directory, or in the archive of one.

    Memory is bounded by the size of the files: float32 weights are mapped, others take twice their
    size. Raises InvalidEncoder, which names the file and tensor, and OSError.
    """
    found = files.find(place)
    config = parse_config(plain_json.read_object(found[CONFIG].read(), file=CONFIG))
    settings = read_text_settings(found, config)
    matched = layout.match(config, tensor_file.read_header(found[WEIGHTS]))
    return EncoderFiles(
        config=config,
        settings=settings,
        tensors=tensor_file.load(found[WEIGHTS], matched),
        stored_names={name: one.name for name, one in matched.items()},
        tokenizer=found[TOKENIZER].read(),
        files=found,
    )
