// The page: its data, its search and what listens to that.

class Tip {
  constructor() { this.host = document.getElementById("tip"); }

  show(lines, event) {
    this.host.replaceChildren(...lines.map(line => element("div", {}, line)));
    this.host.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.host;
    this.host.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    this.host.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
  }

  hide() { this.host.hidden = true; }
}

class Page {
  constructor() {
    this.data = JSON.parse(document.getElementById("data").textContent);
    const { files, functions } = this.data.names;
    this.functions = functions.map(([name, file, line]) => {
      const path = files[file];
      const short = path.slice(path.lastIndexOf("/") + 1);
      // Names like <module> say little without their file.
      const label = name.startsWith("<") && path ? `${name} ${short}` : name;
      return { name, label, place: path ? `${path}:${line}` : "", hue: hueOf(path), text: `${name}\n${path}:${line}`.toLowerCase() };
    });
    this.tip = new Tip();
    this.input = document.getElementById("search");
    this.query = "";
    const at = id => document.getElementById(id);
    this.table = new FunctionTable(this);
    this.graphs = [new FlameGraph(this, at("time-graph"), ["wall", "cpu"])];
    this.lanes = this.data.lanes && new Lanes(this, at("lanes"));
    if (!this.data.memory_unknown) {
      this.graphs.push(new FlameGraph(this, at("memory-graph"), ["grew", "shrank"]));
      this.timeline = new MemoryTimeline(this, at("timeline"));
    }
    this.listen();
  }

  listen() {
    this.input.addEventListener("input", () => this.search(this.input.value));
    document.addEventListener("keydown", event => {
      const typing = event.target.matches("input, select, textarea");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        this.input.focus();
      } else if (event.key === "Escape" && event.target === this.input) {
        this.input.value = "";
        this.search("");
      }
    });
    addEventListener("hashchange", () => this.follow());
    this.follow();
  }

  // A link may hold a search: `#search=orders.py`.
  follow() {
    const [, text] = location.hash.match(/^#search=(.*)$/) ?? [];
    if (text === undefined) return;
    try {
      this.input.value = decodeURIComponent(text);
    } catch {
      this.input.value = text;
    }
    this.search(this.input.value);
  }

  isFound(number) { return this.matches === undefined || this.matches[number]; }

  search(query) {
    this.query = query.trim().toLowerCase();
    this.matches = this.query ? this.functions.map(({ text }) => text.includes(this.query)) : undefined;
    this.table.draw();
    this.graphs.forEach(graph => graph.search());
    this.lanes?.boxes.draw();
    const found = this.table.chosen().length;
    document.getElementById("found").textContent = this.query ? `${count(found)} found` : "";
  }
}

new Page();
