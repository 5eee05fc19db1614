"""All files of tables that are refused, by what is wrong with them."""

from tests.support.files.tables import Bad
from tests.support.files.wrong_binaries import BAD_BINARIES
from tests.support.files.wrong_texts import BAD_TEXTS

BAD: dict[str, Bad] = BAD_TEXTS | BAD_BINARIES
