// Resident memory over time, and the calls that added most of it.

const WIDTH = 1000, HEIGHT = 220;

class MemoryTimeline {
  constructor(page, host) {
    this.page = page;
    this.length = page.data.duration_ns || 1;
    const { processes, processes_left_out, kinds, growths, left_out } = page.data.memory;
    if (processes.length === 0) {
      host.append(element("p", { class: "note" }, "No change of resident memory was recorded."));
      return;
    }
    const lines = processes.map(([pid, curve]) => ({ name: `process ${pid}`, curve }));
    host.append(...this.chart("Resident memory of each process", lines, true, growths));
    if (processes_left_out) {
      host.append(element("p", { class: "note" }, `${count(processes_left_out)} processes with less memory have no line.`));
    }
    if (left_out) {
      host.append(element("p", { class: "note" }, `${count(left_out)} small changes are in the log's sums only: no curve holds them.`));
    }
    const changes = kinds.map(([name, curve]) => ({ name, curve }));
    host.append(...this.chart("Change since the beginning, by kind", changes, false, []));
    if (growths.length) host.append(this.list(growths));
  }

  // A drawing with a line for each curve; `marks` are numbered on the first of their process.
  chart(title, lines, fromZero, marks) {
    const values = lines.flatMap(line => line.curve.map(([, value]) => value));
    const least = Math.min(0, ...values), most = Math.max(...values, least + 1);
    const x = time => (WIDTH * time) / this.length;
    const y = value => HEIGHT - ((HEIGHT - 12) * (value - least)) / (most - least) - 1;
    const path = curve => curve.map(([time, value], at) => at === 0 ? `M${x(time)} ${y(value)}` : `H${x(time)}V${y(value)}`).join("");
    const svg = drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title });
    const scale = element("div", { class: "scale" });
    for (const value of roundSizes(least, most)) {
      svg.append(drawing("path", { class: value === 0 ? "zero" : "grid", d: `M0 ${y(value)}H${WIDTH}` }));
      const label = element("span", {}, fromZero && value > 0 ? size(value) : signedBytes(value));
      label.style.top = `${(100 * y(value)) / HEIGHT}%`;
      scale.append(label);
    }
    lines.forEach(({ curve }, at) => {
      const line = path(curve);
      if (lines.length === 1) svg.append(drawing("path", { class: `area line-${at}`, d: `${line}V${y(0)}H${x(curve[0][0])}Z` }));
      svg.append(drawing("path", { class: `line line-${at}`, d: line }));
    });
    const plot = element("div", { class: "plot" }, svg, scale);
    plot.append(...this.marks(marks));
    const ticks = element("div", { class: "ticks below" });
    drawTicks(ticks, 0, this.length);
    const key = element("div", { class: "key" }, ...lines.map(({ name, curve }, at) => {
      const last = curve[curve.length - 1][1];
      return element("span", { class: `line-${at}` }, `${name} ${fromZero ? size(last) : signedBytes(last)}`);
    }));
    return [element("h3", {}, title), key, plot, ticks];
  }

  // In the middle of each call; those that would cover each other are set below each other.
  marks(growths) {
    const levels = [];
    const places = growths.map((growth, at) => ({ growth, at, place: (100 * (growth.start_ns + growth.end_ns)) / 2 / this.length }));
    return places.sort((a, b) => a.place - b.place).map(({ growth, at, place }) => {
      let level = levels.findIndex(last => place - last > 2);
      if (level < 0) level = levels.length;
      levels[level] = place;
      const mark = element("span", { class: "mark", title: this.words(growth) }, String(at + 1));
      mark.style.left = `${place}%`;
      mark.style.top = `${2 + (level % 10) * 18}px`;
      return mark;
    });
  }

  words({ stack, bytes, start_ns, end_ns, pid, tid, late, corrected }) {
    const { name, place } = this.page.functions[stack[stack.length - 1]];
    return `${name}\n${place}\n${signedBytes(bytes)} itself, ${lengthOf(end_ns - start_ns, late, corrected)} from ${duration(start_ns)} on\nprocess ${pid}, thread ${tid}`;
  }

  list(growths) {
    const names = stack => stack.slice(0, -1).reverse().slice(0, 6).map(number => this.page.functions[number].label);
    const rows = growths.map(growth => {
      const { label, place } = this.page.functions[growth.stack[growth.stack.length - 1]];
      const callers = names(growth.stack);
      const more = growth.stack.length - 1 - callers.length;
      const from = callers.join(" ← ") + (more > 0 ? ` ← ${count(more)} more` : "");
      return element("li", { title: this.words(growth) },
        element("b", {}, signedBytes(growth.bytes)), " ",
        element("span", { class: "name" }, label), " ",
        element("span", { class: "dim" }, `at ${duration(growth.start_ns)}, ${place}${from ? `, from ${from}` : ""}`));
    });
    return element("details", { open: "" }, element("summary", {}, "The calls that added most, without what they called"), element("ol", {}, ...rows));
  }
}

// Round sizes over an axis, zero among them.
function roundSizes(least, most) {
  let step = 4096;
  while ((most - least) / step > 5) step *= 2;
  const sizes = [];
  for (let value = Math.ceil(least / step) * step; value <= most; value += step) sizes.push(value);
  return sizes;
}
