"""One way to break the product."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """In `path` each old text, which is there once, becomes the new; then a test must fail."""

    name: str
    path: str
    edits: dict[str, str]
    tests: tuple[str, ...]

    def apply(self, folder: Path) -> None:
        """Put it into a tree. Raises ValueError if the module has changed."""
        text = (folder / self.path).read_text()
        for old, new in self.edits.items():
            if text.count(old) != 1:
                raise ValueError(f"{self.name}: {self.path} has changed, write the mutant anew")
            text = text.replace(old, new)
        (folder / self.path).write_text(text)
