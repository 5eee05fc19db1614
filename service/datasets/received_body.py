"""The home of an upload: a body of any format, taken in, and how it becomes a dataset."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import orjson
from anyio import to_thread
from fastapi import Request

from service.datasets.schemas import DatasetCreate
from service.http.errors import Problem
from service.http.json_body import is_json, read_json, validate
from service.ingest.dataset import assemble, inline, npz, texts, unlabelled
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.dataset.row_splits import SplitOptions
from service.ingest.dataset.texts import PreparedTexts
from service.ingest.errors import BadInput
from service.ingest.formats import detect
from service.ingest.formats.detect import MEDIA_TYPES, NPZ_TYPES, OCTETS
from service.ingest.isolate import sandbox
from service.ingest.names.columns import Wanted
from service.ingest.received import Received, receive_form, receive_raw
from service.settings import ServiceSettings
from service.uploads import parts
from store.names import check_name
from store.store import Store

DEFAULT_NAME: Final = "dataset"
FORM: Final = "multipart/form-data"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a request says of how to read its file: which columns, and which splits to make."""

    wanted: Wanted = field(default_factory=Wanted)
    options: SplitOptions = field(default_factory=SplitOptions)

    @property
    def is_default(self) -> bool:
        """Whether it says nothing."""
        return self == Reading()

    @property
    def is_of_all(self) -> bool:
        """Whether it says nothing that only a table of columns can follow."""
        merge = self.options.merge_similar
        return self == Reading(options=SplitOptions(merge_similar=merge))

    def as_text(self) -> str:
        """The same for equal ones: a part of what makes two requests one."""
        return "" if self.is_default else orjson.dumps(asdict(self)).decode()


UNLABELLED: Final = Reading(wanted=Wanted(is_labelled=False))


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A received body: what it is called, what it is known by, and how it becomes a dataset."""

    name: str
    content_type: str
    body_sha256: str
    prepare: Callable[[], PreparedDataset | PreparedTexts]


async def receive(
    request: Request,
    name: str | None,
    *,
    reading: Reading,
    workdir: Path,
    settings: ServiceSettings,
) -> Upload:
    """Take the body in, in whichever of its forms it comes. Raises Problem and BadInput."""
    header = request.headers.get("content-type", "")
    content_type = header.partition(";")[0].strip().lower()
    if is_json(header):
        return await _receive_json(request, name, content_type, reading, workdir)
    path = workdir / "upload"
    if content_type == FORM:
        received = await receive_form(request.stream(), path, content_type=header)
        if received.name is not None:
            check_name("dataset", received.name)
    elif content_type in MEDIA_TYPES or content_type == OCTETS:
        received = await receive_raw(request.stream(), path)
    else:
        raise Problem(
            415,
            "unsupported_media_type",
            "Send a dataset file as the body, with the Content-Type of its format (such as "
            "text/csv, application/vnd.apache.parquet, application/x-ndjson, application/x-npz) "
            "or in a multipart/form-data part named file; or JSON as application/json.",
        )
    return Upload(
        name=name or received.name or name_of_file(received.file_name),
        content_type=content_type,
        body_sha256=received.sha256,
        prepare=partial(
            _read_file,
            received,
            content_type=content_type,
            content_encoding=request.headers.get("content-encoding", "").strip().lower(),
            reading=reading,
            workdir=workdir,
            max_bytes=settings.max_upload_bytes,
        ),
    )


async def receive_uploaded(
    request: Request,
    upload_id: str,
    name: str | None,
    *,
    reading: Reading,
    workdir: Path,
    settings: ServiceSettings,
    store: Store,
    tenant_id: str,
) -> Upload:
    """The file of a resumable upload, as if it were the body. Raises Problem, NotFound."""
    async for chunk in request.stream():
        if chunk:
            raise Problem(
                422,
                "invalid_request",
                "Send either a body or upload=, not both: the upload holds the file already.",
                field="upload",
                headers={"Connection": "close"},
            )
    received, metadata = await parts.assembled(
        store, tenant_id, upload_id, workdir=workdir, settings=settings
    )
    # A type that is none of ours, such as a browser's guess, leaves it to the name and first bytes.
    is_known = metadata.media_type in MEDIA_TYPES
    content_type = metadata.media_type if is_known and metadata.media_type else OCTETS
    return Upload(
        name=name or name_of_file(received.file_name),
        content_type=content_type,
        body_sha256=received.sha256,
        prepare=partial(
            _read_file,
            received,
            content_type=content_type,
            content_encoding="",
            reading=reading,
            workdir=workdir,
            max_bytes=settings.max_upload_bytes,
        ),
    )


async def _receive_json(
    request: Request, name: str | None, content_type: str, reading: Reading, workdir: Path
) -> Upload:
    if not reading.is_of_all:
        raise _not_for("JSON sent as application/json")
    value = await read_json(request)
    if isinstance(value, list):
        raise Problem(
            422,
            "invalid_request",
            "The body is a JSON list. A list of one object a row is a file: send it with the "
            "Content-Type application/x-ndjson, or as the part file of a form, called .json.",
            field="body",
        )
    body = validate(DatasetCreate, value)
    merge_similar = body.merge_similar or reading.options.merge_similar
    content = await request.body()
    digest = await to_thread.run_sync(lambda: hashlib.sha256(content).hexdigest())
    return Upload(
        name=name or body.name or DEFAULT_NAME,
        content_type=content_type,
        body_sha256=digest,
        prepare=partial(_read_body, body, workdir=workdir, merge_similar=merge_similar),
    )


def _read_body(
    body: DatasetCreate, *, workdir: Path, merge_similar: bool
) -> PreparedDataset | PreparedTexts:
    if body.texts is None and body.embeddings is None:
        raise Problem(
            422,
            "invalid_request",
            "embeddings is required, or texts in their place.",
            field="embeddings",
        )
    if body.texts is None:
        return inline.prepare(
            body.embeddings,
            body.labels,
            body.splits,
            workdir=workdir,
            merge_similar=merge_similar,
        )
    if body.embeddings is not None:
        raise Problem(
            422,
            "invalid_request",
            "Send either embeddings or texts, not both: leave out texts.",
            field="texts",
        )
    return texts.prepare(body.texts, body.labels, body.splits, merge_similar=merge_similar)


def _read_file(
    received: Received,
    *,
    content_type: str,
    content_encoding: str,
    reading: Reading,
    workdir: Path,
    max_bytes: int,
) -> PreparedDataset | PreparedTexts:
    """The dataset in the file: an .npz is read here, all else by a process of its own. Blocking."""
    with received.path.open("rb") as file:
        if content_type in NPZ_TYPES:
            found = detect.Format(kind="npz")
        else:
            found = detect.detect(
                file,
                content_type=content_type,
                file_name=received.file_name,
                content_encoding=content_encoding,
            )
        if received.parts and found.kind not in ("npy", "safetensors"):
            part = f"{next(iter(received.parts))}s"
            raise BadInput(
                "unexpected_part",
                f"The form has a part {part}, but a file of the kind {found.kind} holds its own.",
                field=part,
            )
        if found.kind == "npz":
            if reading == UNLABELLED:
                return unlabelled.read_npz(file, workdir=workdir, max_bytes=max_bytes)
            if not reading.is_of_all:
                raise _not_for("an .npz file, whose arrays say it")
            return npz.read(
                file,
                workdir=workdir,
                max_bytes=max_bytes,
                merge_similar=reading.options.merge_similar,
            )
    plain = Wanted(is_labelled=reading.wanted.is_labelled)
    if found.kind in ("npy", "safetensors") and reading.wanted != plain:
        raise _not_for(f"a file of the kind {found.kind}, which has none", what="Columns")
    decoded = sandbox.decode(
        received.path,
        found,
        wanted=reading.wanted,
        workdir=workdir,
        max_bytes=max_bytes,
        parts=received.parts,
    )
    received.path.unlink()  # what is needed of it is in the decoded rows
    if not reading.wanted.is_labelled:
        return unlabelled.assemble(decoded, workdir=workdir)
    return assemble.assemble(decoded, options=reading.options, workdir=workdir)


def name_of_file(file_name: str | None) -> str:
    """A dataset name made of a file's name: without folder and suffix, odd characters as '-'."""
    last = re.split(r"[/\\]", file_name or "")[-1]
    last = re.sub(r"\.(gz|gzip|zst|zstd)$", "", last, flags=re.IGNORECASE)
    stem = last.rpartition(".")[0] or last
    return _NOT_IN_NAMES.sub("-", stem).lstrip("._-")[:64] or DEFAULT_NAME


def _not_for(file: str, what: str = "Columns and splits") -> Problem:
    return Problem(
        422,
        "invalid_request",
        f"{what} cannot be chosen for {file}: leave these parameters out.",
        field="query",
    )
