"""BentoML: bentoml serve bento_service:Head. JSON, and a body of bytes."""

from typing import Annotated

import bentoml
import numpy as np
import torch
from bentoml.validators import ContentType, DType, Shape
from served import head

Rows = Annotated[np.ndarray, Shape((-1, 768)), DType("float32")]
Bytes = Annotated[bytes, ContentType("application/octet-stream")]


@bentoml.service(workers=1, traffic={"timeout": 120})
class Head:
    """One worker, as it comes."""

    def __init__(self) -> None:
        self.model = head()

    @bentoml.api(route="/predict")
    def predict(self, embeddings: Rows) -> np.ndarray:
        with torch.inference_mode():
            return self.model(torch.from_numpy(np.ascontiguousarray(embeddings))).numpy()

    @bentoml.api(route="/predict_bytes")
    def predict_bytes(self, body: Bytes, /) -> Bytes:
        x = np.frombuffer(body, np.float32).reshape(-1, 768).copy()
        with torch.inference_mode():
            return self.model(torch.from_numpy(x)).numpy().tobytes()
