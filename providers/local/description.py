"""What an encoder is, without its numbers: for lists, and for who chooses one."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from providers.local import files, layout, plain_json, tensor_file
from providers.local.config import Config, parse_config
from providers.local.files import CONFIG, WEIGHTS
from providers.local.text_settings import TextSettings, read_text_settings


@dataclass(frozen=True, kw_only=True)
class Description:
    """An encoder in words and numbers."""

    family: str
    n_columns: int
    """The width of its vectors."""
    n_layers: int
    n_parameters: int
    max_tokens: int
    pooling: str
    normalise: bool
    prefix: str

    def to_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def describe(place: Path) -> Description:
    """The encoder at `place`, its header checked but not its numbers. Raises InvalidEncoder."""
    found = files.find(place)
    config = parse_config(plain_json.read_object(found[CONFIG].read(), file=CONFIG))
    settings = read_text_settings(found, config)
    layout.match(config, tensor_file.read_header(found[WEIGHTS]))
    return description_of(config, settings)


def description_of(config: Config, settings: TextSettings) -> Description:
    """The description of what was read."""
    return Description(
        family=config.family,
        n_columns=config.width,
        n_layers=config.n_layers,
        n_parameters=sum(math.prod(shape) for _, shape in layout.shapes(config)),
        max_tokens=settings.max_tokens,
        pooling=settings.pooling,
        normalise=settings.normalise,
        prefix=settings.prefix,
    )
