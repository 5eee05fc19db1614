"""Take in a body of any format, and make a dataset of it."""

import hashlib
import re
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final

import orjson
from anyio import to_thread
from fastapi import Request

from service.datasets.schemas import DatasetCreate, RowsCreate
from service.http.errors import Problem
from service.http.json_body import is_json, read_json, validate
from service.ingest.dataset import assemble, inline, npz, texts, unlabelled
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.dataset.row_splits import SplitOptions
from service.ingest.dataset.texts import PreparedTexts
from service.ingest.errors import BadInput
from service.ingest.formats import detect
from service.ingest.formats.detect import MEDIA_TYPES, NPZ_TYPES, OCTETS, Format
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
    """How a request wants its file read: which columns, and which splits to make."""

    wanted: Wanted = field(default_factory=Wanted)
    options: SplitOptions = field(default_factory=SplitOptions)

    @property
    def is_default(self) -> bool:
        """Whether the request chooses nothing."""
        return self == Reading()

    @property
    def is_of_all(self) -> bool:
        """Whether it chooses nothing that only a table of columns has."""
        merge = self.options.merge_similar
        return self == Reading(options=SplitOptions(merge_similar=merge))

    def as_text(self) -> str:
        """A text that is the same for equal readings; idempotency compares it."""
        return "" if self.is_default else orjson.dumps(asdict(self)).decode()


UNLABELLED: Final = Reading(wanted=Wanted(is_labelled=False))


@dataclass(frozen=True, kw_only=True)
class ReceivedBody(ABC):
    """A body that was taken in whole; `read` makes a dataset of it."""

    name: str
    """What the dataset is called."""
    content_type: str
    sha256: str
    """Of the body, or of the file in it: what makes two requests one."""

    @abstractmethod
    def read(self, *, is_addition: bool = False) -> PreparedDataset | PreparedTexts:
        """The dataset in the body. Blocking; raises Problem and BadInput.

        `is_addition`: its rows will join those of a dataset, see `prepared.build`.
        """


@dataclass(frozen=True, kw_only=True)
class ReceivedJson(ReceivedBody):
    """A JSON body: embeddings or texts, with labels."""

    body: RowsCreate
    merge_similar: bool
    workdir: Path

    def read(self, *, is_addition: bool = False) -> PreparedDataset | PreparedTexts:
        """The dataset that the values are."""
        body = self.body
        if body.texts is None and body.embeddings is None:
            raise Problem(
                422,
                "invalid_request",
                "embeddings is required, or texts instead.",
                field="embeddings",
            )
        if body.texts is None:
            return inline.prepare(
                body.embeddings,
                body.labels,
                body.splits,
                workdir=self.workdir,
                merge_similar=self.merge_similar,
                is_addition=is_addition,
            )
        if body.embeddings is not None:
            raise Problem(
                422,
                "invalid_request",
                "Send either embeddings or texts, not both: leave out texts.",
                field="texts",
            )
        return texts.prepare(
            body.texts,
            body.labels,
            body.splits,
            merge_similar=self.merge_similar,
            is_addition=is_addition,
        )


@dataclass(frozen=True, kw_only=True)
class ReceivedFile(ReceivedBody):
    """A file, sent as the body, in a form, or in the parts of an upload."""

    received: Received
    content_encoding: str
    reading: Reading
    workdir: Path
    max_bytes: int

    def read(self, *, is_addition: bool = False) -> PreparedDataset | PreparedTexts:
        """The dataset in the file: an .npz is read here, all else by a process of its own."""
        reading, received = self.reading, self.received
        with received.path.open("rb") as file:
            found = self._format(file)
            if found.kind == "npz":
                return self._read_npz(file, is_addition=is_addition)
        plain = Wanted(is_labelled=reading.wanted.is_labelled)
        if found.kind in ("npy", "safetensors") and reading.wanted != plain:
            raise _not_for(f"{found.kind} files, which have none", what="Columns")
        decoded = sandbox.decode(
            received.path,
            found,
            wanted=reading.wanted,
            workdir=self.workdir,
            max_bytes=self.max_bytes,
            parts=received.parts,
        )
        received.path.unlink()  # the decoded rows hold all that is needed
        if not reading.wanted.is_labelled:
            return unlabelled.assemble(decoded, workdir=self.workdir)
        return assemble.assemble(
            decoded, options=reading.options, workdir=self.workdir, is_addition=is_addition
        )

    def _format(self, file: IO[bytes]) -> Format:
        if self.content_type in NPZ_TYPES:
            found = Format(kind="npz")
        else:
            found = detect.detect(
                file,
                content_type=self.content_type,
                file_name=self.received.file_name,
                content_encoding=self.content_encoding,
            )
        if self.received.parts and found.kind not in ("npy", "safetensors"):
            part = f"{next(iter(self.received.parts))}s"
            raise BadInput(
                "unexpected_part",
                f"The form has a part {part}, but a {found.kind} file has its own {part}: leave "
                "the part out.",
                field=part,
            )
        return found

    def _read_npz(self, file: IO[bytes], *, is_addition: bool) -> PreparedDataset:
        reading = self.reading
        if reading == UNLABELLED:
            return unlabelled.read_npz(file, workdir=self.workdir, max_bytes=self.max_bytes)
        if not reading.is_of_all:
            raise _not_for(".npz files, whose array names tell them")
        return npz.read(
            file,
            workdir=self.workdir,
            max_bytes=self.max_bytes,
            merge_similar=reading.options.merge_similar,
            is_addition=is_addition,
        )


async def receive(
    request: Request,
    name: str | None,
    *,
    reading: Reading,
    workdir: Path,
    settings: ServiceSettings,
    is_addition: bool = False,
) -> ReceivedBody:
    """Take the body in, whatever its form. Raises Problem and BadInput.

    `is_addition`: its rows will join those of a dataset; the name is empty if none is given.
    """
    header = request.headers.get("content-type", "")
    content_type = header.partition(";")[0].strip().lower()
    if is_json(header):
        return await _receive_json(request, name, content_type, reading, workdir, is_addition)
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
            "This Content-Type is not a dataset's. Send a file as the body, with the Content-Type "
            "of its format (such as text/csv, application/vnd.apache.parquet, "
            "application/x-ndjson, application/x-npz), or as the part file of a "
            "multipart/form-data form; or send JSON as application/json.",
        )
    return ReceivedFile(
        name=name or received.name or ("" if is_addition else name_of_file(received.file_name)),
        content_type=content_type,
        sha256=received.sha256,
        received=received,
        content_encoding=request.headers.get("content-encoding", "").strip().lower(),
        reading=reading,
        workdir=workdir,
        max_bytes=settings.max_upload_bytes,
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
) -> ReceivedBody:
    """The file of a resumable upload, as if it were the body. Raises Problem, NotFound."""
    async for chunk in request.stream():
        if chunk:
            raise Problem(
                422,
                "invalid_request",
                "Send either a body or upload=, not both: the upload already holds the file.",
                field="upload",
                headers={"Connection": "close"},
            )
    received, metadata = await parts.assembled(
        store, tenant_id, upload_id, workdir=workdir, settings=settings
    )
    # An unknown type, such as a browser's guess, leaves it to the file's name and first bytes.
    is_known = metadata.media_type in MEDIA_TYPES
    content_type = metadata.media_type if is_known and metadata.media_type else OCTETS
    return ReceivedFile(
        name=name_of_file(received.file_name) if name is None else name,
        content_type=content_type,
        sha256=received.sha256,
        received=received,
        content_encoding="",
        reading=reading,
        workdir=workdir,
        max_bytes=settings.max_upload_bytes,
    )


async def _receive_json(
    request: Request,
    name: str | None,
    content_type: str,
    reading: Reading,
    workdir: Path,
    is_addition: bool,
) -> ReceivedBody:
    if not reading.is_of_all:
        raise _not_for("a JSON body (application/json)")
    value = await read_json(request)
    if isinstance(value, list):
        raise Problem(
            422,
            "invalid_request",
            "The body is a JSON list. A list with one object per row is a file: send it with the "
            "Content-Type application/x-ndjson, or as the part file of a form, named .json.",
            field="body",
        )
    merge_similar, named = reading.options.merge_similar, ""
    body = validate(RowsCreate if is_addition else DatasetCreate, value)
    if isinstance(body, DatasetCreate):
        merge_similar, named = body.merge_similar or merge_similar, body.name or DEFAULT_NAME
    content = await request.body()
    digest = await to_thread.run_sync(lambda: hashlib.sha256(content).hexdigest())
    return ReceivedJson(
        name=name or named,
        content_type=content_type,
        sha256=digest,
        body=body,
        merge_similar=merge_similar,
        workdir=workdir,
    )


def name_of_file(file_name: str | None) -> str:
    """A dataset name from a file's name: no folder, no suffix, and '-' for odd characters."""
    last = re.split(r"[/\\]", file_name or "")[-1]
    last = re.sub(r"\.(gz|gzip|zst|zstd)$", "", last, flags=re.IGNORECASE)
    stem = last.rpartition(".")[0] or last
    return _NOT_IN_NAMES.sub("-", stem).lstrip("._-")[:64] or DEFAULT_NAME


def _not_for(file: str, what: str = "Columns and splits") -> Problem:
    return Problem(
        422,
        "invalid_request",
        f"{what} cannot be chosen for {file}: leave out these parameters.",
        field="query",
    )
