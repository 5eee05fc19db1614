"""Check an encoder's files, and run it once on the probe texts."""

from pathlib import Path
from typing import Final

import orjson

from service.ingest.errors import BadInput

ARCHIVE: Final = "encoder.tar"
DESCRIPTION: Final = "encoder.json"


def read(path: Path, folder: Path) -> None:
    """Check the encoder at `path` and write archive and description to `folder`.

    Raises BadInput, which names the file.
    """
    from providers import probe_texts
    from providers.errors import ProviderError
    from providers.local import files
    from providers.local.description import description_of
    from providers.local.provider import load

    try:
        found = load(path)
        found.embed(probe_texts.TEXTS)
    except ProviderError as error:
        file = getattr(error, "field", None)
        raise BadInput(error.code, str(error), field=file or "model.safetensors") from None
    with (folder / ARCHIVE).open("wb") as archive:
        for chunk in files.pack(files.find(path)):
            archive.write(chunk)
    description = description_of(found.network.config, found.settings)
    (folder / DESCRIPTION).write_bytes(orjson.dumps(description.to_dict()))
