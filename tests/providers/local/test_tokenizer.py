"""A stranger's tokenizer is read if no text can make it slow or lead beyond the network."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.errors import InputRefused, InvalidEncoder, WrongAnswer
from providers.local.config import parse_config
from providers.local.text_settings import TextSettings
from tests.support import encoders

pytest.importorskip("tokenizers")
from providers.local.provider import load
from providers.local.tokenizer import failures_as, read_tokenizer

CONFIG = parse_config(encoders.BERT)
SETTINGS = TextSettings(pooling="mean", normalise=True, prefix="", max_tokens=8, lower_case=False)


def with_changes(**changes: Any) -> str:
    return json.dumps(encoders.tokenizer() | changes)


def replacing(regex: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": regex}, "content": " "}


HOSTILE = {
    "nothing": ("{}", "has the model 'None'"),
    "another kind": (with_changes(model={"type": "Evil"}), "has the model 'Evil'"),
    "a slow expression": (with_changes(normalizer=replacing("(a+)+$")), "regular expression"),
    "one that is hidden": (
        with_changes(pre_tokenizer={"type": "Sequence", "pretokenizers": [replacing(".*.*=")]}),
        "regular expression",
    ),
    "words without end": (
        with_changes().replace('_per_word": 100', '_per_word": 99999999'),
        "max_input_chars_per_word",
    ),
    "tokens beyond the network": (
        json.dumps(encoders.tokenizer(encoders.WORDS + [f"w{n}" for n in range(100)])),
        "up to the number 110.*40 word embeddings",
    ),
    "an unknown part": (with_changes(pre_tokenizer={"type": "Evil"}), "is not read by"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tokenizers_are_refused(name: str) -> None:
    data, message = HOSTILE[name]
    with pytest.raises(InvalidEncoder, match=message) as caught:
        read_tokenizer(data.encode(), CONFIG, SETTINGS)
    assert caught.value.field == "tokenizer.json"


def test_special_tokens_must_leave_room() -> None:
    with pytest.raises(InvalidEncoder, match="adds 2 tokens"):
        read_tokenizer(with_changes().encode(), CONFIG, replace(SETTINGS, max_tokens=2))


def test_the_files_own_cutting_and_padding_are_left_out() -> None:
    own = {
        "truncation": {
            "max_length": 4,
            "strategy": "LongestFirst",
            "stride": 0,
            "direction": "Right",
        },
        "padding": {
            "strategy": {"Fixed": 30},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
    }
    found = read_tokenizer(with_changes(**own).encode(), CONFIG, SETTINGS)
    assert found.encode("the parcel is late").tokens[1:-1] == ["the", "parcel", "is", "late"]
    assert len(found.encode("the " * 50).ids) == 8


def test_simple_expressions_and_lower_case_are_run() -> None:
    data = with_changes(normalizer=replacing(" {2,}")).encode()
    found = read_tokenizer(data, CONFIG, replace(SETTINGS, lower_case=True))
    assert found.encode("The   PARCEL").tokens == ["[CLS]", "the", "parcel", "[SEP]"]


def edited(folder: Path, edit: Callable[[str], str]) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(edit(path.read_text()))
    return folder


def test_a_token_beyond_the_network_is_found_when_it_is_made(tmp_path: Path) -> None:
    """Those of the template need not be among the vocabulary."""
    folder = edited(
        encoders.write(tmp_path / "model"), lambda text: text.replace('"ids": [2]', '"ids": [77]')
    )
    with pytest.raises(InvalidEncoder, match="makes the token 77"):
        load(folder).embed(["the parcel"])


def test_a_vector_that_overflows_is_refused(tmp_path: Path) -> None:
    found = load(encoders.write(tmp_path / "model"))
    name = "encoder.layer.1.output.LayerNorm.weight"
    weights = dict(found.network.weights) | {name: found.network.weights[name] * 3e38}
    broken = replace(found, network=replace(found.network, weights=weights))
    with pytest.raises(WrongAnswer, match="not finite"):
        broken.embed(["the parcel"])


def test_what_the_library_fails_with_is_explained() -> None:
    class PanicException(BaseException):
        pass

    for raised in (PanicException("index out of bounds"), ValueError("index out of bounds")):
        with pytest.raises(InputRefused, match="index out"), failures_as(InputRefused):
            raise raised
    with pytest.raises(KeyboardInterrupt), failures_as(InputRefused):
        raise KeyboardInterrupt
