"""The book's own buttons: open a chapter's generated notebook in Colab, download it, print the page."""

from __future__ import annotations


def colab_url(repository: str, branch: str, name: str) -> str:
    """Address that opens ``notebooks/NAME.ipynb`` of a GitHub repository in Colab."""
    slug = repository.removeprefix("https://github.com/").strip("/")
    return f"https://colab.research.google.com/github/{slug}/blob/{branch}/notebooks/{name}.ipynb"


def _add_buttons(app, pagename, templatename, context, doctree):
    folder, _, name = pagename.rpartition("/")
    if folder != "chapters" or doctree is None:
        return
    options = app.config.html_theme_options
    notebook = f"notebooks/{name}.ipynb"
    context["header_buttons"][:0] = [
        {
            "type": "link",
            "url": colab_url(options["repository_url"], options["repository_branch"], name),
            "text": "Colab",
            "icon": "fas fa-rocket",
            "tooltip": "Open this chapter in Google Colab",
            "label": "colab-button",
        },
        {
            "type": "group",
            "tooltip": "Download this chapter",
            "icon": "fas fa-download",
            "label": "download-buttons",
            "buttons": [
                {
                    "type": "link",
                    "url": context["pathto"](notebook, 1),
                    "text": "notebook (.ipynb)",
                    "icon": "fas fa-code",
                    "tooltip": "Download the notebook",
                    "label": "download-notebook-button",
                },
                {
                    "type": "javascript",
                    "javascript": "window.print()",
                    "text": "PDF (print)",
                    "icon": "fas fa-file-pdf",
                    "tooltip": "Print the page to PDF",
                    "label": "download-pdf-button",
                },
            ],
        },
    ]


def _without_thebe(app):
    # Jupyter Book always loads sphinx-thebe: addresses of other hosts and a script error on every page
    for event in ("env-before-read-docs", "doctree-resolved"):
        for listener in list(app.events.listeners[event]):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)


def setup(app):
    app.add_config_value("show_solutions", False, "env")  # read by tools/build_book.py, which adds the pages
    app.connect("builder-inited", _without_thebe)
    # after sphinx-book-theme, which makes the list at 500 and fills it at 501
    app.connect("html-page-context", _add_buttons, priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
