"""NMTuneClassifier: tune a head as a scikit-learn estimator."""

import copy
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from nmtune.config import TuneConfig
from nmtune.errors import ConfigError, NMTuneError
from nmtune.heads.adaptation import adapt
from nmtune.heads.adapted_head import adapted_head
from nmtune.numeric.torch_state import own_state
from nmtune.rows.checks import missing_label
from nmtune.rows.similar_names import similar
from nmtune.rows.vectors import as_array
from nmtune.training.auto import fit_auto
from nmtune.training.candidates import CHOSEN_FROM, resolve
from nmtune.training.choose import Choice
from nmtune.training.trainer import Trainer

_CONFIG_FIELDS = (
    "preset",
    "scaling",
    "w_consistency",
    "w_covariance",
    "w_dominant",
    "k",
    "hidden_multiplier",
    "learning_rate",
    "weight_decay",
    "batch_size",
    "epochs",
    "max_steps",
    "l2",
    "n_folds",
)
_ROWS_AT_A_TIME = 256


class NMTuneClassifier(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # scikit-learn leaves its classes untyped
    TransformerMixin,  # type: ignore[misc]
    ClassifierMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Classify frozen embeddings with a tuned head (arXiv 2403.06869).

    Parameters
    ----------
    method : {"auto", "nmtune", "mlp", "linear_probe", "whitened_probe", "robust_probe", \
            "trimmed_probe", "mlp_ensemble"}, default="auto"
        "auto" trains probes and an ensemble of small MLPs, and chooses or blends them by
        cross-validation (see `nmtune.fit_auto`). Any other name trains that one candidate.
    preset : {"paper", "reference"}, default=None
        The settings that "nmtune" and "mlp" start from; None means "paper".
    scaling, w_consistency, w_covariance, w_dominant, k, hidden_multiplier, learning_rate, \
            weight_decay, batch_size, epochs, max_steps, l2, n_folds : default=None
        Fields of `nmtune.TuneConfig` that replace the preset's; None keeps the preset's value.
        `fit` refuses a setting without effect on the method. "auto" takes n_folds and max_steps.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the order of rows and the folds. None draws a seed from numpy.
    device : str, default="cpu"
        Where to train, as torch names devices. Predictions run on the CPU.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in the order of the probabilities' columns.
    head_ : nmtune.Head
        The trained head; its class names are the indices of `classes_` as text.
    choice_ : nmtune.Choice or None
        What "auto" chose and why; None for other methods.
    fits_ : dict of str to nmtune.Fit
        The training of each candidate behind the head.
    adaptation_ : nmtune.heads.adaptation.Adaptation
        What `adapt` found; only of an estimator that it returned.
    n_features_in_ : int
        Width of the embeddings.
    n_iter_ : int
        Epochs trained, over all candidates.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nmtune import NMTuneClassifier
    >>> x, y = load_iris(return_X_y=True)
    >>> classifier = NMTuneClassifier(method="linear_probe", random_state=0).fit(x, y)
    >>> classifier.score(x, y) > 0.9
    True
    >>> classifier.predict_proba(x).shape
    (150, 3)
    """

    def __init__(
        self,
        method: str = "auto",
        *,
        preset: str | None = None,
        scaling: str | None = None,
        w_consistency: float | None = None,
        w_covariance: float | None = None,
        w_dominant: float | None = None,
        k: int | None = None,
        hidden_multiplier: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        max_steps: int | None = None,
        l2: float | None = None,
        n_folds: int | None = None,
        random_state: Any = None,
        device: str = "cpu",
    ) -> None:
        self.method = method
        self.preset = preset
        self.scaling = scaling
        self.w_consistency = w_consistency
        self.w_covariance = w_covariance
        self.w_dominant = w_dominant
        self.k = k
        self.hidden_multiplier = hidden_multiplier
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.max_steps = max_steps
        self.l2 = l2
        self.n_folds = n_folds
        self.random_state = random_state
        self.device = device

    @own_state()
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train on embeddings and labels.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Embeddings: an array, a tensor, a data frame, or a column of vectors.
        y : array_like of shape (n_samples,)
            Labels of any kind that scikit-learn takes; at least two classes.
        groups : array_like of shape (n_samples,), default=None
            The domain of each row; cross-validation then holds out whole domains.
        sample_weight : array_like of shape (n_samples,), default=None
            How much each row counts, not negative; only ratios matter.

        Returns
        -------
        NMTuneClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            The data cannot be trained on, or a parameter is out of bounds.
        """
        if hasattr(self, "adaptation_"):
            del self.adaptation_  # of the head that goes now
        rows: NDArray[Any]
        y = as_array(y, name="y") if hasattr(y, "detach") else y
        if (row := missing_label(y)) is not None:
            raise ValueError(
                f"y must have a label in every row, but row {row} has none: leave it out"
            )
        if hasattr(y, "dtype") and not isinstance(y.dtype, np.dtype):
            y = np.asarray(y)  # scikit-learn would make floats of pandas' Int64
        rows, y = validate_data(self, _table(X), y, dtype="numeric", ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"NMTuneClassifier needs at least two classes, got 1 class: "
                f"{self.classes_.tolist()[0]!r}"
            )
        _warn_of_similar(self.classes_)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        beside = {"groups": groups, "sample_weight": weight, "device": self.device}
        names = [str(index) for index in range(len(self.classes_))]
        try:
            if self.method == "auto":
                self._fit_auto(rows, indices, names, beside)
            else:
                self._fit_one(rows, indices, names, beside)
        except NMTuneError as error:
            raise ValueError(str(error)) from error
        self.n_iter_ = sum(len(fit.history) for fit in self.fits_.values())
        return self

    @own_state()
    def adapt(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Adapt the fitted head to a few labelled rows of a new domain.

        One bias per class and one temperature are fitted, and from 40 rows on a linear map of the
        embedding, where rows held out in turn show that it pays; `adaptation_` says what was won.
        Nothing changes where nothing is won.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Embeddings of the new domain, drawn at random; 10 to 10,000 rows.
        y : array_like of shape (n_samples,)
            Their labels, all of them in `classes_`.

        Returns
        -------
        NMTuneClassifier
            Another fitted estimator; this one stays as it is, so that both can be compared.

        Raises
        ------
        ValueError
            A label is not in `classes_`, there are too few or too many rows, or all of one class.

        Examples
        --------
        >>> import numpy as np
        >>> from nmtune import NMTuneClassifier
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(200) % 2
        >>> x = rng.normal(size=(200, 4)) + 2 * y[:, None]
        >>> classifier = NMTuneClassifier(method="linear_probe", random_state=0).fit(x, y)
        >>> adapted = classifier.adapt(x[:30] + 3, y[:30])  # a domain that lies elsewhere
        >>> adapted.score(x + 3, y) > classifier.score(x + 3, y)
        True
        """
        rows = self._checked(X)
        labels = np.asarray(as_array(y, name="y") if hasattr(y, "detach") else y)
        if labels.shape != (len(rows),):
            raise ValueError(f"y must have {len(rows)} labels, one per row, got {labels.shape}")
        index = {label: at for at, label in enumerate(self.classes_.tolist())}
        indices = np.array([index.get(label, -1) for label in labels.tolist()], np.int64)
        if (indices < 0).any():
            row = int(indices.argmin())
            raise ValueError(
                f"y has in row {row} a label that the classifier was not fitted on: "
                f"{labels.tolist()[row]!r}"
            )
        scores = self._logits(X) / self.head_.temperature
        try:
            found = adapt(scores, indices, x=np.asarray(rows, np.float64))
        except NMTuneError as error:
            raise ValueError(str(error)) from error
        other = copy.copy(self)
        other.adaptation_ = found
        if found.change is not None:
            other.head_ = adapted_head(self.head_, found.change)
        return other

    def _fit_auto(
        self, X: NDArray[Any], y: NDArray[np.int64], names: list[str], beside: dict[str, Any]
    ) -> None:
        configs = resolve(method="auto", config=self._settings()).configs
        fit = fit_auto(X, y, classes=names, configs=configs, **beside)
        self.choice_: Choice | None = fit.choice
        self.head_, self.fits_ = fit.head, dict(fit.fits)

    def _fit_one(
        self, X: NDArray[Any], y: NDArray[np.int64], names: list[str], beside: dict[str, Any]
    ) -> None:
        trainer = Trainer(X, y, classes=names, config=self._config(), **beside)
        for _ in trainer:
            pass
        fit = trainer.result()
        self.choice_ = None
        self.head_, self.fits_ = fit.head, {self.method: fit}

    def _config(self) -> TuneConfig:
        settings = self._settings()
        if self.method in ("nmtune", "mlp", "linear_probe"):
            return resolve(method=self.method, config=settings).configs[self.method]
        if self.method not in CHOSEN_FROM:
            known = ", ".join(("auto", "nmtune", "mlp", *CHOSEN_FROM))
            raise ConfigError(f"method must be one of {known}, got {self.method!r}", field="method")
        if settings.pop("preset", None) is not None:
            raise ConfigError(
                f"preset has no effect with method {self.method!r}: leave it out", field="preset"
            )
        return TuneConfig.from_preset(self.method, **settings)

    def _settings(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in _CONFIG_FIELDS}
        seed = self.random_state
        if not isinstance(seed, (int, np.integer)):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        return {name: value for name, value in given.items() if value is not None} | {"seed": seed}

    @own_state()
    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label for each row of X (n_samples, n_features)."""
        best = self._logits(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    @own_state()
    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n_samples, n_classes), with columns in the order of `classes_`."""
        logits = self._logits(X)
        logs = logits / self.head_.temperature
        odds = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    @own_state()
    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logits (n_samples, n_classes); for two classes (n_samples,), positive for the second."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    @own_state()
    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Tuned embeddings (n_samples, n_tuned) of X (n_samples, n_features)."""
        checked = self._checked(X)
        return self._in_blocks(self.head_.transform, checked)

    def _logits(self, X: ArrayLike) -> NDArray[np.float64]:
        checked = self._checked(X)
        return self._in_blocks(self.head_.logits, checked).astype(np.float64)

    def _checked(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self)
        checked: NDArray[Any] = validate_data(self, _table(X), dtype="numeric", reset=False)
        return checked

    def _in_blocks(self, method: Any, X: NDArray[Any]) -> NDArray[np.float32]:
        """Call `method` on blocks of one size, so that no row's last bits depend on other rows."""
        parts = []
        for start in range(0, len(X), _ROWS_AT_A_TIME):
            block = X[start : start + _ROWS_AT_A_TIME]
            missing = _ROWS_AT_A_TIME - len(block)
            padded = np.concatenate([block, np.repeat(block[:1], missing, axis=0)])
            try:
                parts.append(method(padded)[: len(block)])
            except NMTuneError as error:
                raise ValueError(str(error)) from error
        return np.concatenate(parts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # tuned embeddings are float32
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.head_.n_tuned_columns


def _warn_of_similar(classes: NDArray[Any]) -> None:
    """Warn about classes that people would take for one."""
    groups = similar(str(name) for name in classes)
    if groups and classes.dtype.kind in "UO":
        shown = "; ".join(" and ".join(map(ascii, group)) for group in groups[:5])
        warnings.warn(
            f"Some classes differ only in case, spaces or Unicode form: {shown}.", stacklevel=3
        )


def _table(X: Any) -> Any:
    """X for scikit-learn: tensors and columns of vectors as arrays, everything else as it is."""
    if hasattr(X, "toarray") or (hasattr(X, "dtypes") and X.shape[1:] not in ((), (1,))):
        return X
    if hasattr(X, "detach"):
        return as_array(X, name="X")
    if isinstance(X, list | tuple):
        is_of_tensors = bool(X) and hasattr(X[0], "detach")
        return as_array(X, name="X") if is_of_tensors else X
    whole = np.asarray(X) if hasattr(X, "__array__") else None
    if whole is not None and whole.ndim > len(getattr(X, "shape", whole.shape)):
        # a column of vectors of one width, whose shape has only one dimension
        return as_array(X, name="X")
    if whole is None or not whole.size or whole.dtype.kind not in "OV":
        return X
    is_column = whole.ndim == 1 or whole.shape[1:] == (1,)
    first = whole.flat[0]
    holds_vectors = is_column and (hasattr(first, "__len__") and not isinstance(first, str))
    is_small_float = whole.dtype.kind == "V" and whole.dtype.names is None
    return as_array(X, name="X") if holds_vectors or is_small_float else X
