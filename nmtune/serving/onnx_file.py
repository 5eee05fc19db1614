"""Write a head as an ONNX file, and run such a file with onnxruntime."""

import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.extras import needs
from nmtune.heads.head import Head
from nmtune.serving.folded import fold
from nmtune.serving.onnx_graph import INPUT, onnx_model

with needs("onnx"):
    import onnxruntime

OUTPUTS: Final = ("probabilities", "logits")
MOST_BYTES: Final = 2_000_000_000
"""A protobuf message cannot exceed 2 GiB."""

_ERRORS_ONLY: Final = 3


def onnx_bytes(head: Head) -> bytes:
    """The head as an ONNX file; the same head gives the same bytes.

    Its input is `embeddings` (n, d) float32; its outputs are `probabilities` and `logits` (n, c),
    not divided by the temperature. Its metadata hold `classes`, a JSON list in column order.

    Raises ValueError if the head is too large for the format.
    """
    folded = fold(head)
    if folded.n_bytes > MOST_BYTES:
        raise ValueError(
            f"an ONNX file holds at most 2 GiB, and this head takes {folded.n_bytes} bytes"
        )
    model = onnx_model(folded, outputs=OUTPUTS)
    entry = model.metadata_props.add()
    entry.key, entry.value = "classes", json.dumps(list(head.classes), ensure_ascii=False)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def run_onnx(data: bytes, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities (n, c) that onnxruntime computes with such a file for rows x (n, d)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {INPUT: x})
    return np.asarray(probabilities, np.float32)
