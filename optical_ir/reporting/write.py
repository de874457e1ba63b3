"""Writing a report: the page and, beside it, the PDF."""

from pathlib import Path

from optical_ir.errors import ConfigError
from optical_ir.files import check_output, write_file
from optical_ir.reporting.content import make_content
from optical_ir.reporting.page import render_page
from optical_ir.reporting.pdf import render_pdf
from optical_ir.reporting.settings import ReportInputs


def write_report(
    inputs: ReportInputs, output: Path | str, *, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write a report as `output`, a page, and the same in print as a PDF beside it; give both.

    Both are made before either is written. The same inputs give the same bytes.

    Raises
    ------
    ConfigError
        If `output` does not end in ``.html``, or one of the two exists and `overwrite` is false;
        and see `make_content`.
    DataError
        See `make_content`.
    """
    page = Path(output)
    if page.suffix.lower() != ".html":
        raise ConfigError(
            f"{page}: expected a name that ends in .html, found {page.suffix or 'none'!r}."
        )
    printed = page.with_suffix(".pdf")
    for path in (page, printed):
        check_output(path, overwrite=overwrite)
    content = make_content(inputs)
    text, pages = render_page(content), render_pdf(content)
    with write_file(page, overwrite=overwrite) as stream:
        stream.write(text)
        part = printed.with_name(printed.name + ".tmp")
        try:
            part.write_bytes(pages)
            part.replace(printed)
        finally:
            part.unlink(missing_ok=True)
    return page, printed
