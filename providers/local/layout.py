"""Which tensors a network has, and what its file calls them.

The families differ little. So they are known by one set of names, BERT's own, whatever the file
calls them; `stored_name` says the latter, which an export needs.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from providers.errors import InvalidEncoder
from providers.local.config import N_BUCKETS, Config
from providers.local.files import WEIGHTS
from providers.local.tensor_file import ITEM_BYTES, Tensor

RELATIVE_BIAS: Final = "encoder.relative_attention_bias.weight"
"""MPNet's alone: (N_BUCKETS, n_heads), added to the scores of attention."""

_MPNET: Final = {
    "attention.self.query": "attention.attn.q",
    "attention.self.key": "attention.attn.k",
    "attention.self.value": "attention.attn.v",
    "attention.output.dense": "attention.attn.o",
    "attention.output.LayerNorm": "attention.LayerNorm",
}
_DISTILBERT: Final = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
_UNUSED: Final = re.compile(
    r"(pooler|cls|lm_head|qa_outputs|classifier|pre_classifier|vocab_transform|vocab_layer_norm|"
    r"vocab_projector)\.|embeddings\.(position_ids|token_type_ids)$"
)
"""What a file may have besides: parts of other tasks, and numbers that can be counted."""

_OLD_NAMES: Final = {
    ".LayerNorm.gamma": ".LayerNorm.weight",
    ".LayerNorm.beta": ".LayerNorm.bias",
}


def shapes(config: Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name and shape of each tensor of the network. Matrices are (out, in)."""
    width, inner = config.width, config.inner_width
    yield "embeddings.word_embeddings.weight", (config.vocabulary, width)
    yield "embeddings.position_embeddings.weight", (config.n_positions, width)
    if config.n_token_types:
        yield "embeddings.token_type_embeddings.weight", (config.n_token_types, width)
    yield from _pair("embeddings.LayerNorm", (width,))
    if config.family == "mpnet":
        yield RELATIVE_BIAS, (N_BUCKETS, config.n_heads)
    for layer in range(config.n_layers):
        name = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            yield from _pair(f"{name}.attention.self.{part}", (width, width))
        yield from _pair(f"{name}.attention.output.dense", (width, width))
        yield from _pair(f"{name}.attention.output.LayerNorm", (width,))
        yield from _pair(f"{name}.intermediate.dense", (inner, width))
        yield from _pair(f"{name}.output.dense", (width, inner))
        yield from _pair(f"{name}.output.LayerNorm", (width,))


def stored_name(name: str, family: str) -> str:
    """What a file of the family calls the tensor, without the prefix that it may have."""
    renamed = {"mpnet": _MPNET, "distilbert": _DISTILBERT}.get(family, {})
    found = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
    if found is None:
        return name
    layer, module, kind = found.groups()
    stack = "transformer" if family == "distilbert" else "encoder"
    return f"{stack}.layer.{layer}.{renamed.get(module, module)}.{kind}"


def match(config: Config, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the network, by the names of `shapes`. Others are left out.

    Raises InvalidEncoder for a missing tensor, a wrong shape or type, and one that belongs to no
    part of such a network: the file would be of another one.
    """
    there = _by_plain_name(config, tensors)
    found = {}
    for name, shape in shapes(config):
        stored = stored_name(name, config.family)
        tensor = there.pop(stored, None)
        if tensor is None:
            raise InvalidEncoder(
                WEIGHTS,
                "is missing, which a network as in config.json has. It is never made up: save "
                "model and config again, together.",
                tensor=stored,
            )
        if tensor.shape != shape:
            raise InvalidEncoder(
                WEIGHTS,
                f"has the shape {list(tensor.shape)}, but by config.json it is {list(shape)}: save "
                "model and config again, together.",
                tensor=tensor.name,
            )
        if tensor.dtype not in ITEM_BYTES:
            raise InvalidEncoder(
                WEIGHTS,
                f"is of the type {tensor.dtype[:20]}; it must be one of {', '.join(ITEM_BYTES)}. "
                "Save the model as float32.",
                tensor=tensor.name,
            )
        found[name] = tensor
    for name, tensor in there.items():
        if not _UNUSED.match(name):
            raise InvalidEncoder(
                WEIGHTS,
                "belongs to no network as in config.json, so the vectors would be others than "
                "those of the model: save model and config again, together.",
                tensor=tensor.name,
            )
    return found


def _by_plain_name(config: Config, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the prefix of the family, and with the new names of old ones."""
    prefix = "roberta." if config.family == "xlm-roberta" else f"{config.family}."
    found: dict[str, Tensor] = {}
    for tensor in tensors.values():
        name = tensor.name.removeprefix(prefix)
        for old, new in _OLD_NAMES.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if name in found:
            raise InvalidEncoder(
                WEIGHTS,
                f"is there a second time as {found[name].name[:200]}: save the model again.",
                tensor=tensor.name,
            )
        found[name] = tensor
    return found


def _pair(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]
