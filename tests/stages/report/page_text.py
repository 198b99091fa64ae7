"""Reading a page as its reader does: sections by id, tables by caption, charts by title."""

from lxml import html

SVG = "*[local-name()='svg']"


def words(element):
    """An element's text with single spaces."""
    return " ".join(element.text_content().split())


class Page:
    """A page: its `text`, `path` and parsed `document`."""

    def __init__(self, text, path=None):
        self.text = text
        self.path = path
        self.document = html.fromstring(text)

    def all(self, xpath, **variables):
        """Elements or attributes of the whole page."""
        return self.document.xpath(xpath, **variables)

    def part(self, name):
        """The section with that id, or None."""
        return next(iter(self.all("//section[@id=$id]", id=name)), None)

    def told(self, name):
        """The text of a section."""
        return words(self.part(name))

    def parts(self):
        """The ids of the sections."""
        return self.all("//section/@id")


def tables(section, caption):
    """The tables whose captions begin so."""
    return section.xpath(".//table[starts-with(normalize-space(caption), $caption)]", caption=caption)


def rows(section, caption):
    """Rows of cells of the first table whose caption begins so."""
    return [[words(cell) for cell in row.xpath("./th|./td")] for row in tables(section, caption)[0].xpath("./tbody/tr")]


def heads(section, caption):
    """The columns' titles of the first table whose caption begins so."""
    return [words(cell) for cell in tables(section, caption)[0].xpath("./thead/tr/*")]


def chart(section, title):
    """The figure of the chart with that title."""
    (found,) = section.xpath(".//figure[contains(@class,'chart')][figcaption[normalize-space()=$title]]", title=title)
    return found


def chart_rows(figure):
    """The chart's numbers as a table: rows of cells."""
    return [[words(cell) for cell in row.xpath("./th|./td")] for row in figure.xpath(".//details//tbody/tr")]


def description(figure):
    """The chart in words, as one hears it."""
    (drawing,) = figure.xpath(".//" + SVG + "[@role]")
    (told,) = figure.xpath(".//*[@id=$id]", id=drawing.get("aria-describedby"))
    return words(told)
