"""LitServe with its defaults: python litserve_app.py PORT."""

import sys
from typing import Any

import litserve
import torch
from served import head


class Head(litserve.LitAPI):
    """JSON in, JSON out."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        self.model = head()

    def decode_request(self, request: dict[str, Any]) -> torch.Tensor:
        return torch.tensor(request["embeddings"])

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.model(x)

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Head(), accelerator="cpu", timeout=120)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        generate_client_file=False,
        num_api_servers=1,
    )
