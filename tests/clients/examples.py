"""A dataset and a head as the API shows them, and where their job is."""

JOB = "/jobs/job_1"
DATASET = {
    "id": "ds_1",
    "name": "pets",
    "n_rows": 4,
    "n_columns": 2,
    "classes": ["cat", "dog"],
    "splits": [{"name": "train", "n_rows": 4, "class_counts": {"cat": 2, "dog": 2}}],
    "warnings": [{"code": "few_rows", "message": "The class dog has 2 rows."}],
    "size_bytes": 2048,
    "created_at": "2026-11-24T03:21:46Z",
}
HEAD = {
    "name": "pets",
    "latest_version": 3,
    "aliases": {"prod": 3},
    "versions": [{"name": "pets", "version": 3, "method": "nmtune", "n_columns": 2}],
    "created_at": "2026-11-24T03:21:46Z",
}
