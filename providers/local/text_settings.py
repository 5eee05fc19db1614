"""How an encoder reads texts and makes one vector of each: pooling, prefix, longest text.

It is plain data, from the files that sentence-transformers writes and from `nmtune.json`, whose
values go first: {"pooling": "mean", "normalise": true, "prefix": "query: ", "max_tokens": 256}.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from providers.errors import InvalidEncoder
from providers.local import plain_json
from providers.local.config import Config
from providers.local.files import (
    CHOICES,
    MODULES,
    POOLING,
    PROMPTS,
    SENTENCE_CONFIG,
    TOKENIZER_CONFIG,
    Files,
)

POOLINGS: Final = ("mean", "cls")
MAX_PREFIX_CHARACTERS: Final = 1000
LONGEST: Final = 8192
"""The longest text that is read in tokens, whatever the model says: memory grows with it."""

_MODES: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """How texts are read, and their tokens' vectors put together."""

    pooling: str
    """`mean` of a text's tokens, or the first token (`cls`)."""
    normalise: bool
    """Whether vectors are scaled to length 1."""
    prefix: str
    """Put before each text."""
    max_tokens: int
    """Longer texts are cut."""
    lower_case: bool
    """Whether texts are made lower case first."""


def read_text_settings(files: Files, config: Config) -> TextSettings:
    """The settings in the files; without any, those of sentence-transformers: the mean.

    Raises InvalidEncoder for what would give other vectors than the model's, and for texts longer
    than there are positions.
    """
    choices = _object(files, CHOICES)
    unknown = sorted(choices.keys() - {"pooling", "normalise", "prefix", "max_tokens"})
    if unknown:
        raise InvalidEncoder(
            CHOICES,
            f"has {unknown[0][:80]!r}; it may have pooling, normalise, prefix and max_tokens.",
        )
    sentence = _object(files, SENTENCE_CONFIG)
    modules = _modules(files)
    normalise = choices.get("normalise", "Normalize" in modules)
    lower_case = sentence.get("do_lower_case", False)
    for name, value, file in (
        ("normalise", normalise, CHOICES),
        ("do_lower_case", lower_case, SENTENCE_CONFIG),
    ):
        if type(value) is not bool:
            raise InvalidEncoder(file, f"says {name} {str(value)[:80]!r}; it is true or false.")
    return TextSettings(
        pooling=_pooling(files, choices),
        normalise=normalise,
        prefix=_prefix(files, choices),
        max_tokens=_max_tokens(files, choices, sentence, config),
        lower_case=lower_case,
    )


def _object(files: Files, name: str) -> dict[str, Any]:
    return plain_json.read_object(files[name].read(), file=name) if name in files else {}


def _modules(files: Files) -> list[str]:
    """The last words of the modules' types. They are names to us, and never imported."""
    if MODULES not in files:
        return []
    listed = plain_json.read(files[MODULES].read(), file=MODULES)
    if not isinstance(listed, list):
        raise InvalidEncoder(MODULES, "is not a list of modules.")
    found = []
    for module in listed:
        kind = module.get("type") if isinstance(module, dict) else None
        path = module.get("path") if isinstance(module, dict) else None
        last = str(kind).rpartition(".")[2]
        is_known = str(kind).startswith("sentence_transformers.") and last in (
            "Transformer",
            "Pooling",
            "Normalize",
        )
        if not is_known:
            raise InvalidEncoder(
                MODULES,
                f"names the module {str(kind)[:120]!r}. Only Transformer, Pooling and Normalize of "
                "sentence-transformers can be run here, and no code is ever imported.",
            )
        if last == "Transformer" and path not in ("", None):
            raise InvalidEncoder(
                MODULES, f"has the network in {str(path)[:80]!r}; give that directory's files."
            )
        if last == "Pooling" and path != POOLING.rpartition("/")[0]:
            raise InvalidEncoder(MODULES, f"has the pooling elsewhere than in {POOLING}.")
        found.append(last)
    if found not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InvalidEncoder(
            MODULES, "has other modules than Transformer, Pooling and then Normalize, or none."
        )
    if POOLING not in files:
        raise InvalidEncoder(POOLING, f"is missing, which {MODULES} names.")
    return found


def _pooling(files: Files, choices: Mapping[str, Any]) -> str:
    if "pooling" in choices:
        return _known_pooling(choices["pooling"], CHOICES)
    data = _object(files, POOLING)
    if data.get("include_prompt", True) is not True:
        raise InvalidEncoder(POOLING, "leaves the prompt out of the mean, which is not done here.")
    if "pooling_mode" in data:
        mode = data["pooling_mode"]
        return _known_pooling(
            mode[0] if isinstance(mode, list) and len(mode) == 1 else mode, POOLING
        )
    modes = [mode for key, mode in _MODES.items() if data.get(key) is True]
    return _known_pooling("mean" if not modes else "+".join(modes), POOLING)


def _known_pooling(mode: object, file: str) -> str:
    if not isinstance(mode, str) or mode not in POOLINGS:
        raise InvalidEncoder(
            file, f"says the pooling {str(mode)[:80]!r}; it can be {' or '.join(POOLINGS)}."
        )
    return mode


def _prefix(files: Files, choices: Mapping[str, Any]) -> str:
    file, found = CHOICES, choices.get("prefix")
    if found is None:
        data = _object(files, PROMPTS)
        name, prompts = data.get("default_prompt_name"), data.get("prompts", {})
        file = PROMPTS
        if name is None:
            found = ""
        elif isinstance(prompts, dict) and isinstance(name, str):
            found = prompts.get(name)
    if not isinstance(found, str) or len(found) > MAX_PREFIX_CHARACTERS:
        raise InvalidEncoder(
            file,
            f"has a prefix (or a default prompt) that is no text of at most "
            f"{MAX_PREFIX_CHARACTERS:,} characters.",
        )
    return found


def _max_tokens(
    files: Files, choices: Mapping[str, Any], sentence: Mapping[str, Any], config: Config
) -> int:
    """The longest text: as chosen, as sentence-transformers says, else as the tokenizer does."""
    for file, name, found in (
        (CHOICES, "max_tokens", choices.get("max_tokens")),
        (SENTENCE_CONFIG, "max_seq_length", sentence.get("max_seq_length")),
    ):
        if found is None:
            continue
        if type(found) is not int or not 1 <= found <= LONGEST:
            raise InvalidEncoder(
                file, f"says {name} {str(found)[:40]!r}; it must be from 1 to {LONGEST:,}."
            )
        if found > config.max_tokens:
            raise InvalidEncoder(
                file,
                f"says {name} {found}, but by config.json the network has positions for "
                f"{config.max_tokens} tokens. Lower it, or save model and config again.",
            )
        return found
    longest = min(config.max_tokens, LONGEST)
    said = _object(files, TOKENIZER_CONFIG).get("model_max_length")
    return min(longest, said) if type(said) is int and said >= 1 else longest
