"""Export the adapted encoder of a head: as PEFT's adapter, or merged for sentence-transformers."""

import json
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.encoder.adapter import Adapter
from nmtune.heads.head import Head
from providers import probe_texts
from providers.encoder import Encoder
from providers.local.adapter import AdaptedEncoder
from providers.local.directory import EncoderFiles, read_encoder
from providers.local.files import MODULES, WEIGHTS
from providers.local.layout import stored_name
from providers.local.network import Network
from providers.local.provider import LoadedEncoder
from providers.local.tokenizer import read_tokenizer
from service.export.agreement import TOLERANCE
from service.export.archive import json_bytes, zip_bytes
from service.http.errors import Problem
from store.registry.heads import HeadVersion

HEAD: Final = "head.safetensors"
_ADAPTER: Final = "adapter_model.safetensors"
_ADAPTER_CONFIG: Final = "adapter_config.json"
_PREFIX: Final = "base_model.model."

_TEXTS: Final = (*probe_texts.TEXTS, "yes", "Please cancel the order that I made this morning.")


def check_adapted(version: HeadVersion, head: Head) -> None:
    """Raise Problem unless the head judges the vectors of an adapted encoder."""
    if head.adapter is None or (version.encoder or {}).get("adapter") is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "no_adapter",
            f"{version.name}@{version.version} judges embeddings of an encoder that was not "
            "adapted, so there is no adapter to export. Use another format.",
            field="format",
        )


def peft_bytes(version: HeadVersion, head: Head, place: Path) -> bytes:
    """A zip of an adapter in PEFT's layout, and the head in a file of ours.

    place: of the base's files. Raises Problem.
    """
    adapter, base, expected = _opened(version, head, place)
    family = base.config.family
    tensors, layers = {}, set()
    for name, pair in adapter.pairs.items():
        stored = stored_name(f"{name}.weight", family).removesuffix(".weight")
        layers.add(stored.split(".layer.")[1].partition(".")[2])
        tensors[f"{_PREFIX}{stored}.lora_A.weight"] = pair.a.numpy()
        tensors[f"{_PREFIX}{stored}.lora_B.weight"] = pair.b.numpy()
    config = {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": (version.encoder or {}).get("model"),
        "inference_mode": True,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha * adapter.strength,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": _pattern(layers),
        "modules_to_save": None,
    }
    weights = _saved(tensors)
    _require_same("the PEFT adapter", _by_peft(weights, config, base), expected, adapter, base)
    about = _readme(
        version,
        "An adapter in PEFT's layout. Load it on the base encoder with "
        "`PeftModel.from_pretrained(AutoModel.from_pretrained(BASE), FOLDER)`, take the "
        f"{base.settings.pooling} over a text's tokens"
        + (", and bring it to length 1." if adapter.normalised else "."),
    )
    return _zipped(
        version,
        "peft",
        head,
        {"README.md": about, _ADAPTER_CONFIG: json_bytes(config), _ADAPTER: weights},
    )


def merged_bytes(version: HeadVersion, head: Head, place: Path) -> bytes:
    """A zip of a directory that sentence-transformers loads, and the head.

    place: of the base's files. Raises Problem.
    """
    adapter, base, expected = _opened(version, head, place)
    folded = adapter.folded(base.tensors)
    weights = _saved({base.stored_names[name]: one for name, one in folded.items()})
    files = {name: part.read() for name, part in base.files.items() if name != WEIGHTS}
    if base.settings.normalise and not adapter.normalised:
        files[MODULES] = _without_normalize(files[MODULES])
    _require_same("the merged encoder", _by_weights(weights, base), expected, adapter, base)
    about = _readme(
        version,
        "The adapted encoder as a directory of sentence-transformers: "
        "`SentenceTransformer(FOLDER).encode(texts)` gives the embeddings that the head judges.",
    )
    return _zipped(version, "encoder", head, {"README.md": about, **files, WEIGHTS: weights})


def _opened(
    version: HeadVersion, head: Head, place: Path
) -> tuple[Adapter, EncoderFiles, NDArray[np.float32]]:
    """The adapter, the files of its base, and the vectors that are served."""
    check_adapted(version, head)
    adapter = Adapter.from_bytes(head.adapter or b"")
    known = version.encoder or {}
    base = read_encoder(place)
    data = head.to_bytes()
    provider = AdaptedEncoder(Encoder.from_dict(known), lambda _: place, lambda: data)
    return adapter, base, provider.embed(_TEXTS, seconds=60).vectors


def _pattern(layers: set[str]) -> str:
    """The adapted layers as PEFT matches them: BERT's other parts have layers called `dense`."""
    names = "|".join(sorted(layer.replace(".", r"\.") for layer in layers))
    return rf"(.*\.)?layer\.\d+\.({names})"


def _saved(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    from safetensors.numpy import save

    plain = {name: np.ascontiguousarray(one, np.float32) for name, one in tensors.items()}
    return save(plain, metadata={"format": "pt"})


def _by_peft(
    data: bytes, config: Mapping[str, Any], base: EncoderFiles
) -> dict[str, NDArray[np.float32]]:
    """The base's weights with the exported adapter merged in, read as PEFT reads it."""
    from safetensors.numpy import load

    found, weights = load(data), dict(base.tensors)
    for name in base.tensors:
        stored = stored_name(name, base.config.family).removesuffix(".weight")
        if f"{_PREFIX}{stored}.lora_A.weight" in found and name.endswith(".weight"):
            a, b = (found[f"{_PREFIX}{stored}.lora_{one}.weight"] for one in "AB")
            scale = config["lora_alpha"] / config["r"]
            weights[name] = weights[name] + (scale * (b @ a)).astype(np.float32)
    return weights


def _by_weights(data: bytes, base: EncoderFiles) -> dict[str, NDArray[np.float32]]:
    from safetensors.numpy import load

    found = load(data)
    return {name: found[stored] for name, stored in base.stored_names.items()}


def _require_same(
    what: str,
    weights: Mapping[str, NDArray[np.float32]],
    expected: NDArray[np.float32],
    adapter: Adapter,
    base: EncoderFiles,
) -> None:
    """Problem `export_disagrees` unless the exported weights give the vectors that are served."""
    settings = replace(base.settings, normalise=adapter.normalised)
    tokenizer = read_tokenizer(base.tokenizer, base.config, base.settings)
    found = LoadedEncoder(Network(base.config, weights), settings, tokenizer).embed(_TEXTS).vectors
    error = float(np.abs(found - expected).max())
    if not error <= TOLERANCE:
        raise Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "export_disagrees",
            f"The export is refused because {what} does not embed as the served encoder does: a "
            f"vector differs by {error:.2g}. Send the operator the request_id.",
        )


def _without_normalize(modules: bytes) -> bytes:
    kept = [one for one in json.loads(modules) if not one["type"].endswith(".Normalize")]
    return json_bytes(kept)


def _readme(version: HeadVersion, text: str) -> bytes:
    return (
        f"# {version.name} {version.version}\n\n{text}\n\n`{HEAD}` is the head, which judges these "
        "embeddings; NMTune's runner reads it (export format `bundle`).\n"
    ).encode()


def _zipped(version: HeadVersion, kind: str, head: Head, files: Mapping[str, bytes]) -> bytes:
    folder = f"{version.name}-{version.version}-{kind}"
    members = {**files, HEAD: head.with_adapter(None).to_bytes()}
    return zip_bytes({f"{folder}/{name}": content for name, content in members.items()})
