"""Tables of figures: for a terminal, as Markdown, as JSON."""
import json
import statistics


def human(value):
    """A figure with about three digits."""
    if not isinstance(value, float):
        return format(value, ",") if isinstance(value, int) else str(value)
    for least, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= least:
            return format(value, ",.%df" % digits)
    return format(value, ".3f")


class Report:
    """What one bench found."""

    def __init__(self, name, title):
        self.name, self.title = name, title
        self.tables, self.checks, self.texts = [], [], []

    def table(self, title, columns):
        """Begins a table and returns its list of rows, to be filled."""
        rows = []
        self.tables.append({"title": title, "columns": columns, "rows": rows})
        return rows

    def check(self, what, value, unit, at_least=None, at_most=None):
        """Holds a figure against a bound that was set for it."""
        holds = value >= at_least if at_least is not None else value <= at_most
        bound = "at least %s" % human(at_least) if at_least is not None else \
            "at most %s" % human(at_most)
        self.checks.append({"what": what, "value": value, "unit": unit, "bound": bound,
                            "holds": holds})

    def text(self, title, text):
        """Keeps the output of a program that prints its own table."""
        self.texts.append({"title": title, "text": text})

    def data(self):
        return {"bench": self.name, "title": self.title, "tables": self.tables,
                "checks": self.checks, "texts": self.texts}


def spread(values):
    """Median, lowest and highest, as the cells of a row."""
    return [float(statistics.median(values)), float(min(values)), float(max(values))]


def plain_table(table):
    cells = [table["columns"]] + [[human(cell) for cell in row] for row in table["rows"]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table["columns"]))]
    lines = ["", table["title"]]
    for row in cells:
        lines.append("  " + "  ".join([row[0].ljust(widths[0])] +
                                      [cell.rjust(width)
                                       for cell, width in zip(row[1:], widths[1:])]))
    return "\n".join(lines)


def plain(data):
    """A bench's findings for a terminal."""
    parts = ["\n== %s ==" % data["title"]]
    parts += [plain_table(table) for table in data["tables"]]
    parts += ["\n%s\n%s" % (text["title"], text["text"].rstrip()) for text in data["texts"]]
    if data["checks"]:
        parts.append("")
    for check in data["checks"]:
        parts.append("  %-6s %s: %s %s (%s)" % (
            "holds" if check["holds"] else "MISSED", check["what"], human(check["value"]),
            check["unit"], check["bound"]))
    return "\n".join(parts)


def markdown_table(table):
    lines = ["", "**%s**" % table["title"], "", "| %s |" % " | ".join(table["columns"]),
             "|%s|" % "|".join(["---"] + ["---:"] * (len(table["columns"]) - 1))]
    lines += ["| %s |" % " | ".join(human(cell) for cell in row) for row in table["rows"]]
    return "\n".join(lines)


def markdown(data):
    """A bench's findings as Markdown, below headings of the second level."""
    parts = ["\n### %s" % data["title"]]
    parts += [markdown_table(table) for table in data["tables"]]
    parts += ["\n**%s**\n\n```\n%s\n```" % (text["title"], text["text"].rstrip())
              for text in data["texts"]]
    if data["checks"]:
        parts.append("\n| what must hold | measured | bound | |\n|---|---:|---:|---|")
    for check in data["checks"]:
        parts.append("| %s | %s %s | %s | %s |" % (
            check["what"], human(check["value"]), check["unit"], check["bound"],
            "holds" if check["holds"] else "**missed**"))
    return "\n".join(parts)


def machine_lines(machine, row):
    """The machine, one line a property; `row` formats name and value."""
    return "\n".join(row % (name.replace("_", " "), human(value))
                     for name, value in machine.items() if value is not None)


def write_json(path, machine, findings):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "benches": findings}, file, indent=1, ensure_ascii=False)
        file.write("\n")
