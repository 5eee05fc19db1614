"""What an encoder's config.json says of its network, of the families that can be run here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from providers.errors import InvalidEncoder
from providers.local.files import CONFIG

FAMILIES: Final = ("bert", "roberta", "xlm-roberta", "mpnet", "distilbert")
ACTIVATIONS: Final = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish")
N_BUCKETS: Final = 32
"""The buckets of relative positions in MPNet; its code has no other number."""

MAX_WIDTH: Final = 8192
MAX_LAYERS: Final = 100
MAX_INNER_WIDTH: Final = 65_536
MAX_VOCABULARY: Final = 2_000_000
MAX_POSITIONS: Final = 131_072

_DISTILBERT: Final = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
}
"""What DistilBERT calls the settings that the others have too."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A network of transformer blocks over word and position embeddings."""

    family: str
    """One of FAMILIES."""
    width: int
    n_layers: int
    n_heads: int
    inner_width: int
    vocabulary: int
    """Rows of the word embeddings."""
    n_positions: int
    """Rows of the position embeddings."""
    n_token_types: int
    """Rows of the token type embeddings; 0: there are none."""
    activation: str
    """One of ACTIVATIONS."""
    epsilon: float
    """Of the layer normalisation."""
    padding_id: int
    """The token that fills up shorter texts."""

    @property
    def first_position(self) -> int:
        """The row of the first token's position: RoBERTa and MPNet begin after the padding's."""
        return self.padding_id + 1 if self.counts_from_padding else 0

    @property
    def counts_from_padding(self) -> bool:
        """Whether positions begin after `padding_id`, which then has a position of its own."""
        return self.family in ("roberta", "xlm-roberta", "mpnet")

    @property
    def max_tokens(self) -> int:
        """The longest text, in tokens, that has a position for each."""
        return self.n_positions - self.first_position


def parse_config(data: Mapping[str, Any]) -> Config:
    """The network that `data`, the content of config.json, describes. Raises InvalidEncoder."""
    family = data.get("model_type")
    if family not in FAMILIES:
        raise _refused(
            f"says model_type {str(family)[:80]!r}, which cannot be run here. These can: "
            f"{', '.join(FAMILIES)}."
        )
    _check_plain(data)
    found = _Reader(data, names=_DISTILBERT if family == "distilbert" else {})
    width = found.size("hidden_size", MAX_WIDTH)
    n_heads = found.size("num_attention_heads", width)
    if width % n_heads:
        raise _refused(f"says {n_heads} attention heads, which do not divide the width {width}.")
    vocabulary = found.size("vocab_size", MAX_VOCABULARY)
    padding_id = 1 if family == "mpnet" else found.padding_id(family, vocabulary)
    config = Config(
        family=family,
        width=width,
        n_layers=found.size("num_hidden_layers", MAX_LAYERS),
        n_heads=n_heads,
        inner_width=found.size("intermediate_size", MAX_INNER_WIDTH),
        vocabulary=vocabulary,
        n_positions=found.size("max_position_embeddings", MAX_POSITIONS),
        n_token_types=found.size("type_vocab_size", 1024, default=2) if _has_types(family) else 0,
        activation=found.activation(),
        epsilon=1e-12 if family == "distilbert" else found.epsilon(),
        padding_id=padding_id,
    )
    if config.max_tokens < 1:
        raise _refused(f"says {config.n_positions} positions, which leaves none for a text.")
    return config


def _has_types(family: str) -> bool:
    return family in ("bert", "roberta", "xlm-roberta")


def _check_plain(data: Mapping[str, Any]) -> None:
    """Refuse what would make the vectors other than those of the plain network."""
    if "auto_map" in data:
        raise _refused(
            "names code (auto_map). Code that comes with a model never runs here, and without it "
            "the vectors may be others. Remove auto_map only if the model is a plain "
            f"{data['model_type']}."
        )
    kind = data.get("position_embedding_type", "absolute")
    if kind != "absolute":
        raise _refused(
            f"says position_embedding_type {str(kind)[:80]!r}; only absolute can be run here."
        )
    for name in ("is_decoder", "add_cross_attention"):
        if data.get(name, False) is not False:
            raise _refused(f"says {name}: only encoders, which see the whole text, can be run.")
    buckets = data.get("relative_attention_num_buckets", N_BUCKETS)
    if data["model_type"] == "mpnet" and buckets != N_BUCKETS:
        raise _refused(f"says other than {N_BUCKETS} relative_attention_num_buckets.")


class _Reader:
    """Reads settings, and names the one that is wrong."""

    def __init__(self, data: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self._data = data
        self._names = names

    def _value(self, name: str, default: object, is_right: Callable[[Any], bool], must: str) -> Any:
        own = self._names.get(name, name)
        value = self._data.get(own, default)
        if not is_right(value):
            raise _refused(f"says {own} {str(value)[:80]!r}; it must be {must}.")
        return value

    def size(self, name: str, largest: int, *, default: int | None = None) -> int:
        found: int = self._value(
            name,
            default,
            lambda value: type(value) is int and 1 <= value <= largest,
            f"an integer from 1 to {largest:,}",
        )
        return found

    def padding_id(self, family: str, vocabulary: int) -> int:
        default = 1 if "roberta" in family else 0
        found: int | None = self._value(
            "pad_token_id",
            default,
            lambda value: value is None or (type(value) is int and 0 <= value < vocabulary),
            "the id of a token",
        )
        return default if found is None else found

    def activation(self) -> str:
        found: str = self._value(
            "hidden_act",
            "gelu",
            lambda value: isinstance(value, str) and value in ACTIVATIONS,
            f"one of {', '.join(ACTIVATIONS)}",
        )
        return found

    def epsilon(self) -> float:
        found: float = self._value(
            "layer_norm_eps",
            1e-12,
            lambda value: type(value) in (int, float) and 0 < value <= 0.1,
            "a number above 0 and at most 0.1",
        )
        return float(found)


def _refused(what: str) -> InvalidEncoder:
    return InvalidEncoder(CONFIG, what)
