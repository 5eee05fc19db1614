"""The tokenizer of an encoder, from a tokenizer.json that a stranger wrote."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from providers.errors import InvalidEncoder, ProviderError
from providers.local import plain_json
from providers.local.config import Config
from providers.local.files import TOKENIZER
from providers.local.text_settings import TextSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_WORD_CHARACTERS: Final = 1000
"""WordPiece takes quadratic time in a word's length, up to the length that the file allows."""

_MODELS: Final = ("WordPiece", "BPE", "Unigram", "WordLevel")
_ONE_ATOM: Final = re.compile(r"(\\[sSdDwWnrt]|[^\\.^$*+?()\[\]{}|])(\{\d{1,3},?\d{0,3}\}|[+*])?")
"""The regular expressions that are run: one character, repeated. No text makes these slow."""


def read_tokenizer(data: bytes, config: Config, settings: TextSettings) -> "Tokenizer":
    """The tokenizer, which cuts texts at `settings.max_tokens` and pads none.

    The file's own truncation and padding are left out: they are often those of its training.
    Raises InvalidEncoder.
    """
    from tokenizers import Tokenizer, normalizers  # of the extra `local`

    _check(plain_json.read_object(data, file=TOKENIZER))
    with failures_as(_unreadable):
        found = Tokenizer.from_str(data.decode())
        n_special = found.num_special_tokens_to_add(is_pair=False)
        found.no_padding()
        if settings.lower_case:
            own = [found.normalizer] if found.normalizer is not None else []
            found.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
        highest = max(found.get_vocab(with_added_tokens=True).values(), default=-1)
    if n_special >= settings.max_tokens:
        raise InvalidEncoder(
            TOKENIZER,
            f"adds {n_special} tokens to each text, which leaves no room among "
            f"{settings.max_tokens}.",
        )
    found.enable_truncation(settings.max_tokens)
    if not 0 <= highest < config.vocabulary:
        raise InvalidEncoder(
            TOKENIZER,
            f"has tokens up to the number {highest}, but by config.json the network has "
            f"{config.vocabulary} word embeddings. Save model and tokenizer again, together.",
        )
    return found


@contextmanager
def failures_as(explained: Callable[[str], ProviderError]) -> Iterator[None]:
    """Raise what `explained` makes of the library's own words, where it fails.

    Its panics, as on a file that breaks its own rules, are no Exception in Python.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise explained(str(error)[:200]) from None


def _unreadable(words: str) -> InvalidEncoder:
    return InvalidEncoder(
        TOKENIZER, f"is not read by the library tokenizers: {words}. Save it anew."
    )


def _check(content: dict[str, Any]) -> None:
    """Refuse what could take far longer for some texts than for others."""
    model = content.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if not isinstance(model, dict) or (kind is not None and kind not in _MODELS):
        raise InvalidEncoder(
            TOKENIZER, f"has the model {str(kind)[:80]!r}; it can be {', '.join(_MODELS)}."
        )
    longest = model.get("max_input_chars_per_word", 100)
    if type(longest) is not int or not 1 <= longest <= MAX_WORD_CHARACTERS:
        raise InvalidEncoder(
            TOKENIZER,
            f"says max_input_chars_per_word {str(longest)[:40]!r}; it may be at most "
            f"{MAX_WORD_CHARACTERS:,}.",
        )
    for pattern in _patterns([content.get(name) for name in ("normalizer", "pre_tokenizer")]):
        if not isinstance(pattern, str) or not _ONE_ATOM.fullmatch(pattern):
            raise InvalidEncoder(
                TOKENIZER,
                f"has the regular expression {str(pattern)[:80]!r}. Only single characters, "
                "repeated, are run: others can take for ever on some text.",
            )


def _patterns(value: Any) -> Iterator[Any]:
    """All regular expressions in a part of the file."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            if "Regex" in one:
                yield one["Regex"]
            todo += one.values()
        elif isinstance(one, list):
            todo += one
