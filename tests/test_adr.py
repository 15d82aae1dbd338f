"""Every decision is written down in the same form and found from the list."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs/adr"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_its_number_its_status_and_its_sections(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    number = int(page.name[:4])

    assert text.startswith(f"# {number}. ")
    assert re.search(r"^Status: (accepted|replaced by \d{4}), \d{4}-\d\d-\d\d$", text, re.M)
    assert re.findall(r"^## (.*)$", text, re.M) == ["Context", "Decision", "Consequences"]


def test_the_list_holds_every_decision_under_its_title() -> None:
    listed = re.findall(
        r"^(\d+)\. \[(.*)\]\((.*)\)$", (FOLDER / "README.md").read_text("utf-8"), re.M
    )

    titles = [page.read_text("utf-8").partition("\n")[0].removeprefix("# ") for page in PAGES]
    assert [f"{number}. {title}" for number, title, _ in listed] == titles
    assert [name for _, _, name in listed] == [page.name for page in PAGES]
