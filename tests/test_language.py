"""Another language: nothing that a reader sees is forgotten, and what changes is seen by the translator."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.pofile import read_po

from coursekit import language
from cxrlib import words

ROOT = Path(__file__).parents[1]
KOREAN = ROOT / "locale" / "ko" / "LC_MESSAGES" / "course.po"


@pytest.mark.parametrize(
    ("script", "sentences"),
    [
        ("say(t`Images`);", ["Images"]),
        ("t`${n} of ${page.total - 1} images`", ["{0} of {1} images"]),
        ("t`a ${list.map((x) => `${x} (${x > 1 ? 'many' : \"}\"})`).join(`, `)} b`", ["a {0} b"]),
        ("t`the ${t`inner`} one`", ["the {0} one", "inner"]),
        ("`plain` + root`text` + format`x` + that.t`y`", []),
    ],
)
def test_what_a_script_marks_is_found(script, sentences):
    assert list(language.of_script(script, "a.js")) == sentences


def test_a_marked_sentence_has_no_escapes():
    with pytest.raises(ValueError, match=r"a.js.*no escapes"):
        list(language.of_script(r"t`50\u00a0%`", "a.js"))


def test_a_sentence_without_a_translation_stays_english(monkeypatch):
    monkeypatch.delenv("CXR_LANG", raising=False)
    assert words.t("{0} of {1} images", 3, "all") == "3 of all images"
    monkeypatch.setenv("CXR_LANG", "ko")
    assert words.t("nobody ever said {0}", 3) == "nobody ever said 3"
    assert words.t("Lesion") == "병변"
    assert "병변 안" in words.with_words("t`in the lesion`") and "Threshold" not in words.with_words("t`in the lesion`")
    monkeypatch.setenv("CXR_LANG", "tlh")
    with pytest.raises(ValueError, match="CXR_LANG.*ko.*tlh"):
        words.t("Lesion")


def test_a_changed_sentence_waits_until_somebody_has_looked_at_it(tmp_path):
    def template(*sentences):
        made = Catalog(fuzzy=False)
        for sentence in sentences:
            made.add(sentence, locations=[("a.js", 0)])
        return made

    file = tmp_path / "ko" / "course.po"
    first = language.update(file, template("The lungs of {0}", "Back"), "ko")
    assert language.words(first) == {}
    file.write_text(file.read_text().replace('"The lungs of {0}"\nmsgstr ""', '"The lungs of {0}"\nmsgstr "{0}의 폐"')
                    .replace('"Back"\nmsgstr ""', '"Back"\nmsgstr "이전"'))  # fmt: skip
    same = language.update(file, template("The lungs of {0}", "Back"), "ko")
    assert language.words(same) == {"The lungs of {0}": "{0}의 폐", "Back": "이전"}
    held = file.read_bytes()
    language.update(file, template("The lungs of {0}", "Back"), "ko")
    assert file.read_bytes() == held, "nothing has changed"
    later = language.update(file, template("The lungs of {0}.", "New"), "ko")
    assert language.words(later) == {} and "#, fuzzy" in file.read_text() and "이전" not in file.read_text()
    later["New"].string = "{0} 새것"
    with pytest.raises(ValueError, match=r"the same \{0\}"):
        language.words(later)


def test_the_library_has_the_words_of_the_catalogue():
    with open(KOREAN, "rb") as stream:
        said = language.words(read_po(stream))
    assert said == json.loads((ROOT / "cxrlib" / "locale" / "ko.json").read_text(encoding="utf-8")), "call make gettext"
    assert len(said) > 400 and all(
        re.search("[가-힣]|^[^a-z]*$", own) for own in said.values() if own not in ("Dice {0}.",)
    )


# --- every widget, in a language in which every sentence stands in brackets

BRACKETED = """
import sys, types
from pathlib import Path
root, folder = Path(sys.argv[1]), Path(sys.argv[2])
words = types.ModuleType("cxrlib.words")
words.t = lambda english, *values: f"[{english.format(*values)}]"
script = (root / "cxrlib" / "widgets" / "words.js").read_text()
script = script.replace("{}", "new Proxy({}, { get: (_, sentence) => `[${sentence}]` })", 1)
words.with_words = lambda module: script + module
words.language, words.translated = str, list
sys.modules["cxrlib.words"] = words
sys.path.insert(0, str(root / "tests"))
import cxrlib.widgets
from test_accessibility import WIDGETS
for name, make in WIDGETS.items():
    make(getattr(cxrlib.widgets, name)).save_html(folder / f"{name}.html")
"""
#: Names that no language translates: of classes, models, layers, methods, colors, data sets and settings.
NAMES = re.compile(r"""\b(?:
    normal|pneumonia|bacterial|viral|covid|tuberculosis|lung|ill|true|plain|marked|first|second|all|validation|test|
    CAM|Grad|Eigen|Score|Layer|Occlusion|occlusion|viridis|cividis|inferno|magma|gray|turbo|F1|Dice|ReLU|R|px|M|
    model|cxr|freeze|freeze_norms|True|k|CCPFDD|CPC|CPCPCPC|[CPFD]|relu\d|change\ \d|top|v\d
)\b""", re.X)  # fmt: skip
COLLECT = """() => {
  const found = [];
  for (const e of document.querySelectorAll(".cxr-kit, .cxr-kit *")) {
    if (e.matches("script, style")) continue;
    for (const name of ["aria-label", "aria-valuetext", "title", "placeholder", "alt"]) {
      if (e.getAttribute(name)) found.push(e.getAttribute(name));
    }
    for (const node of e.childNodes) if (node.nodeType === 3) found.push(node.textContent);
  }
  return found;
}"""
# every choice of every list, every box, every button, both ends of every slider; nothing that leaves the page
DRIVE = """async () => {
  const rest = () => new Promise((done) => setTimeout(done, 25)), found = new Set();
  const collect = COLLECT, look = async () => { await rest(); collect().forEach((text) => found.add(text)); };
  const all = (selector) => [...document.querySelectorAll(`.cxr-kit ${selector}`)]
    .filter((e) => !e.disabled && e.checkVisibility());
  await look();
  for (const e of all("input[type=range]")) for (const end of [e.min, e.max, e.value]) {
    e.value = end;
    e.dispatchEvent(new Event("input", { bubbles: true }));
    await look();
  }
  for (const e of all("select")) for (let i = 0; i < e.options.length; i++) {
    if (e.options[i].disabled) continue;
    e.selectedIndex = i;
    e.dispatchEvent(new Event("change", { bubbles: true }));
    await look();
  }
  for (const e of all("input[type=number]")) for (const value of ["-1", "", "2"]) {
    e.value = value;
    e.dispatchEvent(new Event("input", { bubbles: true }));
    await look();
  }
  for (const e of all("input[type=checkbox], input[type=radio], button")) {
    if (!e.isConnected || /PNG|Remove/.test(e.textContent)) continue;
    e.click();
    await look();
  }
  const written = ["X", "", "CD", "DC", "CFC", "PPPPPPPPPPPP", "CPFD"];
  for (const e of all("input[type=text]:not([readonly])")) for (const value of written) {
    e.value = value;
    e.dispatchEvent(new Event("input", { bubbles: true }));
    await look();
  }
  return [...found];
}""".replace("COLLECT", COLLECT)


def unmarked(texts: list[str]) -> set[str]:
    """The texts with a word of English outside of brackets."""
    found = set()
    for text in texts:
        rest = text
        while (shorter := re.sub(r"\[[^\[\]]*\]", " ", rest)) != rest:
            rest = shorter
        if re.search("[A-Za-z]", NAMES.sub("", rest)):
            found.add(" ".join(text.split())[:120])
    return found


@pytest.fixture(scope="module")
def bracketed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bracketed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", BRACKETED, ROOT, folder], check=True, env=environment, cwd=ROOT)
    return folder


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_all_that_the_widgets_say_is_marked(bracketed, chromium):
    forgotten = {}
    for file in sorted(bracketed.glob("*.html")):
        page = chromium.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector("[data-theme]")
        texts = page.evaluate(DRIVE)
        page.close()
        assert sum("[" in text for text in texts) > 5, file.stem
        if found := unmarked(texts):
            forgotten[file.stem] = sorted(found)
    assert not forgotten, json.dumps(forgotten, indent=1, ensure_ascii=False)
