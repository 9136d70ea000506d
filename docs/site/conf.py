"""Settings of Sphinx for `make site`; `stage.py` puts the pages beside them."""

from segdata.version import __version__

project = "segdata"
author = "the segdata authors"
project_copyright = "the segdata authors, Apache License 2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
# What is strict: `make site` turns each warning into an error, a page that stands in no
# list among them; so every link, anchor and name must be there.
nitpicky = True
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]  # generated pages may skip a level

smartquotes = False  # `--split` in plain text would become a dash
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

# Docstrings say `like this`; in reStructuredText that alone has no meaning.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
# So that the site is written where neither is installed, and quickly.
autodoc_mock_imports = ["tensorflow", "keras", "apache_beam", "jax"]
# Types of other packages, and the names that annotations have for them.
nitpick_ignore_regex = [("py:.*", r"(?!segdata\.\w+$).*")]

html_theme = "furo"
html_title = f"segdata {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
