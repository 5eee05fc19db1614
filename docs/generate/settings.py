"""The page of settings: every `NMTUNE_` variable, by the processes that read it."""

import ast
import inspect
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, get_args

from docs.generate.code import (
    LogSettings,
    ProviderSettings,
    ServiceSettings,
    StoreSettings,
    WebhookSettings,
    WorkerSettings,
)
from docs.generate.text import cell, page, table

COMPUTED: Final = {
    "database_url": "SQLite file `nmtune.db` in the data folder",
    "artifacts_dir": "`artifacts` in the data folder",
    "limit_predict_rows_per_second": "50,000 with keys",
    "limit_reads_per_second": "100 with keys",
    "limit_uploads_per_second": "20 with keys",
    "limit_writes_per_second": "20 with keys",
    "n_threads": "the cores shared among the slots",
    "predict_threads": "0: the cores, at most 8",
    "s3_endpoint_url": "Amazon's endpoint",
    "s3_region": "the AWS variables, else `us-east-1`",
    "s3_access_key_id": "the AWS variables, profile or role",
    "s3_secret_access_key": "the AWS variables, profile or role",
}
"""Defaults that another setting or the machine decides, in words."""
SEE: Final = {
    "allowed_hosts": "[names](../run/configuration.md#names-of-the-server)",
    "artifacts_url": "[object storage](../run/object-storage.md)",
    "broker_url": "[scaling out](../run/operations.md#scaling-out)",
    "database_url": "[backups](../run/operations.md#backup-and-restore)",
    "dataset_keep_seconds": "[expiry](../use/datasets.md#how-long-a-dataset-is-kept)",
    "drift": "[drift](api.md#how-far-to-trust-a-prediction)",
    "limit_burst_seconds": "[limits](../run/limits.md)",
    "log_format": "[logs](../run/operations.md#logs)",
    "max_connections": "[connections](../run/operations.md#connections-and-file-descriptors)",
    "metrics_port": "[metrics](../run/operations.md#metrics)",
    "prediction_slots": "[beside trainings](../use/predicting-files.md#beside-trainings)",
    "provider_keys": "[keys](../use/providers.md#keys)",
    "provider_patience_seconds": "[waiting](../use/providers.md#what-happens-to-a-jobs-texts)",
    "secret_key": "[keys](../use/providers.md#keys), [webhooks](../use/webhooks.md)",
    "webhook_allow_hosts": "[where webhooks may go](../use/webhooks.md#where-webhooks-may-go)",
    "upload_part_bytes": "[uploads](../use/datasets.md#large-files-uploads-that-resume)",
}
"""Where a setting is explained at length."""


def settings_page() -> str:
    """Every `NMTUNE_` variable, by the processes that read it."""
    outward = (ProviderSettings, WebhookSettings)
    shared = {
        name: field for cls in (StoreSettings, *outward) for name, field in cls.model_fields.items()
    }
    sections = [
        ("All processes", (StoreSettings, LogSettings, *outward), {}),
        ("API (`up`, `api`)", (ServiceSettings,), shared),
        ("Worker (`up`, `worker`)", (WorkerSettings,), shared),
    ]
    parts = [
        "A process reads its settings once, when it starts, from environment variables "
        "`NMTUNE_<NAME>`; options of `nmtune-server` win. How to choose them: "
        "[configuration](../run/configuration.md).",
    ]
    for title, classes, inherited in sections:
        rows = [
            [
                f"`NMTUNE_{name.upper()}`",
                _default(name, field),
                _bounds(field),
                f"{cell(docs_of(cls)[name])} {SEE.get(name, '')}".strip(),
            ]
            for cls in classes
            for name, field in cls.model_fields.items()
            if name not in inherited
        ]
        parts += [f"## {title}", table(["variable", "default", "values", "what it does"], rows)]
    return page("Settings", *parts)


def docs_of(cls: type) -> dict[str, str]:
    """The string below each annotated field of a class."""
    [body] = [
        node.body
        for node in ast.walk(ast.parse(inspect.getsource(cls)))
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    ]
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def _default(name: str, field: Any) -> str:
    value = field.default
    if name in COMPUTED:
        return COMPUTED[name]
    if value in (None, "", ()):
        return "none"
    if name.endswith("_bytes"):
        return _size(value)
    if isinstance(value, Path):
        return f"`./{value}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{value:g}`" if isinstance(value, float) and value < 1e5 else f"`{value}`"


def _size(n_bytes: float) -> str:
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if n_bytes >= 1 << shift and int(n_bytes) % (1 << shift) == 0:
            return f"{int(n_bytes) >> shift} {unit}"
    return str(n_bytes)


def _bounds(field: Any) -> str:
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    return " ".join(
        f"{word} {_number(getattr(one, name))}"
        for one in field.metadata
        for name, word in words.items()
        if hasattr(one, name)
    )


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
