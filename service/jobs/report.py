"""The JSON shape of a job's report, as far as readers may rely on it: see docs/use/report.md."""

from typing import Any, Final

from service.jobs.schemas import AliasOutcome

_NULLABLE_STRING: Final = {"type": ["string", "null"]}
_NULLABLE_NUMBER: Final = {"type": ["number", "null"]}
_OBJECT: Final = {"type": "object"}
_NULLABLE_OBJECT: Final = {"type": ["object", "null"]}


def _object(description: str, properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": ["object", "null"],
        "description": description,
        "properties": properties,
        **({"required": list(required)} if required else {}),
    }


_ROW_NAMES: Final[dict[str, Any]] = {
    "row": {"type": "integer", "description": "Its row in the stored split, from 0."},
    "file_row": {
        "type": ["integer", "null"],
        "description": "Its row in the file as sent, from 0, without the header. Null in datasets "
        "that were stored before this was recorded.",
    },
    "id": {**_NULLABLE_STRING, "description": "Its value in the column id."},
    "text": {
        **_NULLABLE_STRING,
        "description": "The beginning of its text, in a dataset of texts.",
    },
}

_SUSPECTED: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        **_ROW_NAMES,
        "given": {"type": "string"},
        "suggested": {"type": "string"},
        "given_probability": {"type": "number"},
        "suggested_probability": {"type": "number"},
        "score": {
            "type": "number",
            "description": "suggested_probability minus given_probability; larger is worse.",
        },
    },
}

_LABEL_ERRORS: Final = _object(
    "Training rows whose label out-of-fold predictions contradict, the worst first.",
    {
        "labels_look_noisy": {"type": "boolean"},
        "expected_wrong": _object(
            "How many labels of the n_rows are wrong, with a 95 % interval.",
            {
                "n_rows": {"type": "number"},
                "low": {"type": "number"},
                "high": {"type": "number"},
            },
        ),
        "n_suspected": {"type": "integer"},
        "suspected": {"type": "array", "items": _SUSPECTED},
        "sentence": {"type": "string"},
    },
)

_NEW_DOMAIN: Final = _object(
    "What a few labels of each OOD domain would be worth, by POST /heads/{name}/adapt: adapted to "
    "some rows of the split, drawn at random, and judged on the others.",
    {
        "splits": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "n_rows": {"type": "integer"},
                    "accuracy": {"type": "number", "description": "Of the head as it is."},
                    "sizes": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "n_labels": {"type": "integer"},
                                "accuracy": {"type": "number"},
                                "gain": {"type": "number"},
                                "gain_interval": {"type": "array", "items": {"type": "number"}},
                            },
                        },
                    },
                },
            },
        },
        "hint": {"type": "string"},
        "sentence": {"type": "string"},
    },
)

_ENCODERS: Final = _object(
    "The encoders that the job compared: by rank, then those that dropped out. Null if it compared "
    "none.",
    {
        "chosen": {"type": "string", "description": "What the head is trained on."},
        "best": {"type": "string", "description": "The one with the lowest held-out log loss."},
        "reason": {"type": "string"},
        "n_held_out_rows": {"type": "integer"},
        "sample": {
            "type": ["integer", "null"],
            "description": "How many rows they were ranked on.",
        },
        "compared": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "status": {"enum": ["ranked", "failed"]},
                    "error": _NULLABLE_OBJECT,
                    "n_columns": {"type": "integer"},
                    "held_out": {
                        "type": "object",
                        "description": "On held-out training rows: accuracy, log_loss, and its "
                        "difference to the best with the paired interval; ties if that holds 0.",
                    },
                    "metrics": _OBJECT,
                    "ood_accuracy": _NULLABLE_NUMBER,
                    "embedded_with": {
                        **_NULLABLE_STRING,
                        "description": "The encoder whose vectors it truncates: it cost nothing.",
                    },
                    "tokens_per_1000_texts": _NULLABLE_NUMBER,
                    "cost_per_1000_texts": _NULLABLE_NUMBER,
                    "latency": {
                        **_NULLABLE_OBJECT,
                        "description": "median_seconds and p95_seconds of n_texts single texts.",
                    },
                    "share_truncated": _NULLABLE_NUMBER,
                },
            },
        },
        "comparison": {
            "type": "array",
            "items": _OBJECT,
            "description": "Each against the best on the same rows, as in the report's comparison.",
        },
    },
)

_ANSWERED: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "n_rows": {"type": "integer"},
        "n_answered": {"type": "integer"},
        "coverage": {"type": "number", "description": "The share of rows that are answered."},
        "coverage_interval": {"type": "array", "items": {"type": "number"}},
        "accuracy": {
            **_NULLABLE_NUMBER,
            "description": "Accuracy of the answered rows; null without any.",
        },
        "accuracy_interval": {"type": ["array", "null"], "items": {"type": "number"}},
        "accuracy_of_all": {"type": "number"},
    },
}

_ABSTENTION: Final = _object(
    "The value to send as abstain_below when predicting, and its effect on rows that were not used "
    "to choose it.",
    {
        "threshold": {**_NULLABLE_NUMBER, "description": "Null if no value is advised."},
        "reason": {"type": "string"},
        "n_held_out_rows": {"type": "integer"},
        "splits": {"type": "object", "additionalProperties": _ANSWERED},
        "sentence": {"type": "string"},
    },
)

_VERDICT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "sentences": {"type": "array", "items": {"type": "string"}},
        "recommended": {
            **_NULLABLE_STRING,
            "description": "The candidate to use; null if the choice is yours.",
        },
        "advises_against": {
            "type": "boolean",
            "description": "Whether another head than the published one should be used. If so, the "
            "job's alias does not move.",
        },
        "to_publish": {
            **_NULLABLE_STRING,
            "description": "The candidate that the summary says how to publish beside the "
            "published one, by POST /jobs/{id}/publish; null if there is no reason to.",
        },
        "rival": {
            **_NULLABLE_STRING,
            "description": "The most accurate candidate other than the published one.",
        },
        "best_id": _NULLABLE_STRING,
        "best_ood": _NULLABLE_STRING,
    },
    "required": ["summary", "sentences", "best_id", "best_ood"],
}

REPORT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "version": {"type": "integer"},
        "job_id": {"type": "string"},
        "name": {"type": "string"},
        "method": {"type": "string"},
        "alias": {
            "anyOf": [AliasOutcome.model_json_schema(), {"type": "null"}],
            "description": "What happened to the job's alias; absent without one.",
        },
        "missing": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The parts that the job has not got to, after its head was published; "
            "empty once it has succeeded.",
        },
        "verdict": _VERDICT,
        "dataset": _OBJECT,
        "encoders": _ENCODERS,
        "choice": _NULLABLE_OBJECT,
        "candidates": _OBJECT,
        "comparison": {"type": "array", "items": _OBJECT},
        "calibration": _NULLABLE_OBJECT,
        "abstention": _ABSTENTION,
        "spectra": _OBJECT,
        "findings": {
            "type": "object",
            "properties": {"label_errors": _LABEL_ERRORS, "new_domain": _NEW_DOMAIN},
        },
        "warnings": {"type": "array", "items": {}},
        "environment": _OBJECT,
    },
    "required": ["version", "job_id", "name", "method", "candidates", "verdict"],
}
"""Reports from earlier versions lack what was added later."""
