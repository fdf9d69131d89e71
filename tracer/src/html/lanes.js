// What each thread did, over time.

class Lanes {
  constructor(page, host) {
    this.page = page;
    const { threads, calls, left_out, threads_left_out, corrected } = page.data.lanes;
    this.boxes = new Boxes(page, {
      label: "threads over time", length: page.data.duration_ns || 1, tell: box => this.tell(box), axis: true, mostRows: 16,
    });
    const words = element("span", { class: "note" }, this.words(left_out, threads_left_out));
    host.append(element("div", { class: "tools" }, words, this.boxes.zoomOut), this.boxes.ticks, this.boxes.window);
    if (corrected) host.append(element("p", { class: "note" }, corrected));
    const boxes = calls.map(([group, row, number, start, length, offCpu, rss, late, corrected]) => {
      const { label, hue } = this.page.functions[number];
      const waits = offCpu > length / 2;
      return { from: start, to: start + length, group, row, text: label, hue, number, offCpu, rss, waits, late, corrected };
    });
    this.boxes.set(boxes, this.boxes.length, threads.map(([pid, tid, name]) => `process ${pid}, thread ${tid}${name ? `, ${name}` : ""}`));
  }

  words(calls, threads) {
    const legend = "Pale: more than half of the time the thread was not running. Arrows, + and - move and zoom.";
    const left = [
      calls ? `${count(calls)} calls` : "",
      threads ? `${count(threads)} threads that did least` : "",
    ].filter(word => word).join(" and ");
    return left ? `${legend} Left out, the shortest first: ${left}.` : `${legend} All calls are in it.`;
  }

  tell({ number, text, from, to, offCpu, rss, late, corrected }) {
    return [
      text,
      this.page.functions[number].place,
      `${lengthOf(to - from, late, corrected)} from ${duration(from)} on`,
      `on CPU ${duration(to - from - offCpu)}, ${percent(to - from - offCpu, to - from)}`,
      `resident memory ${signedBytes(rss)}`,
    ];
  }
}
