"""The endpoint that one would write: FastAPI, list[list[float]], torch."""

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from served import head

app = FastAPI()
model = head()


class Asked(BaseModel):
    """Embeddings."""

    embeddings: list[list[float]]


class Answer(BaseModel):
    """Of every class."""

    probabilities: list[list[float]]


@app.post("/predict")
def predict(asked: Asked) -> Answer:
    with torch.no_grad():
        return Answer(probabilities=model(torch.tensor(asked.embeddings)).tolist())
