"""What a provider's refusal means, by its status, codes and words, even if hidden in a 200.

Services differ in all three, so no single one decides: a limit by the minute passes, a limit by the
day does not, and some report a text that is too long as a fault of the server.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from providers.errors import (
    InputRefused,
    InvalidProvider,
    KeyRefused,
    ProviderBusy,
    ProviderError,
    ProviderUnavailable,
    QuotaExhausted,
    TooLong,
    TooMuch,
    UnknownPath,
    WrongAnswer,
)
from providers.http import hints
from providers.http.exchange import Answer

_MOST_WORDS: Final = 300
_MOST_TEXT: Final = 20_000
_DEEPEST: Final = 8


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_ACCOUNT: Final = _any(
    r"insufficient.?(quota|balance|credit|fund)",
    r"billing.?(hard.?limit|not.?active)",
    r"account.{0,20}(not active|deactivated|suspended|overdue)",
    r"(out of|no more|no remaining|not enough|ran out of|credit balance).{0,20}"
    r"(credits?|balance|funds|too low)",
)
_LONG_PERIOD: Final = _any(
    r"per.?(day|week|month)", r"\b(daily|monthly|weekly)\b", r"\b(RPD|TPD)\b", r"/ ?(day|month)\b"
)
_SHORT_PERIOD: Final = _any(
    r"per.?(second|sec\b|minute|min\b|hour)",
    r"\b(RPS|RPM|TPM|IPM|RPH|TPH)\b",
    r"/ ?(sec|second|min|minute|hour)\b",
    r"\d ?/ ?[smh]\b",
)
_QUOTA: Final = _any(r"quota", r"\bbilling\b", r"usage limit", r"spend(ing)? limit")
_RATE: Final = _any(
    r"rate.?limit", r"too.?many.?requests", r"throttl", r"resource.?exhausted", r"slow.?down"
)
_TEXT = r"(input|text|prompt|sequence|string|content|document)"
_TEXT_TOO_LONG: Final = _any(  # about one text, whatever else it says
    rf"{_TEXT}\s*(\(?\d+ tokens?\)?)?\s*(is |are )?too (large|long|big)",
    rf"{_TEXT}('s)? (length|size)\b.{{0,30}}(exceed|larger|longer|greater|more)",
)
_TOO_MANY_TOKENS: Final = _any(
    r"context.?(length|window|size)",
    r"too many tokens",
    r"maximum.{0,30}(length|tokens)",
    r"exceed.{0,40}(tokens|length)",
    r"\d+ tokens.{0,40}(exceed|too|limit|max)",
    r"(less|fewer) than \d+ tokens",
)
_TOO_LONG: Final = _any(
    r"too long",
    r"tokens?\b.{0,20}(limit|max)",
    r"longer than",
    r"(at most|up to) \d+ (tokens|char)",
)
_TOO_MUCH: Final = _any(
    r"too many (inputs|items|texts|requests in|elements)",
    r"batch.?size",
    r"too large",
    r"payload",
    r"batch.{0,40}(at most|exceed|max)",
    r"at most \d+ (requests|inputs|items|texts)",
    r"(array|list).{0,30}(too long|at most|length)",
    r"tokens? (limit )?per (request|batch)",
    r"total (number of )?tokens",
)
_TOO_MANY_AT_ONCE: Final = _any(  # in a 429: no wait makes this request fit
    r"(request|batch|input).{0,40}(too large|too big|larger than|more tokens)",
    r"tokens?.{0,40}must be reduced",
    r"reduce.{0,40}(tokens|batch|input|size|length)",
    r"more tokens than",
    r"(request|batch) (alone|itself)",
    r"too many (tokens|texts|inputs|items) in (a|one|this|the|your) (single )?(request|batch|call)",
)
_ABOUT_LENGTH: Final = _any(
    r"length", r"too (long|large|big|many)", r"\btokens?\b", r"characters?\b", r"context"
)
_LIMIT_AND_ASKED: Final = _any(r"limit:? *(?P<limit>[\d,]+).{0,40}?requested:? *(?P<asked>[\d,]+)")
_MODEL: Final = _any(r"\bmodel", r"\bdeployment")
_NO_ROUTE: Final = _any(r"unexpected endpoint", r"(invalid|unknown|no such) (url|route|endpoint)")

_STATUSES: Final = (
    (429, _any(_RATE.pattern, r"quota")),
    (401, _any(r"unauthenticated", r"unauthorized", r"invalid.?api.?key", r"authentication")),
    (403, _any(r"permission.?denied", r"forbidden")),
    (404, _any(r"not.?found", r"unexpected endpoint")),
    (503, _any(r"unavailable", r"overloaded", r"loading")),
    (400, _any(r"invalid.?(argument|request)", r"bad.?request")),
    (500, _any(r"internal", r"server.?error")),
)
"""The status that an error object's names mean if it holds no number."""


def error_of(answer: Answer, *, key: str | None, url: str) -> ProviderError:
    """The error that an unsuccessful answer means, with the provider's words but never the key."""
    return _Refusal.of(answer, key, url).error(answer.status, f"HTTP {answer.status}")


def hidden_in(
    answer: Answer, data: Any, *, key: str | None, url: str, is_read: bool = True
) -> ProviderError | None:
    """The error object that hides behind a successful status, if there is one.

    `is_read`: whether the body may be an answer; if not, any message counts as an error.
    """
    if isinstance(data, list):
        data = data[0] if len(data) == 1 else None  # Gemini sometimes wraps its errors
    if not isinstance(data, dict):
        return None
    names_error = data.get("error") or data.get("errors") or data.get("object") == "error"
    if is_read and not names_error:
        return None
    refusal = _Refusal.of(answer, key, url)
    if not names_error and not refusal.said:
        return None
    status = refusal.own_status()
    if status is None:
        message = f"The provider answered with an error (HTTP {answer.status}).{refusal.said}"
        return WrongAnswer(message)
    return refusal.error(status, f"HTTP {answer.status} with an error {status} inside")


def speaks_of_length(error: Exception) -> bool:
    """Whether the error may mean that a text is too long."""
    return _ABOUT_LENGTH.search(str(error)) is not None


@dataclass(frozen=True)
class _Refusal:
    """A refusal: its body, words and URL."""

    body: Any
    text: str
    """All strings of the body, for searching."""
    said: str
    """Only the message, fit to be shown."""
    retry_after: float | None
    url: str

    @classmethod
    def of(cls, answer: Answer, key: str | None, url: str) -> "_Refusal":
        try:
            body = orjson.loads(answer.body)
            text = " \n".join(_strings(body))[:_MOST_TEXT]
        except orjson.JSONDecodeError:
            body = None
            text = answer.body[:_MOST_TEXT].decode(errors="replace")
            text = "" if text.lstrip().startswith("<") else text  # an HTML page
        words = _words(body, key)
        said = f' It says: "{words}"' if words else ""
        return cls(body, text, said, hints.seconds(answer.headers, body, text), url)

    def own_status(self) -> int | None:
        """The status that the body states, by number or by name."""
        found = list(_codes(self.body))
        for code in found:
            if code.isdigit() and 400 <= int(code) < 600:
                return int(code)
        for status, names in _STATUSES:
            if any(names.search(code) for code in found):
                return status
        return next((status for status, names in _STATUSES if names.search(self.said)), None)

    def error(self, status: int, shown: str) -> ProviderError:
        """The error that it means with this status."""
        if status in {401, 403}:
            return self._of_rate(shown) if self._is_rate() else self._of_key(shown)
        if status == 402:
            return QuotaExhausted(f"The provider's account is used up ({shown}).{self.said}")
        if status == 429 or (status in {400, 503} and self._is_rate()):
            return self._of_rate(shown)
        if status in {404, 405}:
            return self._of_path(shown)
        if 300 <= status < 400:
            return InvalidProvider(
                f"The provider redirected the request to {self.url} ({shown}). Redirects are not "
                "followed: set base_url to the address that it leads to.",
                field="base_url",
            )
        too_large = self._of_size(status, shown)
        if too_large is not None:
            return too_large
        if status in {408, 424, 425} or status >= 500:
            message = f"The provider failed ({shown}).{self.said}"
            return ProviderUnavailable(message, retry_after=self.retry_after)
        return InputRefused(f"The provider refused the request ({shown}).{self.said}")

    def _is_rate(self) -> bool:
        return _RATE.search(self.text) is not None

    def _of_key(self, shown: str) -> ProviderError:
        if _ACCOUNT.search(self.text):
            return QuotaExhausted(f"The provider's account is used up ({shown}).{self.said}")
        return KeyRefused(f"The provider refused the key ({shown}).{self.said}")

    def _of_rate(self, shown: str) -> ProviderError:
        """The error of a rate limit: too many in this minute, too much at once, or used up."""
        if self._is_spent():
            return QuotaExhausted(f"The provider's account is used up ({shown}).{self.said}")
        if self._is_more_than_a_minute_holds():
            error = TooMuch(f"The request is too large for the provider ({shown}).{self.said}")
            error.is_of_tokens = "token" in self.text.lower()
            return error
        message = f"The provider asks for fewer requests ({shown}).{self.said}"
        return ProviderBusy(message, retry_after=self.retry_after)

    def _is_spent(self) -> bool:
        """Whether waiting does not help: the account, or its share of the day or month, is used up.

        Google mentions "your current quota" and billing even for a limit by the minute, and names
        the limit in `quotaId`; for a limit by the day it may ask to come back in seconds.
        """
        if _ACCOUNT.search(self.text):
            return True
        quotas = " ".join(_values(self.body, "quotaid"))
        if quotas:
            return _LONG_PERIOD.search(quotas) is not None
        if _SHORT_PERIOD.search(self.text):
            return False
        if _LONG_PERIOD.search(self.text):
            return True
        return self.retry_after is None and _QUOTA.search(self.text) is not None

    def _is_more_than_a_minute_holds(self) -> bool:
        if found := _LIMIT_AND_ASKED.search(self.text):
            limit, asked = (int(found[name].replace(",", "") or 0) for name in ("limit", "asked"))
            return asked > limit > 0
        return _TOO_MANY_AT_ONCE.search(self.text) is not None

    def _of_path(self, shown: str) -> ProviderError:
        if _MODEL.search(self.text) and not _NO_ROUTE.search(self.text):
            message = f"The provider does not know the model ({shown}).{self.said}"
            return InvalidProvider(message, field="model")
        return UnknownPath(
            f"The provider has nothing at {self.url} ({shown}).{self.said} Most often base_url "
            "lacks its /v1 or ends with more, such as /embeddings; or the model does not exist.",
            field="base_url",
        )

    def _of_size(self, status: int, shown: str) -> InputRefused | None:
        """Too long or too much, whatever the status: some report it as a server error."""
        refused = f"The provider refused the request ({shown}).{self.said}"
        if _TEXT_TOO_LONG.search(self.text):
            error: InputRefused = TooLong(refused)
        elif status == 413:
            error = TooMuch(f"The request is too large for the provider ({shown}).{self.said}")
            error.is_of_tokens = "token" in self.text.lower()
        elif status < 500 and _TOO_MUCH.search(self.text):
            error = TooMuch(refused)
        elif _TOO_MANY_TOKENS.search(self.text) or (status < 500 and _TOO_LONG.search(self.text)):
            error = TooLong(refused)
        else:
            return None
        error.share_taken = _share(self.text)
        return error


def _share(text: str) -> float | None:
    """The allowed share, if the text has exactly two numbers: the limit and what was sent."""
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    numbers = {int(one) for one in re.findall(r"(?<![\w.])\d{2,9}(?![\w.]\w|\d)", plain)}
    if len(numbers) != 2:
        return None
    share = min(numbers) / max(numbers)
    return share if share > 0.05 else None


def _codes(body: Any, depth: int = 0) -> Iterator[str]:
    """The values of `code`, `status` and `type`, from the outside in."""
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, dict) or depth > _DEEPEST:
        return
    for name in ("code", "status", "status_code", "statusCode", "type", "error_type"):
        if isinstance(body.get(name), int | str) and not isinstance(body.get(name), bool):
            yield str(body[name])
    for name in ("error", "errors"):
        yield from _codes(body.get(name), depth + 1)


def _values(body: Any, name: str, depth: int = 0) -> Iterator[str]:
    """The strings under a name, at any depth."""
    if depth > _DEEPEST:
        return
    if isinstance(body, list):
        for one in body[:100]:
            yield from _values(one, name, depth + 1)
    elif isinstance(body, dict):
        for key, value in list(body.items())[:100]:
            if key.replace("_", "").lower() == name and isinstance(value, str):
                yield value
            else:
                yield from _values(value, name, depth + 1)


def _strings(body: Any, depth: int = 0) -> Iterator[str]:
    """All strings of a JSON body."""
    if isinstance(body, str):
        yield body
    elif depth <= _DEEPEST and isinstance(body, list):
        for one in body[:100]:
            yield from _strings(one, depth + 1)
    elif depth <= _DEEPEST and isinstance(body, dict):
        for one in list(body.values())[:100]:
            yield from _strings(one, depth + 1)


def _words(body: Any, key: str | None) -> str:
    """The message of a JSON error, short and printable, or an empty string."""
    found = body
    for name in ("errors", "error", "message", "detail", "error_message"):
        while isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and isinstance(found.get(name), str | dict | list):
            found = found[name]
    if isinstance(found, dict):
        found = found.get("msg") or found.get("code")
    if not isinstance(found, str):
        return ""
    text = "".join(char if char.isprintable() else " " for char in found)
    if key:
        text = text.replace(key, "(the key)")
    # Providers repeat a key with its middle left out; hide the rest too.
    text = re.sub(r"\S*\*{3,}\S*", "(the key)", text)
    return text[:_MOST_WORDS].strip()
