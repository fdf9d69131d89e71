// The table of functions: sorted by any column, filtered by the search.

const FIRST_ROWS = 25;

const ofCalls = [
  { title: "calls", value: row => row.calls, show: count },
  { title: "resumed", value: row => row.resumes, show: count },
  { title: "self", value: row => row.own, show: duration, time: true, bar: true },
  { title: "cum", value: row => row.cum, show: duration, time: true },
  { title: "self cpu", value: row => row.ownCpu, show: duration, time: true },
  { title: "cum cpu", value: row => row.cumCpu, show: duration, time: true },
  { title: "self rss", value: row => row.ownRss, show: signedBytes, memory: true, order: Math.abs },
  { title: "cum rss", value: row => row.cumRss, show: signedBytes, memory: true, order: Math.abs },
  { title: "faults", value: row => row.faults, show: count, faults: true },
  { title: "cum/call", value: row => row.calls ? row.cum / row.calls : -1, show: ns => ns < 0 ? "-" : duration(ns), time: true },
];

const share = of => `${(100 * of).toFixed(1)} %`;
const ofSamples = [
  { title: "samples", value: row => row.samples, show: count },
  { title: "cpu share", value: row => row.share, show: share, bar: true },
  { title: "95 %", value: row => row.high, show: (high, row) => `${(100 * row.low).toFixed(1)}-${(100 * high).toFixed(1)}`, interval: true },
  { title: "self", value: row => row.own, show: duration },
  { title: "cum", value: row => row.cum, show: duration },
  { title: "self cpu", value: row => row.ownCpu, show: duration },
  { title: "cum cpu", value: row => row.cumCpu, show: duration },
  { title: "python", value: row => row.python, show: duration },
  { title: "native", value: row => row.native, show: duration },
  { title: "system", value: row => row.system, show: duration },
  { title: "waiting samples", value: row => row.waiting, show: count },
  { title: "self rss", value: row => row.ownRss, show: signedBytes, memory: true, order: Math.abs },
  { title: "cum rss", value: row => row.cumRss, show: signedBytes, memory: true, order: Math.abs },
];

class FunctionTable {
  constructor(page) {
    const { is_sampled: isSampled, memory_unknown: memoryUnknown } = page.data;
    const parse = ([number, [own, cum], [ownCpu, cumCpu], [ownRss, cumRss], isFunction, ...rest]) => {
      const row = { number, own, cum, ownCpu, cumCpu, ownRss, cumRss, isFunction };
      if (isSampled) {
        const [samples, waiting, [share, low, high], [python, native, system]] = rest;
        return { ...row, samples, waiting, share, low, high, python, native, system };
      }
      const [calls, resumes, open, faults, late] = rest;
      return { ...row, calls, resumes, open, faults, late };
    };
    this.page = page;
    this.isSampled = isSampled;
    this.columns = (isSampled ? ofSamples : ofCalls).filter(({ memory, faults }) => !memoryUnknown || !(memory || faults));
    this.rows = page.data.table.rows.map(parse);
    this.total = parse(page.data.table.total);
    this.leftOut = page.data.table.left_out;
    this.sort = { column: this.columns.findIndex(column => column.bar), up: false };
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
    this.heads = [title("function", -1), ...this.columns.map((column, at) => title(column.title, at))];
    this.body = element("tbody");
    const cells = this.columns.map((column, at) => {
      // Cumulative times of functions that call each other don't add up.
      const adds = !column.title.startsWith("cum") && !column.interval;
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
    const { value, order = n => n } = this.columns[column] ?? {};
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
    const cells = this.columns.map((column, at) => {
      const cell = element("td", { class: "number" }, this.cell(row, at));
      if (column.bar) cell.style.setProperty("--share", `${(100 * column.value(row)) / (column.value(this.total) || 1)}%`);
      if (column.bar) cell.classList.add("bar");
      return cell;
    });
    return element("tr", {}, head, ...cells);
  }

  cell(row, at) {
    const { value, show, time, memory } = this.columns[at];
    // Memory that no function is charged with has nothing else.
    if (row.number !== null && !memory && !row.isFunction && !this.isSampled) return "";
    const open = at === 0 && row.open ? ` +${count(row.open)} open` : "";
    return (time && row.late ? "≤" : "") + show(value(row), row) + open;
  }
}
