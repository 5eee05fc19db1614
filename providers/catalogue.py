"""The providers that are known by name: their address, limits and dialect.

To add a provider, add an entry, and a file in `dialects` if it speaks a dialect of its own. Limits
are those of the providers' documents (docs/use/providers.md); answers may teach lower ones.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from providers.base_url import BaseUrl, parse_base_url
from providers.dialects.cohere import Cohere
from providers.dialects.gemini import Gemini
from providers.dialects.openai import OpenAI
from providers.dialects.tei import TextEmbeddingsInference
from providers.dialects.voyage import Voyage
from providers.encoder import Encoder
from providers.errors import InvalidProvider
from providers.local import minilm
from providers.local import provider as local
from providers.provider import Dialect, Limits

MAX_DIMENSIONS: Final = 16_384
MAX_MODEL_CHARACTERS: Final = 200
OURS: Final = "ours"
PROVIDER: Final = "provider"

FindLocal = Callable[[str], tuple[str, int] | None]
"""The sha256 and the width of the local encoder of a name, None if there is none."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One provider of the catalogue."""

    dialect: Dialect
    limits: Limits
    base_url: str | None = None
    """None: the user names it."""
    needs_key: bool = True
    intent: str = "none"
    truncation: str = OURS
    """`provider` if it silently cuts texts that are too long, and has no option against that."""


def _own_server(truncation: str = PROVIDER, max_items: int = 32) -> Entry:
    """A server that users run themselves; the usual ones accept at least 32 texts."""
    return Entry(
        dialect=OpenAI(),
        limits=Limits(
            max_items=max_items, max_tokens=100_000, max_text_tokens=8192, max_concurrency=4
        ),
        needs_key=False,
        truncation=truncation,
    )


_OPENAI: Final = Limits(max_items=2048, max_tokens=300_000, max_text_tokens=8192)

ENTRIES: Final[dict[str, Entry]] = {
    "openai": Entry(dialect=OpenAI(), limits=_OPENAI, base_url="https://api.openai.com/v1"),
    "azure": Entry(dialect=OpenAI(key_header="api-key", roots=("/openai/v1",)), limits=_OPENAI),
    "mistral": Entry(
        dialect=OpenAI(dimensions="output_dimension"),
        limits=Limits(max_items=256, max_tokens=16_000, max_text_tokens=8192),
        base_url="https://api.mistral.ai/v1",
    ),
    "jina": Entry(
        dialect=OpenAI(extra={"task": "classification"}),
        limits=Limits(max_items=512, max_tokens=100_000, max_text_tokens=8192, max_concurrency=5),
        base_url="https://api.jina.ai/v1",
        intent="classification",
    ),
    "together": Entry(
        dialect=OpenAI(),
        limits=Limits(max_items=128, max_tokens=50_000, max_text_tokens=8192),
        base_url="https://api.together.xyz/v1",
    ),
    "cohere": Entry(
        dialect=Cohere(),
        limits=Limits(max_items=96, max_tokens=100_000, max_text_tokens=128_000),
        base_url="https://api.cohere.com",
        intent="classification",
    ),
    "voyage": Entry(
        dialect=Voyage(),
        limits=Limits(max_items=1000, max_tokens=120_000, max_text_tokens=32_000),
        base_url="https://api.voyageai.com/v1",
    ),
    "gemini": Entry(
        dialect=Gemini(),
        limits=Limits(max_items=100, max_tokens=100_000, max_text_tokens=2048),
        base_url="https://generativelanguage.googleapis.com/v1beta",
        intent="classification",
        truncation=PROVIDER,
    ),
    "tei": Entry(
        dialect=TextEmbeddingsInference(),
        limits=Limits(max_items=32, max_tokens=16_384, max_text_tokens=8192, max_concurrency=4),
        needs_key=False,
    ),
    "vllm": _own_server(truncation=OURS, max_items=256),
    "infinity": _own_server(),
    "ollama": _own_server(),
    "lmstudio": _own_server(),
    "openai-compatible": _own_server(),
}


def check_installed(encoder: Encoder) -> None:
    """Raise NotInstalled if an encoder that runs in this process lacks its library."""
    if encoder.provider == minilm.NAME:
        minilm.check_installed()
    elif encoder.provider == local.NAME:
        minilm.check_libraries(encoder.model)


def is_own(name: str, base_url: BaseUrl) -> bool:
    """Whether a base URL is at the provider's own address, which is known to exist."""
    own = ENTRIES[name].base_url
    return own is not None and parse_base_url(own).origin == base_url.origin


def names() -> list[str]:
    """All names that `resolve` knows."""
    return [*ENTRIES, minilm.NAME, local.NAME]


def resolve(
    name: str,
    *,
    model: str | None = None,
    base_url: str | None = None,
    dimensions: int | None = None,
    allowed: Iterable[tuple[str, int]] = (),
    find_local: FindLocal = lambda _: None,
) -> Encoder:
    """The encoder that a request names, with all defaults filled in. Raises InvalidProvider.

    find_local: looks up an encoder that was added to this server.
    """
    if name == local.NAME and model != minilm.NAME:
        return _local(find_local, model=model, base_url=base_url, dimensions=dimensions)
    if name == local.NAME:
        name, model = minilm.NAME, None
    if name == minilm.NAME:
        return _minilm(model=model, base_url=base_url, dimensions=dimensions)
    if name not in ENTRIES:
        message = f"There is no provider {name[:64]!r}. Choose one of {', '.join(names())}."
        raise InvalidProvider(message, field="name")
    entry = ENTRIES[name]
    url = base_url or entry.base_url
    if url is None:
        raise InvalidProvider(
            f"{name} has no fixed address: base_url is required, such as http://host:8080/v1, and "
            "the operator must have allowed that host.",
            field="base_url",
        )
    if not model and name == "tei":
        model = "served"  # it serves one model and does not need its name
    if not model or len(model) > MAX_MODEL_CHARACTERS or not model.isprintable():
        raise InvalidProvider(
            f"model is required: the name of {name}'s embedding model, as in its documentation.",
            field="model",
        )
    if name == "gemini" and not model.replace("-", "").replace(".", "").isalnum():
        raise InvalidProvider(  # the name becomes part of the path
            "A model name of gemini has only letters, digits, '-' and '.'.", field="model"
        )
    if dimensions is not None and not 1 <= dimensions <= MAX_DIMENSIONS:
        raise InvalidProvider(f"dimensions must be from 1 to {MAX_DIMENSIONS}.", field="dimensions")
    return Encoder(
        provider=name,
        base_url=str(parse_base_url(url, allowed).without(entry.dialect.endings)),
        model=model,
        dimensions=dimensions,
        intent=entry.intent,
        truncation=entry.truncation,
    )


def _local(
    find_local: FindLocal, *, model: str | None, base_url: str | None, dimensions: int | None
) -> Encoder:
    found = find_local(model) if model else None
    if not model or found is None:
        raise InvalidProvider(
            f"There is no encoder {model[:64]!r} here. GET /encoders lists those that there are."
            if model
            else "model is required: the name of an encoder, as GET /encoders lists them.",
            field="model",
        )
    if base_url is not None:
        raise InvalidProvider("Local encoders have no base_url.", field="base_url")
    sha256, n_columns = found
    if dimensions not in {None, n_columns}:
        message = f"The encoder {model} always gives {n_columns} dimensions."
        raise InvalidProvider(message, field="dimensions")
    return Encoder(
        provider=local.NAME,
        base_url=None,
        model=model,
        dimensions=n_columns,
        intent="none",
        truncation=OURS,
        sha256=sha256,
    )


def _minilm(*, model: str | None, base_url: str | None, dimensions: int | None) -> Encoder:
    if model not in {None, minilm.MODEL}:
        raise InvalidProvider(f"{minilm.NAME} has only the model {minilm.MODEL}.", field="model")
    if base_url is not None:
        raise InvalidProvider(
            f"{minilm.NAME} runs in the server and has no base_url.", field="base_url"
        )
    if dimensions not in {None, minilm.N_COLUMNS}:
        message = f"{minilm.NAME} always gives {minilm.N_COLUMNS} dimensions."
        raise InvalidProvider(message, field="dimensions")
    return Encoder(
        provider=minilm.NAME, base_url=None, model=minilm.MODEL, intent="none", truncation=OURS
    )
