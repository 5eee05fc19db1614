"""The page of a job's map."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.http.dependencies import StoreDep, TenantDep
from service.jobs.routes import JobId
from service.ui.answers import html, page_router, place
from service.ui.rows import found_or_job, job_of
from store import job_files

if TYPE_CHECKING:
    from store.files.job_map import JobMap

_MOST_SELECTED: Final = 2000
"""Characters of a link that say which points are selected."""

_N_DRAWN: Final = 1000
_SHARE: Final = 0.995
_VIEWS: Final = ("pca_tuned", "pca_raw", "tsne_tuned", "tsne_raw")

router = page_router()


@router.get("/ui/jobs/{job_id}/map")
def map_page(job_id: JobId, request: Request, store: StoreDep, tenant_id: TenantDep) -> Response:
    """The rows of a job as points of a plane; its state is in the address."""
    from pages.views import map as view
    from store.files.job_map import JobMap

    found = found_or_job(store, tenant_id, job_id, job_files.MAP)
    if isinstance(found, Response):
        return found
    data = store.artifacts.get_bytes(tenant_id, found.file.sha256)
    shown = JobMap.from_bytes(data).as_of(found.file.age_seconds)
    asked: dict[str, Any] = dict(request.query_params)
    asked["class"] = request.query_params.getlist("class")
    asked["sel"] = asked.get("sel", "")[:_MOST_SELECTED]
    return html(view.map_page(job_of(found), found_in(shown), place(request), asked=asked))


def found_in(shown: "JobMap") -> dict[str, Any]:
    """What the page says of a map, and where some of its points lie."""
    from store.files.job_map import NOT_PREDICTED, STEPS

    columns, about = shown.columns, shown.about
    label, predicted = columns["label"].astype(np.int64), columns["predicted"]
    is_error = (label != predicted) & (predicted != NOT_PREDICTED[predicted.dtype])
    is_suspected = columns["suspected"] > 0
    counts = [
        np.bincount(label[which], minlength=len(about["classes"])).tolist()
        for which in (slice(None), is_error, is_suspected)
    ]
    n_points = len(label)
    some = np.unique(np.linspace(0, n_points - 1, min(n_points, _N_DRAWN)).astype(np.int64))
    places = columns["pca_tuned"][some] / STEPS
    return {
        "splits": about["splits"],
        "explained_variance": about["explained_variance"],
        "tsne": shown.tsne,
        "views": [name for name in _VIEWS if name in columns],
        "ood_threshold": about["ood_threshold"],
        "ood_top": _top(columns["ood_score"]),
        "n_points": n_points,
        "n_rows": sum(about["n_rows"].values()),
        "by_class": [
            {"name": name, "n_points": n, "n_errors": errors, "n_suspected": suspected}
            for name, n, errors, suspected in zip(about["classes"], *counts, strict=True)
        ],
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "kind": np.where(is_suspected, 2, is_error)[some].tolist(),
    }


def _top(scores: NDArray[np.float32]) -> float | None:
    """Where the histogram of the scores ends, beyond which few lie; None where there are none."""
    known = scores[np.isfinite(scores)]
    return round(1.05 * float(np.quantile(known, _SHARE)), 3) if len(known) else None
