"""What routes that predict ask for by type: the predictors."""

from typing import Annotated

from fastapi import Depends, Request

from service.predict.predictor import Predictor
from service.predict.texts import TextPredictor


async def _predictor(request: Request) -> Predictor:
    predictor: Predictor = request.app.state.predictor
    return predictor


async def _text_predictor(request: Request) -> TextPredictor:
    predictor: TextPredictor = request.app.state.text_predictor
    return predictor


PredictorDep = Annotated[Predictor, Depends(_predictor)]


TextPredictorDep = Annotated[TextPredictor, Depends(_text_predictor)]
