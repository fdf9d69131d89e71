// Boxes in rows over a horizontal axis: what flame graphs and the lanes of threads are drawn with. A click on a box makes
// it as wide as the drawing. Rows are in groups, one below the other; a group is as high as what is drawn of it.

const ROW = 19;
const LEAST_WIDTH = 0.6;
const TEXT_WIDTH = 20;
const MOST_BOXES = 5000;

class Boxes {
  // A box: { from, to, group, row, text, hue, number (of its function) }. `boxes` has the important ones first.
  // `tell(box)` returns the lines of its tip. A group has no more rows than `mostRows`; a click on a box shows those below.
  constructor(page, { label, length, tell, axis, mostRows = Infinity }) {
    Object.assign(this, { page, length, tell, axis, mostRows, boxes: [], groups: [""], view: [0, length], from: {} });
    this.zoomOut = element("button", { type: "button", hidden: "" }, "Whole width (Esc)");
    this.zoomOut.addEventListener("click", () => this.zoom(0, this.length));
    this.ticks = element("div", { class: "ticks" });
    this.sheet = element("div", { class: "sheet" });
    this.window = element("div", { class: "boxes", tabindex: "0", role: "group", "aria-label": label }, this.sheet);
    this.sheet.addEventListener("click", event => this.withBox(event, box => this.zoomTo(box)));
    this.sheet.addEventListener("pointermove", event =>
      this.withBox(event, box => page.tip.show(this.tell(box), event), () => page.tip.hide()));
    this.sheet.addEventListener("pointerleave", () => page.tip.hide());
    this.window.addEventListener("keydown", event => this.key(event));
    // Drawing changes the height only.
    new ResizeObserver(() => { if (this.sheet.clientWidth !== this.pixels) this.draw(); }).observe(this.window);
  }

  // `groups` has their headings; an empty one takes no room.
  set(boxes, length, groups = [""]) {
    Object.assign(this, { boxes, length, groups, view: [0, length] });
    this.draw();
  }

  zoomTo(box) {
    if (this.mostRows < Infinity) this.from[box.group] = Math.max(box.row - 1, 0);
    this.zoom(box.from, box.to);
  }

  zoom(from, to) {
    this.view = [from, Math.max(to, from + this.length * 1e-9)];
    if (this.isWhole()) this.from = {};
    this.page.tip.hide();
    this.draw();
  }

  isWhole() { return this.view[0] <= 0 && this.view[1] >= this.length; }

  withBox(event, then, otherwise = () => {}) {
    const at = event.target.dataset?.box;
    if (at === undefined) otherwise();
    else then(this.boxes[at]);
  }

  key(event) {
    const [from, to] = this.view;
    const width = to - from;
    const move = by => {
      const start = Math.min(Math.max(from + by * width, 0), this.length - width);
      this.zoom(start, start + width);
    };
    const scale = by => {
      const half = Math.min((width * by) / 2, this.length / 2);
      const middle = Math.min(Math.max((from + to) / 2, half), this.length - half);
      this.zoom(middle - half, middle + half);
    };
    const keys = {
      Escape: () => this.zoom(0, this.length),
      ArrowLeft: () => move(-0.2),
      ArrowRight: () => move(0.2),
      "+": () => scale(0.5),
      "-": () => scale(2),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }

  draw() {
    const [from, to] = this.view;
    this.pixels = this.sheet.clientWidth;
    const least = ((to - from) * LEAST_WIDTH) / (this.pixels || 1000);
    const drawn = [];
    const heights = this.groups.map(() => 0), deeper = this.groups.map(() => false);
    for (let at = 0; at < this.boxes.length && drawn.length < MOST_BOXES; at++) {
      const box = this.boxes[at];
      if (box.to <= from || box.from >= to || box.to - box.from < least) continue;
      const row = box.row - (this.from[box.group] ?? 0);
      if (row >= this.mostRows) deeper[box.group] = true;
      if (row < 0 || row >= this.mostRows) continue;
      drawn.push([at, row]);
      heights[box.group] = Math.max(heights[box.group], row + 1);
    }
    let top = 0;
    const headings = [], tops = [];
    this.groups.forEach((heading, group) => {
      const more = deeper[group] ? "; there are deeper calls: a click on a box shows what is below it" : "";
      if (heading) headings.push(this.heading(heading + more, top));
      tops.push(top + (heading ? ROW : 0));
      top = tops[group] + heights[group] * ROW + (heading ? ROW / 2 : 0);
    });
    const made = drawn.map(([at, row]) => this.box(this.boxes[at], at, tops[this.boxes[at].group] + row * ROW));
    this.sheet.style.height = `${top}px`;
    this.sheet.replaceChildren(...headings, ...made);
    this.zoomOut.hidden = this.isWhole();
    if (this.axis) drawTicks(this.ticks, from, to);
  }

  box(box, at, top) {
    const [from, to] = this.view;
    const place = value => (100 * (Math.min(Math.max(value, from), to) - from)) / (to - from);
    const left = place(box.from), width = place(box.to) - left;
    const hasRoom = (width * this.pixels) / 100 >= TEXT_WIDTH;
    const made = element("div", { class: hasRoom ? "box" : "box narrow", "data-box": at }, hasRoom ? box.text : "");
    made.style.left = `${left}%`;
    made.style.width = `${width}%`;
    made.style.top = `${top}px`;
    if (box.hue === null) made.classList.add("rest");
    else made.style.setProperty("--hue", box.hue);
    if (box.waits) made.classList.add("waits");
    if (box.from < from && box.to > to) made.classList.add("around");
    if (this.page.query) made.classList.add(box.number !== null && this.page.isFound(box.number) ? "hit" : "miss");
    return made;
  }

  heading(text, top) {
    const made = element("div", { class: "heading" }, text);
    made.style.top = `${top}px`;
    return made;
  }
}

// Round times over an axis.
function drawTicks(host, from, to) {
  const round = 10 ** Math.floor(Math.log10((to - from) / 4));
  const step = [1, 2, 5, 10].map(n => n * round).find(step => (to - from) / step <= 8) ?? round * 10;
  const ticks = [];
  for (let n = Math.ceil(from / step); n * step <= to - (to - from) * 0.03; n++) {
    const tick = element("span", {}, n === 0 ? "0" : duration(n * step));
    tick.style.left = `${(100 * (n * step - from)) / (to - from)}%`;
    ticks.push(tick);
  }
  host.replaceChildren(...ticks);
}

// A hue for each file, so that code of one place looks alike.
function hueOf(text) {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (hash * 31 + text.charCodeAt(at)) | 0;
  return ((hash % 360) + 360) % 360;
}
