"""Answer as a model of MLflow, with the runner beside this file: the module that MLflow loads.

    import mlflow
    model = mlflow.pyfunc.load_model("pets-3-mlflow")
    model.predict(x)  # x (n, d), embeddings from the model that made the training embeddings

Needs numpy and pandas beside MLflow; nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .run import Head

if TYPE_CHECKING:
    import pandas as pd


class Model:
    """A head: embeddings in, a table of labels and probabilities out."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def predict(self, model_input: Any) -> pd.DataFrame:
        """A row for each embedding: `label`, and `probabilities` in the order of the classes.

        The classes are in `config.json` and in the model's metadata. Raises ValueError for rows
        that cannot be right.
        """
        import pandas as pd  # here, since our server reads this file and has no pandas

        probabilities = self._head.predict_proba(model_input)
        labels = [self._head.classes[int(at)] for at in probabilities.argmax(axis=1)]
        return pd.DataFrame({"label": labels, "probabilities": probabilities.tolist()})


def _load_pyfunc(path: str) -> Model:
    """MLflow's entry: the model, from the path of its head."""
    return Model(Head(Path(path).read_bytes()))
