// Flame graphs of the call tree, the outermost call at the top, weighed by any measure.

const measures = {
  wall: { title: "wall time", index: 0, show: duration },
  cpu: { title: "CPU time", index: 1, show: duration },
  grew: { title: "memory added", index: 2, show: size },
  shrank: { title: "memory given back", index: 3, show: size },
};

class FlameGraph {
  constructor(page, host, choice) {
    this.page = page;
    this.paths = page.data.flame.paths.map(([parent, what, calls, weights]) => ({ parent, what, calls, weights, children: [] }));
    this.paths.forEach((path, at) => { if (at > 0) this.paths[path.parent].children.push(path); });
    this.boxes = new Boxes(page, { label: host.id, length: 1, tell: box => this.tell(box) });
    const select = element("select", {}, ...choice.map(key => element("option", { value: key }, measures[key].title)));
    select.addEventListener("change", () => { this.measure = measures[select.value]; this.draw(); });
    this.measure = measures[choice[0]];
    this.words = element("p", { class: "note" });
    this.found = element("span", { class: "dim" });
    const tools = element("div", { class: "tools" }, element("label", {}, "weighed by ", select), this.boxes.zoomOut, this.found);
    host.append(tools, this.boxes.window, this.words);
    this.draw();
  }

  weight(path) { return path.weights[this.measure.index]; }

  draw() {
    const root = this.paths[0];
    const boxes = [];
    const open = [{ path: root, from: 0, row: 0 }];
    while (open.length) {
      const { path, from, row } = open.pop();
      const weight = this.weight(path);
      if (weight === 0) continue;
      boxes.push({ from, to: from + weight, group: 0, row, path, ...this.look(path) });
      let at = from;
      for (const child of path.children.sort((a, b) => this.weight(b) - this.weight(a))) {
        open.push({ path: child, from: at, row: row + 1 });
        at += this.weight(child);
      }
    }
    boxes.sort((a, b) => (b.to - b.from) - (a.to - a.from));
    this.boxes.set(boxes, this.weight(root) || 1);
    const left = this.page.data.flame.left_out;
    this.words.textContent = this.weight(root) === 0
      ? `There is no ${this.measure.title} in what was recorded.`
      : (this.page.data.is_sampled && this.measure.show === duration ? "Times are of samples. " : "")
        + "Width: what a call path came to, with all that it called. A click makes a box as wide as the drawing. "
        + (left ? `${count(left)} paths that are small by every measure are drawn as "smaller paths".` : "All paths are in it.");
    this.search();
  }

  look(path) {
    const { what } = path;
    if (what >= 0) {
      const { label, hue } = this.page.functions[what];
      return { text: label, hue, number: what };
    }
    const rest = path === this.paths[0] ? "all" : "smaller paths";
    const text = what < -1 ? `process ${this.page.data.flame.processes[-2 - what]}` : rest;
    return { text, hue: null, number: null };
  }

  tell({ path, text, number }) {
    const { show } = this.measure;
    const own = this.weight(path) - path.children.reduce((sum, child) => sum + this.weight(child), 0);
    const share = amount => `${show(amount)}, ${percent(amount, this.weight(this.paths[0]))} of all`;
    const lines = [text, number === null ? "" : this.page.functions[number].place, `with what it called: ${share(this.weight(path))}`];
    if (number !== null) lines.push(`itself: ${share(own)}`);
    if (number !== null && !this.page.data.is_sampled) lines.push(`${count(path.calls)} calls`);
    return lines.filter(line => line);
  }

  // Says how much of the whole is in what was found, each path counted once.
  search() {
    let sum = 0;
    const open = [this.paths[0]];
    while (this.page.query && open.length) {
      const path = open.pop();
      if (path.what >= 0 && this.page.isFound(path.what)) sum += this.weight(path);
      else open.push(...path.children);
    }
    const all = this.weight(this.paths[0]);
    this.found.textContent = this.page.query ? `found: ${this.measure.show(sum)}, ${percent(sum, all)}` : "";
    this.boxes.draw();
  }
}
