"""The page and the PDF: what is in them, that it is right, and that text stays text."""

import gzip
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from optical_ir.cli.app import app
from optical_ir.evaluation import compare
from optical_ir.evaluation.report import comparison_tables
from optical_ir.reporting import ReportInputs, write_report
from optical_ir.reporting.content import make_content
from optical_ir.reporting.page import render_page
from optical_ir.trec import read_qrels, read_run

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """Tags with their attributes, text, and the cells of each table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.texts, self.tables, self.open = [], [], [], []
        self.by_dir = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):  # noqa: D102
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):  # noqa: D102
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):  # noqa: D102
        opened, _ = self.open.pop()
        assert opened == tag, f"<{opened}> ends with </{tag}>"

    def handle_data(self, data):  # noqa: D102
        tags = [tag for tag, _ in self.open]
        if "style" in tags:
            return
        self.texts.append(data)
        isolated = any(tag == "bdi" or "dir" in attrs for tag, attrs in self.open)
        self.by_dir.setdefault(isolated, []).append(data)
        in_mark = any(
            attrs.get("class", "").startswith(("mark", "aside")) for _, attrs in self.open
        )
        if {"th", "td"} & set(tags) and not in_mark:
            self.tables[-1][-1][-1] += data


def inputs(output: Path, **more: object) -> ReportInputs:
    toy = output.parent / "toy"
    settings = {
        "runs": [output],
        "baseline": "zero-shot",
        "measures": ("nDCG@10", "R@5"),
        "collections": [str(toy)],
        "translations": [str(toy / "topics.en.tsv")],
        "n_permutations": 200,
    }
    return ReportInputs(**{**settings, **more})


def page_of(output: Path, **more: object) -> str:
    return render_page(make_content(inputs(output, **more)))


def check_harmless(text: str) -> Page:
    """Check that a page loads and runs nothing."""
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {
        *("script", "link", "iframe", "object", "embed", "base", "form", "img", "foreignobject")
    }
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        for name in ("href", "src", "xlink:href", "action", "data", "srcset"):
            assert attrs.get(name, "#").startswith("#"), (tag, attrs)
        assert not re.search(r"url\(|javascript:|expression", attrs.get("style", ""))
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert not re.search(r"url\(|@import|https?:", style)
    return page


def test_the_page_loads_and_runs_nothing(output):
    check_harmless(page_of(output))


def test_every_tag_is_closed_and_links_lead_somewhere(output):
    page = Page(page_of(output))
    assert not page.open
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"}
    assert links <= set(ids)


def test_the_page_has_every_part(output):
    text = page_of(output)
    page = Page(text)
    for title in ("Overview", "toy-sw", "toy-mr", "Training", "Costs", "Provenance"):
        assert title in page.texts
    bars = [attrs for tag, attrs in page.tags if attrs.get("type") == "radio"]
    assert bars and all(attrs["aria-label"] for attrs in bars)
    assert "optical-ir reproduce demo.toml" in page.texts
    assert "2026-11-26T01:02:03+00:00" in page.texts


def test_tables_are_those_of_compare(output):
    page = Page(page_of(output))
    runs = {
        system: read_run(output / "runs" / f"run.toy-mr.{system}.trec")
        for system in ("bm25", "optical", "zero-shot")
    }
    compared = compare(
        read_qrels(output / "qrels/qrels.toy-mr.txt"),
        runs,
        baseline="zero-shot",
        measures=("nDCG@10", "R@5"),
        n_permutations=200,
    )
    for table in comparison_tables(compared, compared.values):
        cells = [list(table.header), *([cell.text for cell in row] for row in table.rows)]
        assert cells in page.tables


def test_changes_add_up_to_the_difference_of_the_means(output):
    for panel in make_content(inputs(output)).panels:
        for system in panel.comparison.values:
            changes = panel.changes(system)
            contrast = panel.contrast(system)
            if contrast is None:
                assert not changes
                continue
            total = sum(change.difference for change in changes) / panel.n_queries
            assert total == pytest.approx(contrast.difference, abs=1e-12)
            assert len(changes) == contrast.wins + contrast.losses
            assert changes == sorted(changes, key=lambda change: -change.difference)


def test_recall_grows_with_depth_and_ends_at_the_depth_of_the_runs(output):
    for panel in make_content(inputs(output)).panels:
        for values in panel.recall.values():
            assert list(values.values()) == sorted(values.values())
            assert list(values) == [1, 2, 3, 5, 9] and values[9] == 1.0


@pytest.mark.parametrize("topics", ["mr", "ar"])
def test_other_scripts_are_there_in_their_own_direction(output, topics):
    given = [f"toy-sw={output.parent / 'toy'}/topics.{topics}.tsv"]
    page = Page(page_of(output, topics=given))
    lines = (output.parent / f"toy/topics.{topics}.tsv").read_text("utf-8").splitlines()
    (query,) = (line.split("\t")[1] for line in lines if line.startswith("q3\t"))
    assert query in page.by_dir[True] and query not in page.by_dir[False]


@pytest.mark.parametrize("missing", ["queries", "translations", "documents"])
def test_texts_that_are_missing_are_said_to_be(output, missing):
    toy = output.parent / "toy"
    given = {
        "topics": [f"toy-{name}={toy / f'topics.{name}.tsv'}" for name in ("sw", "mr")],
        "translations": [str(toy / "topics.en.tsv")],
        "collections": [str(toy)],
    }
    given["collections" if missing == "documents" else "translations"] = ()
    if missing == "queries":
        given["topics"] = given["collections"] = ()
    said = re.findall("Not shown, for they were not given: ([^<]*)[.]<", page_of(output, **given))
    assert len(said) == 2 and all(missing in words for words in said)
    assert "Not shown" not in page_of(output)


HOSTILE = "\"><script>alert(1)<!script><img src=x onerror=alert(1)>' onload=x &amp; {{ 7*7 }}"


def test_hostile_text_stays_text(output):
    toy = output.parent / "toy"
    for path in (*toy.glob("topics.*"), toy / "corpus.jsonl"):
        written = HOSTILE if path.suffix == ".tsv" else HOSTILE.replace('"', '\\"')
        text = path.read_text("utf-8").replace("Words", written)
        path.write_text(re.sub(r"\t", f"\t{HOSTILE} ", text), "utf-8")
    system = "<img src=x onerror=alert(1)>"
    for path in [*(output / "runs").glob("*.optical.*")]:
        text = path.read_text("utf-8").replace("optical-ir reproduce", f"\\u0000{system}\\ud800")
        text = text.replace("0123456789ab", "\\udc00\\u0001")
        path.unlink()
        name = path.name.replace(".optical.", f".{system}.").replace("toy-sw", 'toy-sw"><script>')
        path.with_name(name).write_text(text, "utf-8")
    shutil.copy(output / "qrels/qrels.toy-sw.txt", output / 'qrels/qrels.toy-sw"><script>.txt')
    for path in [*(output / "runs").glob("run.toy-sw.*")]:
        path.rename(path.with_name(path.name.replace("toy-sw", 'toy-sw"><script>')))
    (output / "students/optical").rename(output / f"students/{system}")
    log = output / f"students/{system}/log.jsonl"
    log.write_text(log.read_text("utf-8").replace('"loss"', '"<svg onload=x>"'), "utf-8")
    files = write_report(inputs(output, collections=[f"toy={toy}"]), output / "r.html")
    page = check_harmless(files[0].read_text("utf-8"))
    said = " ".join(page.texts)
    assert system in said and HOSTILE in said and "<svg onload=x>" in said
    assert 'toy-sw"><script>' in said
    assert "\0" not in said and "\N{REPLACEMENT CHARACTER}" in said


def test_the_same_input_gives_the_same_bytes(output, tmp_path):
    first, second = (write_report(inputs(output), tmp_path / f"{n}.html") for n in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_pdf_has_pages_whose_text_can_be_searched(output, tmp_path):
    _, path = write_report(inputs(output), tmp_path / "r.html")
    content = path.read_bytes()
    assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
    (count,) = re.findall(rb"/Type /Pages[^>]*/Count (\d+)|/Count (\d+)[^>]*/Type /Pages", content)
    assert int(b"".join(count)) >= 5
    assert b"CreationDate" not in content and b"/ToUnicode" in content
    if shutil.which("pdftotext"):
        done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True)
        text = " ".join(done.stdout.decode().split())
        assert "toy-sw" in text and "English of q" in text and "0123456789ab" in text


def test_systems_asked_a_part_have_a_panel_of_their_own(output):
    part = output / "runs/run.toy-sw.bm25.trec"
    rows = [r for r in part.read_text("utf-8").splitlines(True) if r.split()[0] in ("q1", "q2")]
    part.write_text("".join(rows), "utf-8")
    origin = part.with_name(part.name + ".json")
    origin.write_text(origin.read_text("utf-8").replace('"queries": 12', '"queries": 2'), "utf-8")
    panels = {(p.key, p.queries): p for p in make_content(inputs(output)).panels}
    assert "bm25" not in panels["toy-sw", "all"].comparison.values
    limited = panels["toy-sw", "bm25"]
    assert limited.n_queries == 2 and set(limited.runs) == {"bm25", "optical", "zero-shot"}


def test_unanswered_queries_count_and_are_told(output):
    run = output / "runs/run.toy-sw.bm25.trec"
    rows = [r for r in run.read_text("utf-8").splitlines(True) if r.split()[0] != "q1"]
    run.write_text("".join(rows), "utf-8")
    panel = next(p for p in make_content(inputs(output)).panels if p.key == "toy-sw")
    assert panel.notes == ("bm25: 1 of 12 queries have no answer and count 0.",)
    assert panel.comparison.values["bm25"].loc["q1"].sum() == 0


def test_the_verb_writes_both_files(output, tmp_path):
    page = tmp_path / "r.html"
    done = CliRunner().invoke(app, ["report", str(output), "--output", str(page), "-m", "RR@10"])
    assert done.exit_code == 0 and page.is_file() and page.with_suffix(".pdf").is_file()
    again = CliRunner().invoke(app, ["report", str(output), "--output", str(page)])
    assert again.exit_code == 1 and "--overwrite" in str(again.exception)


def test_reported_runs_have_the_figures_of_their_provenance():
    paths = [
        ROOT / f"runs/run.afriqa-yor.test.{system}.trec.gz" for system in ("zero-shot", "optical")
    ]
    chosen = ReportInputs(paths, measures=("nDCG@10", "R@100"), n_permutations=200)
    content = make_content(chosen)
    (panel,) = content.panels
    for run in content.runs:
        assert panel.mean(run.system) == pytest.approx(run.origin["measures"]["nDCG@10"], abs=1e-9)
        assert panel.recall[run.system][100] == pytest.approx(
            run.origin["measures"]["R@100"], abs=1e-9
        )
    check_harmless(render_page(content))


def test_compressed_and_plain_runs_are_the_same(output):
    before = page_of(output)
    for path in (output / "runs").glob("*.trec"):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    assert page_of(output).replace(".trec.gz", ".trec") == before


@pytest.mark.data
def test_real_queries_and_documents_are_on_the_page(data_dir):
    folder = data_dir / "flores-ict"
    paths = [ROOT / f"runs/run.flores-ict-mar.{name}.trec.gz" for name in ("zero-shot", "optical")]
    chosen = ReportInputs(
        paths,
        measures=("nDCG@10",),
        collections=[str(folder)],
        translations=[str(folder / "topics.en.human.tsv")],
        n_permutations=200,
    )
    content = make_content(chosen)
    page = check_harmless(render_page(content))
    for change in content.changes[0][0].changes:
        assert change.query in page.by_dir[True] and change.translation in page.by_dir[True]
        assert all(answer.doc in page.by_dir[True] for answer in change.answers)
