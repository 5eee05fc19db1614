"""The home of Finding: one thing that the doctor looked at."""

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; `advice` says what to do unless it is ok."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        advice = f"\n       {self.advice}" if self.advice else ""
        return f"{self.status:<4}  {self.name}: {self.detail}{advice}"
