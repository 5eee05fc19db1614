"""A scikit-learn classifier whose heads are trained and served by an NMTune server.

Needs scikit-learn: `pip install 'nmtune-client[sklearn]'`. Only this module imports it.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "nmtune_client.sklearn needs scikit-learn 1.6 or newer: "
        "pip install 'nmtune-client[sklearn]'"
    ) from error

from nmtune_client import (
    APIConnectionError,
    APIStatusError,
    BadResponseError,
    Client,
    Job,
    NotFoundError,
    Report,
)
from nmtune_client._datasets.labels import label_list
from nmtune_client._datasets.vectors import as_array

__all__ = ["TEMPORARY", "RemoteClassifier", "delete_temporary_heads"]

TEMPORARY = "sklearn-temporary-"
"""How the names of heads begin that were fitted without a name."""


class RemoteClassifier(
    ClassifierMixin,  # type: ignore[misc]  # scikit-learn leaves its classes untyped
    BaseEstimator,  # type: ignore[misc]
):
    """A classifier of embeddings that an NMTune server trains and serves.

    ``fit`` sends the rows, trains them as a job and waits for it; ``predict`` asks the head version
    that the job published. The rows of ``fit`` are all trained on: nothing is held out by the
    server, so that ``cross_val_score`` and your own test rows are what measures.

    Parameters
    ----------
    name : str, optional
        The head that each ``fit`` publishes a new version of. Without one each ``fit`` makes a
        temporary head with a name of its own (``sklearn-temporary-...``), as in cross-validation:
        the server deletes its rows once it is trained, and :meth:`delete` or
        :func:`delete_temporary_heads` deletes the head.
    method : {"auto", "nmtune", "mlp", "linear_probe", ...}, default="auto"
        What is trained; `auto` chooses by cross-validation.
    config : dict, optional
        Settings, such as ``{"seed": 1}``; ``preset`` is for methods nmtune and mlp.
    compare : bool, default=True
        False trains nothing that the server only compares with the published head.
    alias : str, optional
        The alias to point at the new version, such as ``"prod"``. Needs ``name``.
    queue : {"cpu", "gpu"}, optional
        Which workers train.
    timeout : float, optional
        Seconds that ``fit`` waits; then it cancels the job and raises ``WaitTimeout``.
    progress : bool, default=False
        Show one line that moves while ``fit`` waits.
    url : str, optional
        The server; by default the environment's ``NMTUNE_URL``, or ``http://127.0.0.1:8000``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The distinct labels, sorted, as they were given.
    n_features_in_ : int
        The number of columns seen by ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The column names, where ``X`` had names that are all strings.
    head_ : str
        The head version that answers, such as ``"pets@3"``.
    job_id_ : str
        The job that trained it; :meth:`report` is what it found.

    See Also
    --------
    nmtune.NMTuneClassifier : The same science in this process, without a server.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune_client.sklearn import RemoteClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["cat", "dog"], 30)
    >>> X = rng.normal(size=(60, 4)) + 3 * (y == "dog")[:, None]
    >>> classifier = RemoteClassifier(method="linear_probe")
    >>> classifier.fit(X, y).predict([[0, 0, 0, 0], [3, 3, 3, 3]])
    array(['cat', 'dog'], dtype='<U3')
    >>> classifier.score(X, y) > 0.95
    True
    >>> classifier.delete()

    Cross-validation fits one temporary head a fold:

    >>> from sklearn.model_selection import cross_val_score
    >>> from nmtune_client.sklearn import delete_temporary_heads
    >>> scores = cross_val_score(RemoteClassifier(method="linear_probe"), X, y, cv=2)
    >>> bool(scores.min() > 0.9)
    True
    >>> len(delete_temporary_heads())
    2
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        method: str = "auto",
        config: Mapping[str, Any] | None = None,
        compare: bool = True,
        alias: str | None = None,
        queue: str | None = None,
        timeout: float | None = None,
        progress: bool = False,
        url: str | None = None,
    ) -> None:
        self.name = name
        self.method = method
        self.config = config
        self.compare = compare
        self.alias = alias
        self.queue = queue
        self.timeout = timeout
        self.progress = progress
        self.url = url

    def fit(self, X: Any, y: Any) -> Self:
        """Send the rows, train a head on them, and wait for it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.
        y : array-like of shape (n_samples,)
            Labels: strings, whole numbers or Booleans.

        Returns
        -------
        RemoteClassifier
            Itself.

        Raises
        ------
        JobFailed, JobCancelled, WaitTimeout
            The job did not end well.
        ValueError
            The rows, the labels or a parameter cannot be right.
        """
        if self.alias is not None and self.name is None:
            raise ValueError("alias needs name=, the head whose version it points at")
        rows, y = validate_data(self, _table(X), y, dtype="numeric", ensure_min_samples=2)
        try:
            check_classification_targets(y)
            self.classes_, indices = np.unique(y, return_inverse=True)
        except TypeError as error:
            raise ValueError("y mixes texts and numbers: make all labels one kind") from error
        names = _names_of(self.classes_)
        if len(names) < 2:
            raise ValueError(f"fit needs two classes or more, got one: {names[0]!r}")
        is_temporary = self.name is None
        with Client(self.url) as client:
            job = client.jobs.create(
                name=self.name or f"{TEMPORARY}{uuid.uuid4().hex[:12]}",
                embeddings=rows,
                labels=[names[index] for index in indices],
                splits=["train"] * len(indices),
                method=self.method,
                config=self.config,
                compare=self.compare,
                alias=self.alias,
                queue=self.queue,
            )
            _wait(job, self.timeout, progress=self.progress)
            if is_temporary and job.dataset_id is not None:
                client.datasets.delete(job.dataset_id)
            head = job.head
            if head is None:
                raise BadResponseError(f"{job!r} succeeded without a head")
            version = client.heads.version(head.name, head.version)
        self.job_id_ = job.id
        self.head_ = str(head)
        places = {name: place for place, name in enumerate(version.classes)}
        self._columns = np.array([places[name] for name in names])
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Give the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        rows = validate_data(self, _table(X), dtype="numeric", reset=False)
        with Client(self.url) as client:
            found = client.predict(self.head_, rows)
        probabilities: NDArray[np.float32] = found.probabilities[:, self._columns]
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Give the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        probabilities = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def report(self) -> Report:
        """What the job of the last ``fit`` found.

        Returns
        -------
        Report
        """
        check_is_fitted(self)
        with Client(self.url) as client:
            return client.jobs.report(self.job_id_).with_page(self._report_page)

    def _report_page(self) -> str:
        with Client(self.url) as client:
            return client.jobs.report(self.job_id_, html=True).html()

    def delete(self) -> None:
        """Delete the head version of the last ``fit`` from the server.

        One that is deleted already is no error; a version that an alias names is a
        ``ConflictError``.
        """
        check_is_fitted(self)
        name, _, version = self.head_.partition("@")
        with Client(self.url) as client, suppress(NotFoundError):
            client.heads.delete(name, int(version))


def delete_temporary_heads(url: str | None = None, *, older_than_seconds: float = 0) -> list[str]:
    """Delete the heads that were fitted without a name, also those of other users of the server.

    Parameters
    ----------
    url : str, optional
        The server; by default the environment's ``NMTUNE_URL``, or ``http://127.0.0.1:8000``.
    older_than_seconds : float, default=0
        Leave those that were made later, which someone may still be scoring.

    Returns
    -------
    list of str
        The names of the deleted heads.
    """
    deleted = []
    with Client(url) as client:
        for head in list(client.heads.list()):
            made = head.created_at.timestamp() if head.created_at else 0.0
            if head.name.startswith(TEMPORARY) and time.time() - made >= older_than_seconds:
                with suppress(NotFoundError):  # someone else was first
                    client.heads.delete(head.name)
                    deleted.append(head.name)
    return deleted


def _table(X: Any) -> Any:
    """X as scikit-learn takes it: tensors and columns of vectors as arrays, all else as it is."""
    is_column = getattr(X, "ndim", None) == 1 or hasattr(X, "detach")
    return as_array(X, name="X") if is_column else X


def _names_of(classes: NDArray[Any]) -> Sequence[str]:
    names = label_list(classes, n_rows=len(classes), name="classes")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two classes have the same name as text, {twice!r}: rename one of them")
    return names


def _wait(job: Job, timeout: float | None, *, progress: bool) -> None:
    """Wait for a job that nobody wants any more if the wait ends early."""
    try:
        job.wait(timeout, progress=progress)
    except BaseException:
        with suppress(APIConnectionError, APIStatusError):
            if not job.is_final:
                job.cancel()
        raise
