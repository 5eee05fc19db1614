"""MLflow: writes the directory of a model that `mlflow models serve` serves; python ... DIR."""

import sys

import mlflow
import numpy as np
import torch
from mlflow.models import infer_signature
from served import head

if __name__ == "__main__":
    rows = np.zeros((2, 768), np.float32)
    mlflow.pytorch.save_model(
        torch.jit.trace(head(), torch.from_numpy(rows)),
        sys.argv[1],
        signature=infer_signature(rows, np.zeros((2, 10), np.float32)),
        pip_requirements=["torch", "numpy"],
        serialization_format="pickle",
    )
