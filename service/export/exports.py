"""Make the exports of a head version, and try each on the check rows."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from nmtune.heads.head import Head
from nmtune.serving.onnx_file import onnx_bytes, run_onnx
from outbound.shared_report import without_rows
from providers.encoder import Encoder
from providers.pool import Providers
from service.export import folders, run
from service.export.agreement import TOLERANCE, CheckRows, check_rows, require_agreement
from service.export.archive import bundle_bytes, json_bytes, npz_bytes
from service.export.card import model_card
from service.export.formats import MEDIA_TYPES, SUFFIXES, FolderFormat, Format
from service.heads.schemas import Lineage
from service.http.errors import Problem
from service.jobs.report_pages import bundled_report
from service.providers import access
from store import jobs
from store.registry import heads
from store.registry.heads import HeadVersion
from store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export that agrees with the served head."""

    version: HeadVersion
    content: bytes
    media_type: str
    filename: str


def export(
    store: Store,
    tenant_id: str,
    reference: str,
    form: Format,
    *,
    encoders_dir: Path | None = None,
) -> Export:
    """The head version that `reference` names, as a file.

    encoders_dir: the operator's local encoders.

    Raises:
        NotFound, InvalidReference: there is no such version.
        ArtifactMissing, ArtifactCorrupt, HeadFormatError: its file is lost or damaged.
        Problem: `export_disagrees`, it does not answer as the served head; `export_too_large`.
    """
    began = time.perf_counter()
    with store.database.read() as tx:
        version = heads.resolve(tx, tenant_id, reference)
        report_sha256 = jobs.get(tx, tenant_id, version.job_id).report_sha256
    data = store.artifacts.get_bytes(tenant_id, version.sha256)
    head = Head.from_bytes(data)
    check = check_rows(head)

    def report() -> bytes:
        return (
            b"{}" if report_sha256 is None else store.artifacts.get_bytes(tenant_id, report_sha256)
        )

    match form:
        case "safetensors":
            content = _tried_by_runner(data, check)
        case "onnx":
            content = _tried_onnx(head, check)
        case "sklearn":
            content = _tried_skops(head, check)
        case "bundle":
            content = _bundle(version, head, data, check, report)
        case "peft" | "encoder":
            content = _adapted(version, head, form, store, encoders_dir)
        case _:
            content = _folder(version, head, check, report, form)
    logger.info(
        "head.exported name=%s version=%d format=%s bytes=%d seconds=%.2f",
        *(version.name, version.version, form, len(content), time.perf_counter() - began),
    )
    return Export(
        version=version,
        content=content,
        media_type=MEDIA_TYPES[form],
        filename=f"{version.name}-{version.version}{SUFFIXES[form]}",
    )


def runner_source() -> bytes:
    """The runner as it goes into a bundle: the same file that is tried here."""
    return Path(run.__file__).read_bytes()


def _tried_by_runner(data: bytes, check: CheckRows) -> bytes:
    require_agreement("the numpy runner", run.Head(data).predict_proba(check.x), check)
    return data


def _tried_onnx(head: Head, check: CheckRows) -> bytes:
    try:
        model = onnx_bytes(head)
    except ValueError as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "export_too_large",
            f"{error}. Export it as format=safetensors.",
            field="format",
        ) from error
    require_agreement("the ONNX model", run_onnx(model, check.x), check)
    return model


def _tried_skops(head: Head, check: CheckRows) -> bytes:
    from nmtune.serving import sklearn_file  # scikit-learn, which nothing else here needs

    content = sklearn_file.skops_bytes(head)
    found = sklearn_file.run_skops(content, check.x, head.classes)
    require_agreement("the scikit-learn estimator", found, check)
    return content


def _adapted(
    version: HeadVersion, head: Head, form: Format, store: Store, encoders_dir: Path | None
) -> bytes:
    from service.export import adapted_encoder  # tokenizers, of the extra `local`

    adapted_encoder.check_adapted(version, head)
    find_stored = partial(access.stored_place, tenant_id=version.tenant_id, store=store)
    with Providers(encoders_dir=encoders_dir) as providers:
        place = providers.place(find_stored, Encoder.from_dict(version.encoder or {}))
    make = adapted_encoder.peft_bytes if form == "peft" else adapted_encoder.merged_bytes
    return make(version, head, place)


def _folder(
    version: HeadVersion,
    head: Head,
    check: CheckRows,
    report: Callable[[], bytes],
    form: FolderFormat,
) -> bytes:
    report_bytes = report()
    found: Any = orjson.loads(report_bytes)
    about = {
        "README.md": model_card(
            version,
            found if isinstance(found, dict) else {},
            temperature=head.temperature,
            stored_rows=0,
            form=form,
        ).encode(),
        "config.json": json_bytes(_config(version, head, check)),
        "metrics.json": json_bytes(version.metrics),
        "report.json": without_rows(report_bytes),
    }
    # The weights alone: self-test and knowledge come from training rows.
    weights = _tried_by_runner(head.calibrated(head.temperature).to_bytes(), check)
    if form == "hf":
        return folders.hub(version, weights, _tried_onnx(head, check), about)
    return folders.mlflow(version, weights, about)


def _bundle(
    version: HeadVersion, head: Head, data: bytes, check: CheckRows, report: Callable[[], bytes]
) -> bytes:
    report_bytes = report()
    found: Any = orjson.loads(report_bytes)
    card = model_card(
        version,
        found if isinstance(found, dict) else {},
        temperature=head.temperature,
        stored_rows=len(check.x) if check.are_stored else 0,
    )
    shared = without_rows(report_bytes)
    files = {
        "README.md": card.encode(),
        "config.json": json_bytes(_config(version, head, check)),
        "metrics.json": json_bytes(version.metrics),
        "report.json": shared,
        "report.html": bundled_report(shared, version),
        "run.py": runner_source(),
        "head.safetensors": _tried_by_runner(data, check),
        "model.onnx": _tried_onnx(head, check),
        "check.npz": npz_bytes({"x": check.x, "probabilities": check.probabilities}),
    }
    named = {"name": version.name, "version": version.version, "sha256": version.sha256}
    return bundle_bytes(files, folder=f"{version.name}-{version.version}", head=named)


def _config(version: HeadVersion, head: Head, check: CheckRows) -> dict[str, Any]:
    lineage = Lineage.of(version).model_dump(mode="json")
    del lineage["machine"]["worker"]  # names of our machines stay at home
    return {
        "name": version.name,
        "version": version.version,
        "method": version.method,
        "classes": list(head.classes),
        "n_columns": head.n_columns,
        "n_parameters": head.n_parameters,
        "temperature": head.temperature,
        "config": version.config,
        "lineage": lineage,
        "created_at": version.created_at.isoformat(),
        "check": {
            "rows": "stored with the head at its training" if check.are_stored else "seeded random",
            "n_rows": len(check.x),
            "tolerance": TOLERANCE,
        },
    }
