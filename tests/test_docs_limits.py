"""What the docs say in figures, statuses and codes is what the code has.

Every figure with a unit in the pages below is either in a sentence made here from its constant, or
in `MEASURED`: what was measured, is an example, or is somebody else's limit. A new figure fails the
test until it is in one of the two.
"""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from nmtune_client._datasets.upload import RESUMABLE_BYTES
from nmtune_client._report import brief as _report_brief

from nmtune.bridge import moving, space_map
from nmtune.heads import adaptation, temperature
from nmtune.study import evaluation, row_selection
from nmtune.training import choose
from nmtune.trust import abstention, self_test
from outbound import documents
from pages.figures import confusion, per_class
from pages.views import map as maps
from providers.embedder import Patience
from providers.http import exchange
from service.datasets.revision_schemas import MAX_CORRECTIONS
from service.heads import notes, selection, selection_schemas
from service.http.errors import MAX_ERRORS
from service.ingest import limits
from service.ingest.dataset import profile
from service.ingest.dataset.row_splits import SPLIT_SEED, TEST_FRACTION
from service.ingest.formats import csv, json_records, parquet
from service.ingest.isolate import sandbox
from service.ingest.names import columns
from service.ingest.names.value_name import MAX_TEXT_CHARACTERS
from service.jobs.routes import MAX_WAIT_SECONDS
from service.listen import protocol
from service.predict.aliased_heads import LOOK_AGAIN_SECONDS
from service.predict.batching import BATCH_ROWS
from service.predict.predictor import Predictor
from service.settings import ServiceSettings
from standalone.logs import LogSettings
from standalone.up import GRACE_SECONDS
from store import drift, uploads
from store.bytes import checked_file
from store.bytes.s3 import bucket
from store.bytes.s3.client import Patience as S3Patience
from store.cleanup import garbage
from store.embedding import text_vectors
from store.files import texts
from store.registry import aliases, head_deletion
from store.settings import StoreSettings
from workers.attempt import failure
from workers.child import findings, new_domain, predict
from workers.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
PAGES = (
    "inside/serving", "inside/taking-files-in", "reference/api", "reference/job-states",
    "reference/settings", "run/configuration", "run/object-storage", "run/operations",
    "use/datasets", "use/heads", "use/pages", "use/predicting-files", "use/predicting-rows",
    "use/providers", "use/report",
)  # fmt: skip
UNITS = (
    "GiB|MiB|KiB|GB|MB|kB|bytes|rows|columns|classes|characters|texts|tokens|places|parts|versions"
    "|seconds|second|s|ms|minutes|hours|days"
)
FIGURE = re.compile(rf"(?<![\w.,])\d[\d,]*(?:\.\d+)?[ -](?:{UNITS})\b")
MIB = 1 << 20
DAY = 86_400
SETTINGS = {
    f"NMTUNE_{name.upper()}": field
    for settings in (StoreSettings, ServiceSettings, WorkerSettings, LogSettings)
    for name, field in settings.model_fields.items()
}


def default(name: str) -> Any:
    return SETTINGS[f"NMTUNE_{name}"].default


def most(name: str) -> Any:
    return next(one.le for one in SETTINGS[f"NMTUNE_{name}"].metadata if hasattr(one, "le"))


WAITING_ROWS = inspect.signature(Predictor).parameters["max_waiting_rows"].default
BLOCK = f"block of about {limits.BLOCK_BYTES // MIB} MiB"
STATED: dict[str, list[str]] = {
    "reference/api": [
        f"({MAX_ERRORS} at most; {limits.MAX_PLACES} of numbers that are not finite)",
        BLOCK,
        f"by the hour, for {drift.KEPT_HOURS // 24} days",
        f"had not stored yet, {default('DRIFT_FLUSH_SECONDS'):g} seconds' worth",
        f"if it ends within 30 seconds (at most {MAX_WAIT_SECONDS})",
        f"{protocol.MOST_HEADER_BYTES // 1024} KiB for all headers together (431 "
        f"`headers_too_large`) and {protocol.MOST_TARGET_BYTES:,} bytes for the target",
        f"{default('HEADER_SECONDS'):g} seconds ([`NMTUNE_HEADER_SECONDS`]",
        f"At most {protocol.MOST_PIPELINED} requests may wait on one connection",
        f"dropped, up to {protocol.MOST_HEADER_BYTES // 1024} KiB at a time",
        f"a broken one again every {LOOK_AGAIN_SECONDS:g} seconds",
    ],
    "run/configuration": [],
    "reference/settings": [
        f"stored at a time; at most {most('UPLOAD_PART_BYTES') // MIB} MiB",
        f"(and {WAITING_ROWS:,} rows)",
    ],
    "use/datasets": [
        f"if the sum is within {limits.LARGE_BYTES // MIB} MiB",
        f"Names have 1 to {limits.MAX_LABEL_CHARACTERS} characters",
        f"effective rank of at most {profile.SAMPLE_ROWS:,} rows",
        f"names the first {limits.MAX_PLACES} places",
        BLOCK,
        f"`NMTUNE_MAX_UPLOAD_BYTES` each ({default('MAX_UPLOAD_BYTES') >> 30} GiB)",
        f"| rows; columns of an embedding; classes | {limits.MAX_ROWS:,}; {limits.MAX_COLUMNS:,}; "
        f"{limits.MAX_CLASSES:,} |",
        f"row groups) | {columns._MAX_OTHERS:,}; {parquet._MAX_LISTED:,} |",
        f"| distinct splits, domains | {limits.MAX_NAMES:,} |",
        f"an id | {limits.MAX_LABEL_CHARACTERS} characters |",
        f"beside a matrix; ids | {limits.MAX_LABEL_BYTES // MIB} MiB each |",
        f"| arrays of an `.npz` | {limits.MAX_MEMBERS} |",
        f"an object of JSON | {csv.BLOCK_BYTES // MIB} MiB; "
        f"{json_records.MAX_LINE_BYTES // MIB} MiB |",
        f"| texts; all of them; one | {limits.MAX_TEXTS:,}; {limits.MAX_TEXT_BYTES // MIB} MiB; "
        f"{MAX_TEXT_CHARACTERS:,} characters |",
        f"| unpacked over packed | {limits.MAX_RATIO}, beyond {limits.LARGE_BYTES // MIB} MiB |",
        f"| {sandbox.MEMORY_BYTES // MIB} MiB may be allocated",
        f"| its time | {sandbox.SECONDS} s, and one second more for each "
        f"{sandbox.BYTES_PER_SECOND // MIB} MiB of the file |",
        f"`test_fraction` ({TEST_FRACTION}) becomes `test`",
        f"with the seed `split_seed` ({SPLIT_SEED})",
        f"of {RESUMABLE_BYTES // MIB} MiB and more in parts",
        f"`NMTUNE_UPLOAD_PART_BYTES` ({default('UPLOAD_PART_BYTES') // MIB} MiB)",
        f"There may be {uploads.MAX_PARTS:,} parts",
        f"Each list may name {MAX_CORRECTIONS:,} rows.",
        f"and lists the first {limits.MAX_PLACES} of its kind",
    ],
    "inside/taking-files-in": [f"begins with {uploads.SALT_BYTES} random bytes"],
    "use/pages": [
        f"above {per_class.MOST_DRAWN} classes as a table",
        f"above {confusion.MOST_DRAWN} classes the most frequent mistakes",
        f"has the PCA of {maps.N_DRAWN:,} rows",
    ],
    "use/heads": [
        f"{adaptation.FEWEST_ROWS} to {adaptation.MOST_ROWS:,}, as `embeddings`",
        f"may have {adaptation.MOST_CLASSES:,} classes",
        f"at most {selection.MOST_ROWS:,} embeddings or {selection.MOST_TEXTS:,} texts",
        f"`n_rows` is 1 to {selection_schemas.MOST_CHOSEN:,}",
        f"`ood_share` ({row_selection.OOD_SHARE:g})",
        f"from {adaptation.FEWEST_ROWS_FOR_LAYER} rows on",
        f"(up to {adaptation.MOST_CLASSES_FOR_LAYER} classes)",
        f"{space_map.FEWEST_PAIRS} different ones at least, {space_map.MANY_PAIRS} or more lose",
        f"agree on less than {100 * moving.LEAST_AGREEMENT:g} % of it",
        f"kept from before ({text_vectors.KEPT_SECONDS / 86_400:g} days)",
        f"the last {aliases.MAX_HISTORY} versions",
        f"the up to {self_test.MOST_ROWS} rows",
        f"`description` ({notes.MAX_DESCRIPTION_CHARACTERS:,} characters) and `tags` "
        f"({notes.MAX_TAGS} words with values of up to {notes.MAX_TAG_CHARACTERS} characters",
        f"younger than {head_deletion._ROW_FOLLOWS_WITHIN.total_seconds() / 60:g} minutes",
    ],
    "reference/job-states": [
        f"for more than {Patience().give_up_seconds:g} seconds",
        f"`NMTUNE_PROVIDER_PATIENCE_SECONDS` ({default('PROVIDER_PATIENCE_SECONDS') / 3600:g} "
        "hours)",
    ],
    "run/object-storage": [
        f"anything over {bucket.PART_BYTES // MIB} MiB",
        f"with {S3Patience().connect_seconds:g} seconds to connect and "
        f"{S3Patience().answer_seconds:g} seconds of silence",
        f"slower than {bucket._SLOWEST_BYTES_PER_SECOND // 1024} KiB a second",
    ],
    "run/operations": [
        f"({GRACE_SECONDS} seconds at most)",
        f"each block of {checked_file.BLOCK_BYTES // MIB} MiB",
        f"said nothing for {default('HEADER_SECONDS'):g} seconds after it was opened",
        f"and {inspect.signature(uvicorn.Config).parameters['timeout_keep_alive'].default} seconds "
        "after an answer",
        f"goes {default('STANDBY_IDLE_SECONDS') // 60:g} minutes after its last",
        f"at most `NMTUNE_MAX_CONNECTIONS` ({default('MAX_CONNECTIONS'):,}) connections",
        f"after at most {documents.SECONDS:g} seconds for a request",
    ],
    "use/predicting-rows": [
        f"requests and {WAITING_ROWS:,} rows wait",
    ],
    "inside/serving": [f"(up to {BATCH_ROWS:,} rows)"],
    "use/predicting-files": [
        f"up to {limits.MAX_LABEL_CHARACTERS} characters",
        f"It is there for {garbage.OUTPUTS_KEPT_SECONDS / DAY:g} days",
        f"At most {limits.MAX_TEXTS:,} texts of {limits.MAX_TEXT_BYTES // MIB} MiB",
        f"in the same passes of {predict.ROWS_AT_A_TIME:,} rows",
        f"blocks of about {4 * predict.BLOCK_VALUES // MIB} MiB",
    ],
    "use/providers": [
        f"at most {exchange.MOST_ANSWER_BYTES // MIB} MiB within "
        f"{Patience().request_seconds:g} seconds",
        f"forgotten {text_vectors.KEPT_SECONDS / DAY:g} days after",
        f"Up to {Patience().give_up_seconds:g} seconds are waited for in place",
        f"as long as asked, {failure.LONGEST_ASKED_SECONDS / 3600:g} hour at most, else "
        f"{failure.FIRST_PROVIDER_DELAY_SECONDS:g} seconds, doubled up to "
        f"{failure.LONGEST_PROVIDER_DELAY_SECONDS / 60:g} minutes",
        f"After {default('PROVIDER_PATIENCE_SECONDS') / 3600:g} hours",
        f"no answer in {Patience().request_seconds:g} seconds",
    ],
    "use/report": [
        f"for {new_domain.SIZES[0]}, {new_domain.SIZES[1]} and {new_domain.SIZES[2]} rows",
        f"At most {new_domain.MOST_DOMAINS} domains, and {new_domain.MOST_CLASSES} classes",
        f"left out above {evaluation.LARGEST_MATRIX} classes",
        f"fewer than {temperature.FEWEST_ROWS} rows were held out",
        f"fewer than {abstention.FEWEST_ROWS} held-out rows or {abstention.FEWEST_WRONG} wrong",
        f"its first {texts.MOST_SHOWN_CHARACTERS} characters",
        f"on {choose.FEWEST_ROWS_TO_CALL_NOISY} rows or more",
        f"at most {findings.MAX_SUSPECTS:,} of `n_suspected`",
        f"in at most {_report_brief.MOST_LINES} lines",
    ],
}
MEASURED: dict[str, str] = {
    "reference/api": "",
    # The defaults among them are compared below.
    "run/configuration": "",
    "reference/settings": "10 GiB; 64 MiB; 4 GiB; 16 MiB; 512 MiB; 256 MiB; 300 MB",
    "use/datasets": "160 MiB; 5,000,000 rows",
    "inside/taking-files-in": "75 MB; 4.0 GB; 1,024 columns; 116 MB; 150 MB; 444 MB; 94 MB; 65 MB; "
    "440 MB; 12 GB; 65 rows; 384 columns",
    "use/heads": "2 s; 200 rows",
    "use/pages": "200 rows",
    "reference/job-states": "",
    "run/object-storage": "4 seconds",
    "run/operations": "15 seconds; 10 classes; 0.1 GiB; 0.3 GiB; 0.4 GiB; 40 seconds; 5 minutes; "
    "25 seconds; 460 ms; 4 bytes; 19 MB; 15 minutes; 3 s; 0.7 GB; 0.2 s; 50,000 rows; 150 MB",
    "use/predicting-rows": "768 columns; 1,024 rows; 4 kB",
    "inside/serving": "1,024 rows; 43 ms; 3 MB; 16 MB; 5 ms",
    "use/predicting-files": "2,000,000 rows; 40 MB; 0.3 GiB",
    # Limits of the providers' own: tests/providers compare those that we keep.
    "use/providers": "2,048 texts; 300,000 tokens; 8,192 tokens; 256 texts; 16,000 tokens; "
    "512 texts; 100,000 tokens; 128 texts; 96 texts; 1,000 texts; 120,000 tokens; 100 texts; "
    "2,048 tokens; "
    "32 texts; 2 MB; 64 texts; 256 tokens; 3 bytes",
    "use/report": "",
}
"""What was measured, is an example, or is somebody else's limit."""


def text_of(page: str) -> str:
    return " ".join((ROOT / "docs" / f"{page}.md").read_text().split())


@pytest.mark.parametrize("page", PAGES)
def test_each_limit_is_the_services(page: str) -> None:
    text = text_of(page)
    missing = [sentence for sentence in STATED[page] if sentence not in text]
    assert not missing, f"docs/{page}.md does not say what the constants are"


@pytest.mark.parametrize("page", PAGES)
def test_no_figure_stands_for_itself(page: str) -> None:
    text = text_of(page)
    for sentence in STATED[page]:
        text = text.replace(sentence, "")
    strays = set(FIGURE.findall(text)) - set(MEASURED[page].split("; "))
    assert not strays, f"docs/{page}.md: add them to STATED with their constants, or to MEASURED"


def test_nothing_is_listed_that_no_page_says() -> None:
    for page, figures in MEASURED.items():
        left = set(filter(None, figures.split("; "))) - set(FIGURE.findall(text_of(page)))
        assert not left, page


SIZES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def value_of(cell: str) -> Any:
    """What a default is, as the table writes it; text where it is in words."""
    plain = cell.strip().strip("`").partition(":")[0] if "://" not in cell else cell
    number, _, unit = plain.partition(" ")
    if unit in SIZES:
        return int(number) * SIZES[unit]
    try:
        return float(plain)
    except ValueError:
        return {"true": True, "false": False, "none": None}.get(plain, plain)


def test_each_default_of_a_setting_is_the_services() -> None:
    """But for those in words: what another setting or the machine decides."""
    rows = re.findall(
        r"^\| `(NMTUNE_[A-Z0-9_]+)` \| ([^|]+) \|",
        (ROOT / "docs/reference/settings.md").read_text(),
        re.M,
    )
    assert len(rows) == len(SETTINGS)
    in_words = []
    for name, cell in rows:
        said, field = value_of(cell), SETTINGS[name]
        if isinstance(said, str) and (" " in said or said.startswith("Amazon")):
            in_words.append(name)
        elif said != "artifacts":
            given = str(field.default) if isinstance(said, str) else field.default
            if isinstance(field.default, Path):
                said = str(Path(said))
            if isinstance(field.default, tuple):
                given = ",".join(field.default)
            assert given == said or (said is None and given in ("", (), {})), name
    assert len(in_words) <= 11, in_words  # four of them hold with keys only
