"""What routes that predict ask for by type: the predictors, and the budget of bodies."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.http.services import Services
from service.predict.intake import BodyBudget
from service.predict.predictor import Predictor
from service.predict.texts import TextPredictor


@dataclass(frozen=True, kw_only=True)
class PredictServices(Services):
    """The services, and those that answer predictions."""

    predictor: Predictor
    text_predictor: TextPredictor
    bodies: BodyBudget
    """Bounds the bodies of all predictions together, also those under `/v2`."""


def _services(request: Request) -> PredictServices:
    services: PredictServices = request.app.state.services
    return services


async def _predictor(request: Request) -> Predictor:
    return _services(request).predictor


async def _text_predictor(request: Request) -> TextPredictor:
    return _services(request).text_predictor


async def _bodies(request: Request) -> BodyBudget:
    return _services(request).bodies


PredictorDep = Annotated[Predictor, Depends(_predictor)]
TextPredictorDep = Annotated[TextPredictor, Depends(_text_predictor)]
BodyBudgetDep = Annotated[BodyBudget, Depends(_bodies)]
