"""How right labels turned into the given ones: a noise matrix out of the confident joint.

Sources: the joint is that of confident learning (arXiv 1911.00068, section 3); its use is forward
correction (Patrini et al., "Making Deep Neural Networks Robust to Label Noise", arXiv 1609.03683),
here of a calibration only. How many labels are wrong is estimated in a way of our own.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.study.label_errors import LabelErrors

HARD_ROWS: Final = 0.03
"""The share of the most confident predictions that disagree with right labels, which is taken off:
0 to 0.06 on clean sets."""

MOST_CLASSES: Final = 1000
"""With more, a pair of classes has too few rows to tell how often they are confused."""


def noise_matrix(errors: LabelErrors) -> NDArray[np.float64] | None:
    """N (c, c): N[j, i] estimates the chance that a row of class j was given label i.

    Which labels are taken for which comes from the confident joint, each of its rows scaled to its
    class's size, with one right row more in each class. How many are wrong does not: the joint also
    counts rows that are merely hard, more than half of them on a hard set. So all off the diagonal
    is scaled to the share of wrong labels among the most confident predictions, which hold few hard
    rows, less HARD_ROWS.

    Rows add up to 1. None with more than MOST_CLASSES classes.
    """
    n_classes = len(errors.n_rows_of_class)
    if n_classes > MOST_CLASSES:
        return None
    sizes = errors.n_rows_of_class.astype(np.float64)
    joint = np.diag(errors.n_right_of_class + 1.0)
    joint[errors.joint_given, errors.joint_suggested] = errors.joint_counts
    joint *= (sizes / joint.sum(axis=1))[:, None]
    of_class = joint.sum(axis=0)
    chances = np.where(of_class[:, None] > 0, joint.T, np.eye(n_classes))
    chances /= chances.sum(axis=1, keepdims=True)

    counted = 1 - (of_class * chances.diagonal()).sum() / of_class.sum()
    wanted = max(0.0, errors.confident_disagreement - HARD_ROWS)
    scale = wanted / counted if counted > 0 else 0.0
    scaled = np.maximum(0, scale * chances + (1 - scale) * np.eye(n_classes))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))
