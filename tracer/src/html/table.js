// The table of functions: sorted by any column, filtered by the search.

const FIRST_ROWS = 25;

const columns = [
  { title: "calls", value: row => row.calls, show: count },
  { title: "resumed", value: row => row.resumes, show: count },
  { title: "self", value: row => row.own, show: duration, time: true, bar: true },
  { title: "cum", value: row => row.cum, show: duration, time: true },
  { title: "self cpu", value: row => row.ownCpu, show: duration, time: true },
  { title: "cum cpu", value: row => row.cumCpu, show: duration, time: true },
  { title: "self rss", value: row => row.ownRss, show: signedBytes, memory: true, order: Math.abs },
  { title: "cum rss", value: row => row.cumRss, show: signedBytes, memory: true, order: Math.abs },
  { title: "faults", value: row => row.faults, show: count },
  { title: "cum/call", value: row => row.calls ? row.cum / row.calls : -1, show: ns => ns < 0 ? "-" : duration(ns), time: true },
];

class FunctionTable {
  constructor(page) {
    const parse = ([number, calls, resumes, open, [own, cum], [ownCpu, cumCpu], [ownRss, cumRss], faults, late, isFunction]) =>
      ({ number, calls, resumes, open, own, cum, ownCpu, cumCpu, ownRss, cumRss, faults, late, isFunction });
    this.page = page;
    this.rows = page.data.table.rows.map(parse);
    this.total = parse(page.data.table.total);
    this.leftOut = page.data.table.left_out;
    this.sort = { column: 2, up: false };
    this.all = false;
    this.table = document.getElementById("table");
    this.note = document.getElementById("table-note");
    this.drawHead();
    this.draw();
  }

  drawHead() {
    const title = (text, at) => {
      const button = element("button", { type: "button" }, text);
      button.addEventListener("click", () => this.sortBy(at));
      return element("th", { scope: "col" }, button);
    };
    this.heads = [title("function", -1), ...columns.map((column, at) => title(column.title, at))];
    this.body = element("tbody");
    const cells = columns.map((column, at) => {
      // Cumulative times of functions that call each other don't add up.
      const adds = !column.title.startsWith("cum");
      return element("td", { class: "number" }, adds ? this.cell(this.total, at) : "");
    });
    this.table.append(
      element("thead", {}, element("tr", {}, ...this.heads)),
      this.body,
      element("tfoot", {}, element("tr", {}, element("th", { scope: "row" }, "all functions"), ...cells)),
    );
  }

  sortBy(column) {
    const again = this.sort.column === column;
    this.sort = { column, up: again ? !this.sort.up : column < 0 };
    this.draw();
  }

  // The rows that are searched for, in the order asked for.
  chosen() {
    const { column, up } = this.sort;
    const found = this.rows.filter(row => this.page.isFound(row.number));
    const name = row => this.page.functions[row.number].name;
    const { value, order = n => n } = columns[column] ?? {};
    found.sort(column < 0
      ? (a, b) => (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0)
      : (a, b) => order(value(a)) - order(value(b)));
    return up ? found : found.reverse();
  }

  draw() {
    this.heads.forEach((head, at) => {
      const sorted = at - 1 === this.sort.column;
      head.setAttribute("aria-sort", sorted ? (this.sort.up ? "ascending" : "descending") : "none");
    });
    const found = this.chosen();
    const shown = this.all ? found : found.slice(0, FIRST_ROWS);
    this.body.replaceChildren(...shown.map(row => this.row(row)));
    this.note.replaceChildren(this.words(found.length, shown.length));
    if (shown.length < found.length) {
      const more = element("button", { type: "button", class: "link" }, "show all");
      more.addEventListener("click", () => { this.all = true; this.draw(); });
      this.note.append(" ", more);
    }
  }

  words(found, shown) {
    const searched = this.page.query ? " that were found" : "";
    const left = this.leftOut ? `; ${count(this.leftOut)} functions with less self time are not on this page, but in the totals` : "";
    return `${count(shown)} of ${count(found)} functions${searched}${left}.`;
  }

  row(row) {
    const { name, place } = this.page.functions[row.number];
    const head = element("th", { scope: "row" }, element("span", { class: "name" }, name), element("span", { class: "place" }, place));
    head.title = `${name}\n${place}`;
    const cells = columns.map((column, at) => {
      const cell = element("td", { class: "number" }, this.cell(row, at));
      if (column.bar) cell.style.setProperty("--share", `${(100 * column.value(row)) / (column.value(this.total) || 1)}%`);
      if (column.bar) cell.classList.add("bar");
      return cell;
    });
    return element("tr", {}, head, ...cells);
  }

  cell(row, at) {
    const { value, show, time, memory } = columns[at];
    // Memory that no function is charged with has nothing else.
    if (row.number !== null && !memory && !row.isFunction) return "";
    const open = at === 0 && row.open ? ` +${count(row.open)} open` : "";
    return (time && row.late ? "≤" : "") + show(value(row)) + open;
  }
}
