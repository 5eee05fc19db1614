"""Build the documentation site: `make docs` writes it to build/docs, and every warning is an error.

Nothing is fetched: the theme, its scripts and the search index are files of the installed packages.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "clients/python")]

from nmtune.version import __version__  # noqa: E402

project = "NMTune"
author = "the NMTune authors"
release = version = __version__
copyright = author  # noqa: A001  the name that Sphinx reads

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx-mathjax-offline"]
exclude_patterns = ["conf.py", "generate", "pictures/take.py"]
nitpicky = True
# Without internet there is no inventory of Python, numpy and torch to look their names up in.
nitpick_ignore_regex = [(r"py:.*", r".*")]
# The pages' own links are checked; code blocks may be pseudo-code.
suppress_warnings = ["misc.highlighting_failure", "ref.python"]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"NMTune {release}"
html_copy_source = False
html_show_sphinx = False
