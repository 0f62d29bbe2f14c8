"""The notebooks that Colab opens: the bytes that `make generated` makes, and nothing that Colab shows raw."""

import json
import re
import sys
import types
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from coursekit import notebooks as tool

ROOT = Path(__file__).resolve().parents[1]


SITE = tool.Site("https://github.com/someone/xrays", "main", "https://someone.github.io/xrays")
CHAPTERS = sorted((ROOT / "chapters").glob("*.md"))
HEADER = "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n---\n\n"
RAW_MYST = re.compile(r"^\s*(:{3,}|`{3,}\s*\{|~{3,}\s*\{)|\{[a-z:]+\}`|^\([\w-]+\)=\s*$|^% ", re.M)


def write_chapter(root: Path, body: str, name: str = "01_one.md") -> Path:
    path = root / "chapters" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEADER + body, encoding="utf-8")
    return path


def convert(root: Path, body: str) -> list[str]:
    """The Markdown cells of a chapter with this body, without the badge."""
    notebook = json.loads(tool.to_notebook(write_chapter(root, body), SITE, root=root))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"][1:]


# --- the committed files


def test_the_committed_notebooks_are_what_the_chapters_give(tmp_path):
    made = tool.make_all(tmp_path, tool.Site.read())
    committed = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "notebooks").glob("*.ipynb")}
    fresh = {p.name: p.read_text(encoding="utf-8") for p in made}
    assert committed.keys() == fresh.keys(), "run `make generated`"
    stale = [name for name in fresh if fresh[name] != committed[name]]
    assert not stale, f"run `make generated`: {stale}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_holds_the_current_setup_cell_first(chapter):
    text = chapter.read_text(encoding="utf-8")
    assert tool.with_bootstrap(text, tool.Site.read()) == text, "run `make generated`"
    assert "bootstrap" in re.search(r"^`{3,}\{code-cell\}.*\n(.*)\n", text, re.M)[1]
    assert len(re.findall(r"pip install", text)) == 1, "only the set-up cell installs"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_a_notebook_is_valid_clean_and_free_of_raw_myst(chapter):
    text = tool.to_notebook(chapter, tool.Site.read())
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert "colab-badge.svg" in notebook.cells[0].source
    assert f"notebooks/{chapter.stem}.ipynb" in notebook.cells[0].source
    for cell in notebook.cells:
        assert "outputs" not in cell or cell.outputs == []
        assert cell.get("execution_count") is None
        if cell.cell_type == "markdown":
            prose = re.sub(r"^```.*?^```", "", cell.source, flags=re.M | re.S)
            assert not RAW_MYST.search(prose), RAW_MYST.search(prose)[0]
    assert '"id"' not in text
    code = [c.source for c in notebook.cells if c.cell_type == "code"]
    assert "google.colab" in code[0]
    for source in code:
        compile(TransformerManager().transform_cell(source), chapter.stem, "exec")


GENERATED = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "exercises").glob("*.ipynb")])


def leads_somewhere(link: str, site) -> bool:
    """Whether a link into the book or the repository has its page or file; any other web address passes."""
    address = link.partition("#")[0]
    for prefix in (site.colab(""), site.raw(""), f"{site.url}/blob/{site.branch}/"):
        if address.startswith(prefix):
            return (ROOT / address.removeprefix(prefix)).is_file()
    if address.startswith(site.book + "/"):
        page = address.removeprefix(site.book + "/").removesuffix(".html")
        return (ROOT / f"{page}.md").is_file()
    return address.startswith("https://")


@pytest.mark.parametrize("path", GENERATED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_what_colab_opens_shows_no_raw_myst_and_no_dead_link(path):
    site = tool.Site.read()
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    markdown = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    prose = re.sub(r"^```\w*$.*?^```$", "", markdown, flags=re.M | re.S)
    assert not RAW_MYST.search(prose), RAW_MYST.search(prose)[0]
    links = re.findall(r"\]\(<?([^)\s>]+)", re.sub(r"`[^`\n]*`", "", prose))
    assert links and [link for link in links if not leads_somewhere(link, site)] == []


# --- the set-up cell


@pytest.mark.parametrize("in_colab", [True, False])
def test_the_setup_cell_installs_in_colab_only(in_colab, monkeypatch):
    ran = []
    shell = types.SimpleNamespace(run_line_magic=lambda name, line: ran.append(f"{name} {line}"))
    if in_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(TransformerManager().transform_cell(SITE.bootstrap()), {"get_ipython": lambda: shell})
    expected = ['pip install -q "cxrlib @ git+https://github.com/someone/xrays@main"']
    assert ran == (expected if in_colab else [])


def test_the_setup_cell_is_put_before_the_first_code_and_refreshed_in_place():
    text = HEADER + "# One\n\nProse.\n\n```{code-cell} ipython3\nx = 1\n```\n"
    once = tool.with_bootstrap(text, SITE)
    assert once.index("google.colab") < once.index("x = 1")
    added = once[once.index("```{code-cell}") : once.index("```{code-cell} ipython3\nx")]
    assert once.replace(added, "") == text
    assert tool.with_bootstrap(once, SITE) == once
    moved = tool.Site("https://github.com/other/fork", "main", "https://other.github.io/fork")
    assert tool.with_bootstrap(once, moved) == once.replace(SITE.url, moved.url)


def test_the_badge_of_the_readme_follows_the_repository():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tool.with_badges(readme, tool.Site.read()) == readme, "run `make generated`"
    moved = tool.with_badges("[x](https://colab.research.google.com/github/a/b/blob/dev/notebooks/n.ipynb)", SITE)
    assert moved == f"[x]({SITE.colab('notebooks/n.ipynb')})"


# --- the Markdown


def test_admonitions_become_block_quotes(tmp_path):
    body = ":::{note}\nFirst.\n\n- a\n- b\n:::\n\n```{admonition} Predict first\nWhich?\n```\n"
    (cell,) = convert(tmp_path, body)
    assert cell == "> **Note**\n>\n> First.\n>\n> - a\n> - b\n\n> **Predict first**\n>\n> Which?"


def test_a_question_stands_with_its_choices(tmp_path):
    body = ":::{predict}\n:choices: one | two *or* more\nHow\nmany?\n:::\n\n:::{predict}\nWhy?\n:::\n"
    (cell,) = convert(tmp_path, body)
    assert cell == "**Predict first.** How\nmany?\n\n- one\n- two *or* more\n\n**Predict first.** Why?"


def test_a_dropdown_stays_closed_until_opened(tmp_path):
    (cell,) = convert(tmp_path, ":::{admonition} Answer\n:class: dropdown\nThe *second*.\n:::\n")
    assert cell == "<details><summary><b>Answer</b></summary>\n\nThe *second*.\n\n</details>"


def test_nested_blocks_and_code_inside_of_them(tmp_path):
    body = "::::{tip}\n:::{note}\nIn.\n:::\n```python\nx[0](y)  # {ref}`no`\n```\n::::\n"
    (cell,) = convert(tmp_path, body)
    assert cell == "> **Tip**\n>\n> > **Note**\n> >\n> > In.\n> ```python\n> x[0](y)  # {ref}`no`\n> ```"


def test_links_lead_into_the_book(tmp_path):
    write_chapter(tmp_path, "(costs)=\n# Two\n", "02_two.md")
    (cell,) = convert(
        tmp_path, "See [two](02_two.md), [there](02_two.md#sub), [costs](#costs), [web](https://a.org).\n"
    )
    book = "https://someone.github.io/xrays/chapters/02_two.html"
    assert cell == f"See [two]({book}), [there]({book}#sub), [costs]({book}#costs), [web](https://a.org)."


def test_roles_that_colab_can_show_are_carried_over(tmp_path):
    write_chapter(tmp_path, "(costs)=\n# Two\n", "02_two.md")
    (cell,) = convert(tmp_path, "{math}`x^2`, {ref}`the costs <costs>` and `{ref}` in code.\n")
    page = "https://someone.github.io/xrays/chapters/02_two.html#costs"
    assert cell == f"$x^2$, [the costs]({page}) and `{{ref}}` in code."


def test_glossary_words_stay_words(tmp_path):
    body = "An *{term}`opacity`*, two **{term}`short cuts <short cut>`** and `{term}` in code.\n"
    assert convert(tmp_path, body) == ["An *opacity*, two **short cuts** and `{term}` in code."]


def test_figures_math_and_code_blocks(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.svg").write_text("<svg/>")
    body = (
        "```{figure} ../book/a.svg\n:alt: A lung\nThe caption.\n```\n\n"
        "```{math}\n:label: eq\nx\n```\n\n```{code-block} bash\nls\n```\n"
    )
    (cell,) = convert(tmp_path, body)
    image = "![A lung](https://github.com/someone/xrays/raw/main/book/a.svg)\n\n*The caption.*"
    assert cell == f"{image}\n\n$$\nx\n$$\n\n```bash\nls\n```"


@pytest.mark.parametrize(
    "body, named",
    [
        ("```{list-table}\n- * a\n```\n", "list-table"),
        ("See {cite}`kermany`.\n", "cite"),
        ("See {ref}`costs`.\n", "ref"),
        ("A note[^1].\n", "footnote"),
        ("See [](02_two.md).\n", "without text"),
        ("See [two](nowhere.md).\n", "nowhere.md"),
        (":::{note}\nnever closed\n", "never closed"),
    ],
)
def test_what_colab_cannot_show_is_an_error_that_names_it(tmp_path, body, named):
    with pytest.raises(ValueError, match=re.escape(named)) as caught:
        convert(tmp_path, body)
    assert "01_one.md" in str(caught.value)


def test_the_same_chapter_gives_the_same_bytes_and_stale_notebooks_go(tmp_path):
    chapter = write_chapter(tmp_path, "# One\n\n```{code-cell} ipython3\n:tags: [hide-input]\nx = 1\n```\n")
    assert tool.to_notebook(chapter, SITE, root=tmp_path) == tool.to_notebook(chapter, SITE, root=tmp_path)
    assert "hide-input" not in tool.to_notebook(chapter, SITE, root=tmp_path)
    target = tmp_path / "notebooks"
    target.mkdir()
    (target / "99_gone.ipynb").write_text("{}")
    assert [p.name for p in tool.make_all(target, SITE, root=tmp_path)] == ["01_one.ipynb"]
    assert sorted(p.name for p in target.iterdir()) == ["01_one.ipynb"]
    (tmp_path / "chapters" / "02_two.md").write_text(chapter.read_text())
    assert len(tool.make_all(target, SITE, root=tmp_path)) == 2
    assert [p.name for p in tool.make_all(target, SITE, ["02_two"], root=tmp_path)] == ["02_two.ipynb"]
    assert [p.name for p in target.iterdir()] == ["02_two.ipynb"], "of a course without the other chapter"


def test_the_address_of_the_book_follows_from_the_repository(tmp_path):
    config = tmp_path / "_config.yml"
    config.write_text("repository: {url: 'https://github.com/Some/xrays.git', branch: dev}\n")
    site = tool.Site.read(config)
    assert site.page("chapters/a", "b") == "https://some.github.io/xrays/chapters/a.html#b"
    assert site.colab("n.ipynb") == "https://colab.research.google.com/github/Some/xrays/blob/dev/n.ipynb"
    config.write_text("repository: {url: 'https://github.com/a/b', branch: main}\nhtml: {baseurl: 'https://x.org/'}\n")
    assert tool.Site.read(config).page("p") == "https://x.org/p.html"
