"""MLServer: `mlserver start .` in this folder. The Open Inference Protocol, JSON."""

import sys
from pathlib import Path

import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

sys.path.insert(0, str(Path(__file__).parent.parent))
from served import head


class HeadModel(MLModel):
    """One model, no parallel workers."""

    async def load(self) -> bool:
        self.model = head()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0])
        with torch.inference_mode():
            p = self.model(torch.from_numpy(x)).numpy()
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", p)]
        )
