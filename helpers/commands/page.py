"""An executed notebook as a web page of one file, for readers without Jupyter."""

import re
from pathlib import Path

import nbformat

from helpers.common.files import write_atomically

# Code folds. The page may neither run scripts nor fetch anything, whatever a notebook holds.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{% block html_head %}
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:">
{{ super() }}
<style>
summary.code { color: #767676; cursor: pointer; font-size: small; margin-left: 7em }
.jp-RenderedMarkdown pre { font-family: monospace; font-size: 13px; white-space: pre-wrap; padding: 6px }
.jp-RenderedMarkdown pre, .jp-RenderedMarkdown pre code { word-break: normal; overflow-wrap: break-word }
@page { size: A4; margin: 14mm 12mm }
@media print { /* 120 letters of code in a line, and nothing cut off */
  body { padding: 0 }
  summary.code, .jp-InputPrompt, .jp-OutputPrompt, .jp-Collapser { display: none !important }
  .jp-Notebook, .jp-Cell, .jp-OutputArea-output { padding-left: 0 !important; overflow: visible !important }
  .jp-RenderedHTMLCommon { font-size: 11px; line-height: 1.4; padding-right: 0 }
  pre, pre code, .highlight pre { font-size: 9px !important; line-height: 1.3 !important; word-break: normal !important;
    white-space: pre-wrap !important; overflow: visible !important }
  td, td code { font-size: 9px !important; overflow-wrap: anywhere; text-align: left !important }
  img { max-width: 100%; max-height: 170mm }
  img, tr { break-inside: avoid }
  h1, h2, h3 { break-after: avoid }
}
</style>
{% endblock html_head %}
{% block data_jpg scoped %}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:image/jpeg;base64,{{ output.data['image/jpeg'] | escape_html }}"
     alt="{{ output | get_metadata('alt', 'image/jpeg') | escape_html }}">
</div>
{% endblock data_jpg %}
{% block input %}<details open><summary class="code">code</summary>{{ super() }}</details>{% endblock input %}
"""


def write_page(notebook: Path) -> Path:
    """Write ``<notebook>.html`` beside the executed notebook, and return its path."""
    from nbconvert import HTMLExporter  # takes a moment

    exporter = HTMLExporter(raw_template=TEMPLATE)
    body, _ = exporter.from_notebook_node(nbformat.read(notebook, as_version=4), {"metadata": {"name": notebook.stem}})
    page = notebook.with_suffix(".html")
    write_atomically(page, re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL).encode())
    return page
