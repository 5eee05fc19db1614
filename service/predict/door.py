"""Answer POST /predict. `service.predict.routes` documents it for /docs."""

from collections.abc import Callable

from starlette.routing import BaseRoute

from service.http import json_body, paths
from service.http.identity import Identity, check_head
from service.http.layers.exchange import Answer, Exchange
from service.limits.meter import METER, Meter
from service.predict import rendering, request_body, trust
from service.predict.intake import BodyBudget, Door
from service.predict.options import read_query
from service.predict.predictor import Predictor
from service.predict.request_body import JSON, Request
from service.predict.texts import TextPredictor, check_encoder


class PredictDoor(Door[Request]):
    """Answers POST /predict."""

    def __init__(
        self,
        *,
        predictor: Predictor,
        text_predictor: TextPredictor,
        bodies: BodyBudget,
        route: BaseRoute,
    ) -> None:
        """route: its name in the metrics."""
        super().__init__(predictor=predictor, bodies=bodies)
        self._text_predictor = text_predictor
        self._route = route

    def takes(self, exchange: Exchange) -> bool:
        """Whether it is this path."""
        if exchange.path != paths.PREDICT:
            return False
        exchange.scope["route"] = self._route
        return True

    def reader(self, exchange: Exchange) -> tuple[Callable[[bytes], Request], bool]:
        """What parses a body of the request's type; an array is no text."""
        query = read_query(exchange.scope["query_string"])
        content_type = exchange.header(b"content-type") or ""
        shape = exchange.header(b"x-shape")

        def read(body: bytes) -> Request:
            return request_body.read(
                body,
                content_type=content_type,
                shape_header=shape,
                query=query,
                max_rows=self.predictor.max_rows,
                max_texts=self._text_predictor.max_texts,
            )

        return read, json_body.is_json(content_type)

    async def answered(self, exchange: Exchange, identity: Identity, asked: Request) -> Answer:
        """The answer in the form that the request accepts."""
        predictor, tenant = self.predictor, identity.tenant_id
        reference, x, options, texts, encoder = asked
        form = rendering.media_type(exchange.headers.get(b"accept", b""))
        check_head(identity, reference)
        pinned, shares = reference, options.class_shares
        if texts is not None:
            meter: Meter = exchange.scope[METER]
            meter.allowance.check_tokens()
            embedded = await self._text_predictor.embed(predictor, tenant, reference, texts)
            pinned, x = embedded.reference, embedded.x
            shares = embedded.class_shares if shares is None else shares
            meter.count_tokens(embedded.n_tokens)
        if encoder is not None:
            check_encoder((await predictor.serving(tenant, reference)).version, encoder)
        if options.output == "embeddings":
            serving, z = await predictor.transform(tenant, pinned, x)
            return rendering.of_embeddings(z, serving, reference, options, form)
        found = await predictor.answer(tenant, pinned, x, shares)
        if form == JSON:
            said = await trust.of_rows(found, x, options)
            return rendering.of_prediction(found, reference, options, form, said)
        return rendering.of_prediction(found, reference, options, form)
