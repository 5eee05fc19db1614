"""A browser between the app and the company's provider: it keeps cookies and follows."""

from typing import Final

import httpx

from service.access.credentials import COOKIE as SESSION
from service.access.sign_in import COOKIE as ATTEMPT
from tests.service.access.asking import Asking

CALLBACK: Final = "http://localhost/ui/login/openid/callback"
BEGIN: Final = "/ui/login/openid"


class Browsing:
    """One browser; what the app sets is kept, and sent with each request to it."""

    def __init__(self, ask: Asking) -> None:
        self.ask = ask
        self.cookies: dict[str, str] = {}

    @property
    def session(self) -> str | None:
        return self.cookies.get(SESSION)

    @property
    def attempt(self) -> str | None:
        return self.cookies.get(ATTEMPT)

    def get(self, address: str) -> httpx.Response:
        """Ask the app."""
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.ask.get(address, headers={"Cookie": sent} if sent else {})
        for line in answer.headers.get_list("set-cookie"):
            first, *rest = line.split("; ")
            assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(rest)
            name, _, value = first.partition("=")
            if "Max-Age=0" in rest:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def led_to(self, address: str = BEGIN) -> str:
        """Where the app sends it to sign in."""
        answer = self.get(address)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def answered_at(self, address: str) -> str:
        """The address with the answer to which the provider leads back."""
        with httpx.Client(timeout=60) as there:
            for _ in range(10):
                answer = there.get(address)
                assert answer.status_code in {302, 303}, answer.text
                address = str(answer.request.url.join(answer.headers["location"]))
                if address.startswith(CALLBACK):
                    return address
        raise AssertionError(f"the provider leads in circles: {address}")

    def sign_in(self, address: str = BEGIN) -> httpx.Response:
        """All of it; the app's last answer."""
        return self.get(self.answered_at(self.led_to(address)))
