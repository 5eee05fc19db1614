"""Write the model card: a head's README in the form of the Hugging Face Hub."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from service.heads.adapted import sentence
from store.registry.heads import HeadVersion

METRICS: Final = {
    "accuracy": ("accuracy", "Accuracy"),
    "macro_f1": ("f1", "Macro F1"),
    "log_loss": ("log_loss", "Log loss"),
    "ece": ("ece", "Expected calibration error"),
}
"""Ours by name: the Hub's type, and what people call it."""

_MOST_CLASSES_SHOWN: Final = 50

_LICENSE: Final = "# license: state one before you publish, such as apache-2.0\n"

_LIMITS: Final = """\
- It takes only embeddings from the model that made its training embeddings, in the same form
  (normalised or not). It cannot tell others apart and would still answer.
- It knows only the classes above and assigns one of them to everything.
- Confidences are calibrated, unless the temperature above is 1, on rows like the training rows. On
  other data a head is more confident than it should be.
- The figures say how it did on the splits named here, and nothing about other data. `report.json`
  has intervals.
"""

_BY_RUNNER: Final = """\
With only numpy:

```sh
python run.py embeddings.npy
```

```python
from run import predict_proba

probabilities, classes = predict_proba(x)  # x (n, {n_columns})
```

With onnxruntime: `model.onnx`, input `embeddings` (n, {n_columns}) float32, output
`probabilities` (n, {n_classes}). With NMTune's own package:
`nmtune.Head.from_bytes(open("head.safetensors", "rb").read())`.
"""

_BY_MLFLOW: Final = """\
```python
import mlflow

model = mlflow.pyfunc.load_model("{folder}")
model.predict(x)  # x (n, {n_columns}) float32: a table of `label` and `probabilities`
```

```sh
mlflow models serve -m {folder}        # POST /invocations {{"inputs": [[...], ...]}}
```

`probabilities` has the order of `classes` in `config.json`. To register it:
`mlflow.register_model` with the URI to which `mlflow.log_artifacts` wrote the folder.
"""

_VERIFY: Final = """
`nmtune verify FILE.zip` checks every file against `MANIFEST.json`, and that the runner and the ONNX
model answer for the rows in `check.npz` as the served head did.
"""

HOW_TO: Final = {"bundle": _BY_RUNNER + _VERIFY, "hf": _BY_RUNNER, "mlflow": _BY_MLFLOW}
"""How to use a head, by the form that it is in."""

CardForm: TypeAlias = Literal["bundle", "hf", "mlflow"]


def model_card(
    version: HeadVersion,
    report: Mapping[str, Any],
    *,
    temperature: float,
    stored_rows: int,
    form: CardForm = "bundle",
) -> str:
    """The card: YAML front matter for programs, then prose. `report` may be of any version.

    stored_rows: how many rows of the user's data it carries to check itself by.
    """
    return (
        f"---\n{_LICENSE}{yaml(_front_matter(version, report))}---\n\n"
        + "\n\n".join(
            part.strip("\n")
            for part in (
                f"# {version.name}, version {version.version}",
                _summary(version, report),
                "## How to use it",
                HOW_TO[form].format(
                    n_columns=version.n_columns,
                    n_classes=len(version.classes),
                    folder=f"{version.name}-{version.version}-{form}",
                ),
                "## Intended use",
                _intended_use(version),
                "## How it was trained",
                _training(version, temperature),
                "## Results",
                _results(version, report),
                "## Limits",
                _LIMITS,
                *_on_stored_rows(stored_rows),
                "## License",
                "No license is stated. Before you pass this head on, state one here and as "
                "`license` above. Mind the terms of the embedding model and of the training data.",
            )
        )
        + "\n"
    )


def yaml(value: Mapping[str, Any]) -> str:
    """A mapping as YAML: block style, every string in JSON's quotes, which YAML reads alike."""
    return "\n".join(_block(value, 0)) + "\n"


def _block(value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    lines: list[str] = []
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, (Mapping, list)) and item:
                lines += [f"{indent}{name}:", *_block(item, depth + 1)]
            else:
                lines.append(f"{indent}{name}: {_scalar(item)}")
        return lines
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = _block(item, depth + 1)
            lines += [f"{indent}- {first.lstrip()}", *rest]
        else:
            lines.append(f"{indent}- {_scalar(item)}")
    return lines


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def _front_matter(version: HeadVersion, report: Mapping[str, Any]) -> dict[str, Any]:
    dataset = _dict(report, "dataset").get("name") or version.dataset_id
    results = [
        {
            "task": {"type": "tabular-classification", "name": "Classification of embeddings"},
            "dataset": {
                "type": str(dataset),
                "name": str(dataset),
                "split": split,
                **({"revision": version.dataset_sha256} if version.dataset_sha256 else {}),
            },
            "metrics": [
                {"type": kind, "value": figures[name], "name": title}
                for name, (kind, title) in METRICS.items()
                if figures.get(name) is not None
            ],
        }
        for split, figures in version.metrics.items()
        if split != "train"
    ]
    shown = [result for result in results if result["metrics"]]
    front: dict[str, Any] = {
        "library_name": "nmtune",
        "tags": ["embeddings", "nmtune", "classification-head", version.method],
    }
    if shown:
        front["model-index"] = [{"name": version.name, "results": shown}]
    return front


def _summary(version: HeadVersion, report: Mapping[str, Any]) -> str:
    names = [_one_line(name).replace("`", "'") for name in version.classes[:_MOST_CLASSES_SHOWN]]
    shown = ", ".join(f"`{name}`" for name in names)
    n_more = len(version.classes) - _MOST_CLASSES_SHOWN
    more = f" and {n_more} more (`config.json` has all)" if n_more > 0 else ""
    verdict = _dict(report, "verdict").get("summary")
    found = f"\n\nThe report's verdict: **{verdict}**" if verdict else ""
    published = report.get("method")
    if published and published != version.method:
        found = (
            f"\n\nIt is another candidate of its job, which published `{published}` by itself. The "
            f"report's verdict is on that one{f': **{verdict}**' if verdict else '.'}"
        )
    if adapted := sentence(version):
        found = f"\n\n{adapted} The report is on the training behind it."
    kind = "embeddings of an adapted encoder," if _is_on_adapted(version) else "frozen embeddings"
    return (
        f"A classification head on {kind} of width {version.n_columns}: "
        f"{len(version.classes)} classes ({shown}{more}), {version.n_parameters} parameters, "
        f"method `{version.method}`.{found}"
    )


def _is_on_adapted(version: HeadVersion) -> bool:
    return (version.encoder or {}).get("adapter") is not None


def _intended_use(version: HeadVersion) -> str:
    use = (
        f"Classifying embeddings of width {version.n_columns} from the same model, on data like "
        "the training data, into the classes above. Try it on your own labelled rows first."
    )
    if not _is_on_adapted(version):
        return use
    model = _one_line(str((version.encoder or {}).get("model")))
    return (
        f"{use}\n\nThat model is {model} **after it was adapted**. Embeddings of {model} as it "
        "comes have the same width and get wrong answers. The export formats `encoder` and `peft` "
        "have the adapted one."
    )


def _training(version: HeadVersion, temperature: float) -> str:
    known = version.lineage
    machine = _dict(known, "machine")
    facts: list[tuple[str, object]] = [
        ("method", version.method),
        ("temperature", f"{temperature:.6g}"),
        ("seed", known.get("seed")),
        ("encoder", known.get("encoder")),
        ("dataset", version.dataset_id),
        ("sha256 of the data", version.dataset_sha256),
        ("sha256 of the head", version.sha256),
        ("job", version.job_id),
        ("nmtune", known.get("nmtune_version")),
        ("torch", machine.get("torch_version")),
        ("trained on", machine.get("device_name") or machine.get("device")),
        ("published", version.created_at.isoformat()),
    ]
    rows = [("what", "value"), *((name, value) for name, value in facts if value is not None)]
    return f"{_table([tuple(map(str, row)) for row in rows])}\n\n`config.json` has every setting."


def _results(version: HeadVersion, report: Mapping[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("split", "rows", *(title for _, title in METRICS.values()))]
    for split, figures in version.metrics.items():
        cells = (figures.get(name) for name in METRICS)
        shown = ("-" if cell is None else f"{cell:.4f}" for cell in cells)
        rows.append((split, str(figures.get("n_rows", "-")), *shown))
    if adapted := sentence(version):
        return adapted
    sentences = _dict(report, "verdict").get("sentences") or []
    return f"{_table(rows)}\n\n{' '.join(map(str, sentences))}"


def _on_stored_rows(n_rows: int) -> list[str]:
    if not n_rows:
        return []
    return [
        "## Rows of the data in these files",
        f"`check.npz` and `head.safetensors` hold {n_rows} embeddings from the dataset, to check "
        f"the "
        "head with. Do not publish them where you could not publish the dataset.",
    ]


def _table(rows: Sequence[Sequence[str]]) -> str:
    # Escaped and not replaced: two names that differ there must not look the same.
    cells = [[_one_line(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _one_line(text: str) -> str:
    """The text on one line: the user's names may hold anything, line breaks included."""
    return " ".join(text.split())


def _dict(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}
