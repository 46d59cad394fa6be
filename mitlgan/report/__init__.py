"""Reports: a comparison or a run as one self-contained page, with the same tables in Markdown, JSON, CSV and LaTeX."""
