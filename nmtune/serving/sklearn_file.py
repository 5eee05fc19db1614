"""Write a head as an estimator of scikit-learn's own classes, in a skops file, and run such a file.

A folded head is a softmax over x A + a + relu(x H + h) B. Without hidden units that is a
`LogisticRegression`. With them it is an `MLPClassifier`: the affine scores s = x A + a pass its one
hidden layer as relu(s) - relu(-s). So whoever loads the file needs no class of ours, and skops
trusts every type in it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

from nmtune.extras import needs
from nmtune.heads.head import Head
from nmtune.serving.folded import FoldedHead, fold

with needs("skops"):
    import skops.io

Matrix = NDArray[np.float32]


def sklearn_estimator(head: Head) -> Any:
    """A fitted `LogisticRegression`, `MLPClassifier`, or a `Pipeline` that centres the rows first.

    `classes_` is sorted, as scikit-learn's contract has it; `predict_proba` has its order.
    """
    folded = fold(head)
    order = np.argsort(np.array(folded.classes))
    classes = np.array(folded.classes)[order]
    estimator = (_linear if folded.into is None else _hidden)(folded, order)
    estimator.classes_, estimator.n_features_in_ = classes, folded.n_columns
    if folded.shift is None:
        return estimator
    centring = StandardScaler(with_std=False)
    centring.mean_, centring.scale_, centring.var_ = folded.shift, None, None
    centring.n_features_in_ = folded.n_columns
    return Pipeline([("centre", centring), ("head", estimator)])


def skops_bytes(head: Head) -> bytes:
    """The estimator as a skops file."""
    data: bytes = skops.io.dumps(sklearn_estimator(head))
    return data


def run_skops(data: bytes, x: Matrix, classes: Sequence[str]) -> Matrix:
    """The probabilities (n, c) that the estimator in such a file gives, in the order of `classes`.

    No type beyond those that skops trusts by itself is loaded.
    """
    estimator = skops.io.loads(data, trusted=[])
    column = {name: at for at, name in enumerate(estimator.classes_.tolist())}
    found = estimator.predict_proba(x)[:, [column[name] for name in classes]]
    return np.asarray(found, np.float32)


def _linear(folded: FoldedHead, order: NDArray[np.intp]) -> LogisticRegression:
    assert folded.affine is not None  # noqa: S101  a head without hidden units has it
    estimator = LogisticRegression()
    estimator.coef_ = _outputs(folded.affine[:, order]).T.copy()
    estimator.intercept_ = _outputs(folded.bias[None, order])[0]
    return estimator


def _hidden(folded: FoldedHead, order: NDArray[np.intp]) -> MLPClassifier:
    assert folded.into is not None and folded.into_bias is not None and folded.out is not None  # noqa: S101, PT018
    into, into_bias, out = [folded.into], [folded.into_bias], [_outputs(folded.out[:, order])]
    bias = _outputs(folded.bias[None, order])[0]
    if folded.affine is not None:
        scores = _outputs(folded.affine[:, order])
        passed = np.eye(scores.shape[1], dtype=np.float32)
        into += [scores, -scores]
        into_bias.append(np.zeros(2 * scores.shape[1], np.float32))
        out += [passed, -passed]
    estimator = MLPClassifier(hidden_layer_sizes=(sum(part.shape[1] for part in into),))
    estimator.coefs_ = [np.concatenate(into, axis=1), np.concatenate(out)]
    estimator.intercepts_ = [np.concatenate(into_bias), bias]
    estimator.n_layers_, estimator.n_outputs_ = 3, len(bias)
    estimator.out_activation_ = "logistic" if len(bias) == 1 else "softmax"
    estimator._label_binarizer = LabelBinarizer().fit(np.array(folded.classes))
    return estimator


def _outputs(scores: Matrix) -> Matrix:
    """Columns (m, c) as scikit-learn has them: of two classes only the second, over the first."""
    return scores[:, 1:] - scores[:, :1] if scores.shape[1] == 2 else scores
