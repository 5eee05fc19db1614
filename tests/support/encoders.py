"""Small encoders with random weights, written as a model's directory."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from providers.local import files, layout
from providers.local.config import parse_config
from tests.support.places import ROOT

BERT: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "vocab_size": 40,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "parcel", "is", "late", "a", "box", "##es"]


def tensors(config: Mapping[str, Any], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random tensors for a config.json, under the names of its family's files."""
    random = np.random.default_rng(seed)
    parsed = parse_config(config)
    return {
        layout.stored_name(name, parsed.family): random.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in layout.shapes(parsed)
    }


def tokenizer(words: list[str] | None = None) -> dict[str, Any]:
    """A tokenizer.json of a few words."""
    vocabulary = {word: place for place, word in enumerate(words or WORDS)}
    special = [
        {
            "id": place,
            "content": word,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for word, place in vocabulary.items()
        if word.startswith("[")
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {
                word: {"id": word, "ids": [vocabulary[word]], "tokens": [word]}
                for word in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }


def archive() -> bytes:
    """The archive of a small BERT that transformers made."""
    return b"".join(files.pack(files.find(ROOT / "tests" / "data" / "encoders" / "bert")))


def write(folder: Path, config: Mapping[str, Any] = BERT, *, seed: int = 0) -> Path:
    """Write the three files of an encoder to a new folder; return it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    save_file(tensors(config, seed), folder / "model.safetensors")
    return folder
