"""An encoder's files are read as numbers and plain data, and whatever is odd is named."""

import json
import os
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from providers.errors import InvalidEncoder
from providers.local.directory import read_encoder
from tests.support import encoders
from tests.support.encoders import BERT

Change = Callable[[Path], None]

ROBERTA = BERT | {"model_type": "roberta", "pad_token_id": 1, "type_vocab_size": 1}
MPNET = BERT | {"model_type": "mpnet"}
DISTILBERT = {
    "model_type": "distilbert",
    "dim": 16,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 24,
    "vocab_size": 40,
    "max_position_embeddings": 32,
}


@pytest.mark.parametrize(
    ("config", "n_tensors", "max_tokens"),
    [(BERT, 37, 32), (ROBERTA, 37, 30), (MPNET, 37, 30), (DISTILBERT, 36, 32)],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_each_family_is_read_under_the_same_names(
    tmp_path: Path, config: dict[str, Any], n_tensors: int, max_tokens: int
) -> None:
    read = read_encoder(encoders.write(tmp_path / "model", config))
    assert len(read.tensors) == n_tensors
    assert read.tensors["encoder.layer.1.attention.self.query.weight"].shape == (16, 16)
    assert read.tensors["encoder.layer.1.intermediate.dense.weight"].shape == (24, 16)
    assert read.settings.max_tokens == read.config.max_tokens == max_tokens
    original = load_file(tmp_path / "model" / "model.safetensors")
    for name, numbers in read.tensors.items():
        np.testing.assert_array_equal(numbers, original[read.stored_names[name]])
        assert not numbers.flags.writeable


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_half_precision_becomes_float32(tmp_path: Path, dtype: str) -> None:
    folder = encoders.write(tmp_path / "model")
    exact = load_file(folder / "model.safetensors")
    halves = {
        name: x.astype(np.float16)
        if dtype == "F16"
        else (x.view(np.uint32) >> 16).astype(np.uint16)
        for name, x in exact.items()
    }
    save_file(halves, folder / "model.safetensors")
    if dtype == "BF16":  # numpy has no such type: say so in the header
        data = (folder / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        header = data[8 : 8 + length].replace(b'"U16"', b'"BF16"')
        packed = struct.pack("<Q", len(header)) + header + data[8 + length :]
        (folder / "model.safetensors").write_bytes(packed)
    for name, numbers in read_encoder(folder).tensors.items():
        assert numbers.dtype == np.float32
        np.testing.assert_allclose(numbers, exact[name], rtol=1e-2, atol=1e-3)


def test_old_names_prefixes_and_parts_of_other_tasks_are_known(tmp_path: Path) -> None:
    folder = encoders.write(tmp_path / "model")
    exact = load_file(folder / "model.safetensors")
    old = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): x
        for name, x in exact.items()
    }
    more = {
        "cls.predictions.bias": np.zeros(40, np.float32),
        "bert.pooler.dense.bias": np.zeros(16, np.float32),
        "bert.embeddings.position_ids": np.arange(32)[None],
    }
    save_file(old | more, folder / "model.safetensors")
    read = read_encoder(folder)
    np.testing.assert_array_equal(
        read.tensors["embeddings.LayerNorm.bias"], exact["embeddings.LayerNorm.bias"]
    )
    assert len(read.tensors) == len(exact)
    assert read.stored_names["embeddings.LayerNorm.bias"] == "bert.embeddings.LayerNorm.beta"


def configured(**changes: object) -> Change:
    def change(folder: Path) -> None:
        config = BERT | changes
        (folder / "config.json").write_text(json.dumps(config))

    return change


def written(name: str, content: str | bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def without(name: str, **others: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        for other, content in others.items():
            (folder / other.replace("_bin", ".bin")).write_bytes(content)

    return change


def tensors(edit: Callable[[dict[str, Any]], object]) -> Change:
    def change(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        edit(held)
        save_file(held, folder / "model.safetensors")

    return change


def header(edit: Callable[[dict[str, Any]], object], tail: bytes = b"") -> Change:
    """Lie in the header, and leave the numbers as they are."""

    def change(folder: Path) -> None:
        data = (folder / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        said = json.loads(data[8 : 8 + length])
        edit(said)
        text = json.dumps(said).encode()
        (folder / "model.safetensors").write_bytes(
            struct.pack("<Q", len(text)) + text + data[8 + length :] + tail
        )

    return change


def sparse(name: str, size: int, begin: bytes = b"") -> Change:
    def change(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.write(begin)
            file.truncate(size)

    return change


QUERY = "encoder.layer.0.attention.self.query.weight"
WORDS = "embeddings.word_embeddings.weight"


def nan(held: dict[str, Any]) -> None:
    held[QUERY][3, 5] = np.nan


def transposed(held: dict[str, Any]) -> None:
    held["encoder.layer.0.output.dense.weight"] = held[
        "encoder.layer.0.output.dense.weight"
    ].T.copy()


def overlapping(said: dict[str, Any]) -> None:
    """Two tensors that share their bytes, as tied weights would."""
    said["encoder.layer.0.attention.self.key.weight"]["data_offsets"] = said[QUERY]["data_offsets"]


HOSTILE: dict[str, tuple[Change, str, str]] = {
    "no config": (without("config.json"), "config.json", "is missing"),
    "no tokenizer": (without("tokenizer.json"), "tokenizer.json", "is missing"),
    "a pickle": (
        without("model.safetensors", pytorch_model_bin=b"\x80\x04."),
        "model.safetensors",
        "pytorch_model.bin may be a pickle.*save_pretrained",
    ),
    "another family": (configured(model_type="gpt2"), "config.json", "'gpt2'.*bert, roberta"),
    "no family": (configured(model_type=None), "config.json", "model_type"),
    "code": (
        configured(auto_map={"AutoModel": "evil.Model"}),
        "config.json",
        "auto_map.*never runs here",
    ),
    "alibi": (configured(position_embedding_type="alibi"), "config.json", "only absolute"),
    "a decoder": (configured(is_decoder=True), "config.json", "is_decoder"),
    "an unknown activation": (configured(hidden_act="mish"), "config.json", "hidden_act 'mish'"),
    "a list as activation": (configured(hidden_act=["gelu"]), "config.json", "hidden_act"),
    "10 GB of vocabulary": (configured(vocab_size=160_000_000), "config.json", "vocab_size"),
    "a vocabulary not in the file": (
        configured(vocab_size=1_900_000),
        "model.safetensors",
        rf"{WORDS} has the shape \[40, 16\].*\[1900000, 16\]",
    ),
    "true layers": (configured(num_hidden_layers=True), "config.json", "num_hidden_layers"),
    "heads that do not divide": (configured(num_attention_heads=5), "config.json", "do not divide"),
    "no size": (configured(hidden_size=None), "config.json", "hidden_size 'None'"),
    "NaN for epsilon": (configured(layer_norm_eps=float("nan")), "config.json", "layer_norm_eps"),
    "fewer layers": (configured(num_hidden_layers=1), "model.safetensors", "belongs to no network"),
    "more layers": (configured(num_hidden_layers=3), "model.safetensors", "layer.2.*is missing"),
    "config that is a list": (written("config.json", "[]"), "config.json", "not a JSON object"),
    "config too deep": (written("config.json", "[" * 200_000), "config.json", "cannot|can be read"),
    "a name twice": (written("config.json", '{"a": 1, "a": 2}'), "config.json", "'a' twice"),
    "a huge config": (sparse("config.json", 1 << 40), "config.json", "at most 1,048,576"),
    "a huge tokenizer": (sparse("tokenizer.json", 100 << 20), "tokenizer.json", "at most"),
    "a wrong shape": (
        tensors(transposed),
        "model.safetensors",
        r"output.dense.weight has the shape \[24, 16\], but by config.json it is \[16, 24\]",
    ),
    "a missing tensor": (
        tensors(lambda held: held.pop(QUERY)),
        "model.safetensors",
        rf"{QUERY} is missing.*never made up",
    ),
    "an unknown tensor": (
        tensors(lambda held: held.update(adapter=np.zeros(3, np.float32))),
        "model.safetensors",
        "adapter belongs to no network",
    ),
    "a tensor twice": (
        tensors(lambda held: held.update({f"bert.{QUERY}": held[QUERY].copy()})),
        "model.safetensors",
        "is there a second time",
    ),
    "float64": (
        tensors(lambda held: held.update({QUERY: held[QUERY].astype(np.float64)})),
        "model.safetensors",
        rf"{QUERY} is of the type F64",
    ),
    "NaN": (tensors(nan), "model.safetensors", rf"{QUERY} holds a number that is not finite"),
    "a header that says more": (
        header(lambda said: said[WORDS].update(shape=[160_000_000, 16])),
        "model.safetensors",
        rf"{WORDS} says the shape .* does not fit its 2,560 bytes",
    ),
    "a tensor beyond the file": (
        header(
            lambda said: said.update(
                zz={"dtype": "I8", "shape": [9], "data_offsets": [15472, 9 << 30]}
            )
        ),
        "model.safetensors",
        "zz (begins|ends|shares)",
    ),
    "tied weights": (header(overlapping), "model.safetensors", "shares bytes|begins"),
    "bytes of two names": (
        header(lambda said: said.update(tied=dict(said[QUERY]))),
        "model.safetensors",
        "shares bytes with another",
    ),
    "a negative place": (
        header(lambda said: said[WORDS].update(data_offsets=[-2560, 0])),
        "model.safetensors",
        "shape or place",
    ),
    "an entry that is none": (
        header(lambda said: said.update({WORDS: 7})),
        "model.safetensors",
        "in no way",
    ),
    "bytes after the end": (
        header(lambda said: None, b"more"),
        "model.safetensors",
        "4 bytes after",
    ),
    "a header longer than the file": (
        written("model.safetensors", struct.pack("<Q", 1 << 60) + b"{}"),
        "model.safetensors",
        "header ends after the file",
    ),
    "a header of 8 GB": (
        sparse("model.safetensors", 9 << 30, struct.pack("<Q", 8 << 30)),
        "model.safetensors",
        "header of 8,589,934,592",
    ),
    "an empty file": (written("model.safetensors", b""), "model.safetensors", "damaged"),
    "positions too short": (
        written("sentence_bert_config.json", '{"max_seq_length": 512}'),
        "sentence_bert_config.json",
        "512, but by config.json the network has positions for 32",
    ),
    "pooling that is not done": (
        written("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}'),
        "1_Pooling/config.json",
        "'max'; it can be mean or cls",
    ),
    "two poolings": (
        written("1_Pooling/config.json", '{"pooling_mode": ["cls", "mean"]}'),
        "1_Pooling/config.json",
        "pooling",
    ),
    "a module that is code": (
        written("modules.json", '[{"type": "os.system", "path": ""}]'),
        "modules.json",
        "'os.system'.*no code is ever imported",
    ),
    "a module that is not done": (
        written("modules.json", '[{"type": "sentence_transformers.models.Dense", "path": "2"}]'),
        "modules.json",
        "Dense",
    ),
    "a prompt that is none": (
        written("config_sentence_transformers.json", '{"default_prompt_name": "q"}'),
        "config_sentence_transformers.json",
        "prefix",
    ),
    "an unknown choice": (written("nmtune.json", '{"pool": "cls"}'), "nmtune.json", "'pool'"),
    "a choice that is none": (
        written("nmtune.json", '{"normalise": 1}'),
        "nmtune.json",
        "normalise",
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound encoder's directory, to be copied."""
    folder = encoders.write(tmp_path_factory.mktemp("sound") / "model")
    read_encoder(folder)
    return folder


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_named(tmp_path: Path, sound: Path, name: str) -> None:
    change, file, message = HOSTILE[name]
    folder = Path(shutil.copytree(sound, tmp_path / "model"))
    change(folder)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidEncoder, match=message) as caught:
            read_encoder(folder)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.field == file
    assert len(str(caught.value)) < 500


def test_a_file_that_is_none_is_not_opened(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever."""
    folder = encoders.write(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(InvalidEncoder, match=r"tokenizer.json is missing"):
        read_encoder(folder)
