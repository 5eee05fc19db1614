"""Pack the files of a model's directory that the server reads, the same bytes for the same files.

So an interrupted upload of the archive can be resumed.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REQUIRED = ("config.json", "model.safetensors", "tokenizer.json")
OTHERS = (
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "nmtune.json",
    "sentence_bert_config.json",
    "tokenizer_config.json",
)
CHOICES = "nmtune.json"


def write_archive(directory: Path, path: Path, choices: Mapping[str, Any]) -> None:
    """Write the archive of the model in `directory` to `path`.

    choices: what to change of the model's own settings, over those of its nmtune.json. Raises
    ValueError if a required file is missing.
    """
    for name in REQUIRED:
        if not (directory / name).is_file():
            raise ValueError(f"{directory} has no {name}: {_instead(directory, name)}")
    made = {CHOICES: _choices(directory, choices)} if choices else {}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted((*REQUIRED, *OTHERS)):
            info = tarfile.TarInfo(name)
            if name in made:
                info.size = len(made[name])
                archive.addfile(info, io.BytesIO(made[name]))
            elif (directory / name).is_file():
                info.size = (directory / name).stat().st_size
                with (directory / name).open("rb") as file:
                    archive.addfile(info, file)


def _choices(directory: Path, choices: Mapping[str, Any]) -> bytes:
    path = directory / CHOICES
    known = json.loads(path.read_text()) if path.is_file() else {}
    if not isinstance(known, dict):
        raise ValueError(f"{path} is not a JSON object")
    return json.dumps(known | dict(choices), sort_keys=True).encode()


def _instead(directory: Path, name: str) -> str:
    if name == "model.safetensors" and sorted(directory.glob("*.bin")):
        return (
            "a .bin file may be a pickle, which can run code and is never read. Save the model "
            "again as safetensors, with save_pretrained of transformers 5"
        )
    return "save model and tokenizer there with transformers or sentence-transformers"
