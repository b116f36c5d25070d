/** How many of ascending numbers lie below a value. */
function below(ascending, value) {
  let low = 0, high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What `ssl-pcb evaluate` says of a unit: below `low` is OK, from `high` on NG, and a person looks at the rest. */
function operate(unit, low, high, rate) {
  const [good, defective] = [unit.good, unit.defective];
  const counts = [good, defective].map((scores) => {
    const ok = below(scores, low), under = below(scores, high);
    return { ok, review: under - ok, ng: scores.length - under };
  });
  const escapes = counts[1].ok, stopped = counts[0].ng;
  const share = (index, scores) => (scores.length ? counts[index].review / scores.length : 0);
  return {
    escapes, stopped, good: counts[0], defective: counts[1],
    escape: escapes / defective.length, falseCall: stopped / good.length,
    escapeBound: unit.bounds[1][escapes], falseCallBound: unit.bounds[0][stopped],
    review: low < high ? 1000 * ((1 - rate) * share(0, good) + rate * share(1, defective)) : null,
  };
}

function percent(value) {
  return Number.isFinite(value) ? `${(100 * value).toFixed(2)} %` : "–";
}

/** The operating-point chart of a run, its controls and figures. `changed(low, high)` is told of each move. */
class Operating {
  constructor(root, data, changed) {
    Object.assign(this, { root, data, changed, unit: data.units[0] });
    const { good, defective } = this.unit;
    const low = Math.min(good[0], defective[0]), high = Math.max(good.at(-1), defective.at(-1));
    const room = (high - low || 1) * 0.03;
    this.range = [low - room, high + room];
    this.find = (name) => root.querySelector(`[data-role=${name}]`);
    this.controls();
    this.charts();
    this.start(data.chosen[0]);
  }

  controls() {
    const chosen = this.find("chosen");
    this.data.chosen.forEach((each, number) => chosen.append(el("option", { value: number }, each.name)));
    chosen.append(el("option", { value: "", hidden: true }, "moved"));
    chosen.addEventListener("change", () => this.start(this.data.chosen[chosen.value]));
    for (const name of ["low", "high"]) {
      const typed = this.find(name), range = this.find(`${name}-range`);
      [range.min, range.max] = this.range;
      range.addEventListener("input", () => this.drag(name, Number(range.value)));
      // The step of a range of any step is a hundredth: finer here, that each key moves by a few samples at most.
      range.addEventListener("keydown", (event) => {
        const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
        if (!way) return;
        event.preventDefault();
        this.drag(name, this[name] + (way * (this.range[1] - this.range[0])) / 400);
      });
      typed.addEventListener("change", () => Number.isFinite(typed.valueAsNumber) && this.drag(name, typed.valueAsNumber));
    }
    this.find("review").addEventListener("change", (event) => {
      const apart = this.low + (this.range[1] - this.range[0]) / 20;
      const high = event.target.checked ? Math.max(apart, this.firstFewFalseCalls()) : this.low;
      this.move(this.low, high, false);
    });
    const rate = this.find("rate");
    rate.addEventListener("change", () => {
      const value = rate.valueAsNumber;
      if (value >= 0 && value <= 1) this.rate = value;
      this.show();
    });
  }

  /** At an operating point that is offered. */
  start({ low, high, rate }) {
    this.rate = rate;
    this.find("rate").value = Number(rate.toPrecision(4));
    this.find("review").checked = low < high;
    this.move(low, high, true);
  }

  /** A place for the second threshold to begin: above all but one in a hundred good samples. */
  firstFewFalseCalls() {
    const good = this.unit.good;
    return good[Math.min(good.length - 1, Math.ceil(0.99 * good.length))];
  }

  get reviewed() {
    return this.find("review").checked;
  }

  drag(name, value) {
    if (!this.reviewed) this.move(value, value, false);
    else if (name === "low") this.move(value, Math.max(value, this.high), false);
    else this.move(Math.min(value, this.low), value, false);
  }

  move(low, high, named) {
    [this.low, this.high] = [low, high];
    if (!named) this.find("chosen").value = "";
    this.show();
  }

  charts() {
    const steps = 400, [from, to] = this.range;
    const along = Array.from({ length: steps + 1 }, (_, number) => from + ((to - from) * number) / steps);
    const found = along.map((at) => [at, operate(this.unit, at, at, 0)]);
    // Drawn as wide as there is room, so that its text is as large as the page's.
    const room = (name, most) => Math.max(280, Math.min(most, this.root.querySelector(`[data-chart=${name}]`).clientWidth || most));
    const wide = axes({ width: room("rates", 560), height: 320, x: this.range, y: [0, 1], xName: "threshold (score of Defective)", share: true });
    this.histogram(wide, this.unit.good, "var(--good)");
    this.histogram(wide, this.unit.defective, "var(--defect)");
    const curve = (of, colour, name) => svg("path", { class: "series", stroke: colour, d: path(found.map(([at, each]) => [at, of(each)]), wide.px, wide.py) }, svg("title", {}, name));
    this.between = svg("rect", { class: "between", y: wide.top, height: wide.height - wide.top - wide.bottom });
    this.handles = { low: this.handle(wide, "low"), high: this.handle(wide, "high") };
    wide.drawing.append(this.between, curve((each) => each.escape, "var(--defect)", "escape rate"), curve((each) => each.falseCall, "var(--good)", "false-call rate"),
      this.handles.high, this.handles.low);
    wide.drawing.setAttribute("aria-label", "Escape rate and false-call rate at every threshold");
    this.wide = wide;
    const legend = el("div", { class: "legend" }, el("span", {}, swatch("var(--defect)"), "escape rate"), el("span", {}, swatch("var(--good)"), "false-call rate"));
    this.root.querySelector("[data-chart=rates]").append(el("figure", { class: "chart" }, legend, wide.drawing));
    const square = axes({ width: room("tradeoff", 400), height: 320, x: [0, 1], y: [0, 1], xName: "escape rate", share: true, shareX: true });
    square.drawing.append(svg("path", { class: "series", stroke: "var(--muted)", d: path(found.map(([, each]) => [each.escape, each.falseCall]), square.px, square.py) }));
    this.dot = svg("circle", { class: "dot", r: 6 });
    square.drawing.append(this.dot);
    square.drawing.setAttribute("aria-label", "False-call rate against escape rate");
    this.square = square;
    this.root.querySelector("[data-chart=tradeoff]").append(el("figure", { class: "chart" }, el("div", { class: "legend" }, el("span", {}, "false-call rate against escape rate")), square.drawing));
  }

  histogram(plot, scores, colour) {
    const bins = 56, [from, to] = this.range, counts = new Array(bins).fill(0);
    for (const score of scores) counts[Math.min(bins - 1, Math.floor(((score - from) / (to - from)) * bins))] += 1;
    const highest = Math.max(...counts) || 1, bars = svg("g", { class: "bars", fill: colour });
    counts.forEach((count, number) => {
      const [left, right] = [number, number + 1].map((each) => plot.px(from + ((to - from) * each) / bins)), top = plot.py((0.9 * count) / highest);
      if (count) bars.append(svg("rect", { x: left, width: right - left, y: top, height: plot.py(0) - top }));
    });
    plot.drawing.append(bars);
  }

  handle(plot, name) {
    const handle = svg("g", { class: "drag", "data-handle": name },
      svg("rect", { x: -16, width: 32, y: plot.top, height: plot.height - plot.top - plot.bottom, fill: "transparent" }),
      svg("line", { class: "handle", y1: plot.top, y2: plot.height - plot.bottom }), svg("circle", { class: "grip", r: 8, cy: plot.top + 8 }));
    const at = (event) => {
      const box = plot.drawing.getBoundingClientRect();
      return Math.min(this.range[1], Math.max(this.range[0], plot.toX(((event.clientX - box.left) / box.width) * plot.width)));
    };
    handle.addEventListener("pointerdown", (event) => { handle.setPointerCapture(event.pointerId); event.preventDefault(); });
    handle.addEventListener("pointermove", (event) => handle.hasPointerCapture(event.pointerId) && this.drag(name, at(event)));
    return handle;
  }

  show() {
    const { low, high } = this, review = this.reviewed;
    this.find("review-controls").hidden = !review;
    this.find("low-name").textContent = review ? "OK below" : "Threshold";
    for (const name of ["low", "high"]) {
      this.find(name).value = this[name];
      this.find(`${name}-range`).value = this[name];
      this.handles[name].setAttribute("transform", `translate(${this.wide.px(this[name])} 0)`);
    }
    this.handles.high.style.display = review ? "" : "none";
    this.between.setAttribute("x", this.wide.px(low));
    this.between.setAttribute("width", Math.max(0, this.wide.px(high) - this.wide.px(low)));
    const found = operate(this.unit, low, high, this.rate), name = this.unit.name;
    this.dot.setAttribute("cx", this.square.px(found.escape));
    this.dot.setAttribute("cy", this.square.py(found.falseCall));
    const load = found.review === null ? ["none", "one threshold leaves nothing to review"] : [`${found.review.toFixed(0)} of 1,000`, `${name}s, where ${percent(this.rate)} are Defective`];
    this.find("figures").replaceChildren(
      tile("defect", "escape", `Escape rate of Defective ${name}s`, percent(found.escape), bounded(found.escapes, this.unit.defective.length, found.escapeBound)),
      tile("good", "false-call", `False-call rate of good ${name}s`, percent(found.falseCall), bounded(found.stopped, this.unit.good.length, found.falseCallBound)),
      tile("", "review", "For a person to look at", ...load));
    // Evaluations come with validation's share unless they were told the line's.
    const ours = Math.abs(this.rate - this.data.share) > 1e-9 * this.data.share;
    this.find("rate-note").textContent = ours ? "" : "the validation set's; enter the line's";
    this.find("units").replaceChildren(this.table());
    this.changed(low, high, found);
  }

  /** The same counted in images and boards. */
  table() {
    const body = el("tbody");
    for (const unit of this.data.units) {
      const each = operate(unit, this.low, this.high, this.rate);
      body.append(el("tr", { "data-unit": unit.name }, el("th", { scope: "row" }, `per ${unit.name}`),
        rateCell("escape", each.escape, each.escapes, unit.defective.length, each.escapeBound),
        rateCell("false-call", each.falseCall, each.stopped, unit.good.length, each.falseCallBound)));
    }
    const head = el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Counted"), el("th", { scope: "col", class: "number" }, "Escape rate"), el("th", { scope: "col", class: "number" }, "False-call rate")));
    const whole = document.createDocumentFragment();
    whole.append(head, body);
    return whole;
  }
}

function bounded(errors, samples, bound, word = "95 % bound") {
  if (!samples) return "there are no such ones";
  return `${errors.toLocaleString("en")} of ${samples.toLocaleString("en")}; ${word} ${percent(bound)}`;
}

function tile(kind, role, name, value, aside) {
  return el("div", { class: `tile ${kind}`, "data-figure": role }, el("div", { class: "name" }, name), el("div", { class: "value" }, value), el("div", { class: "aside" }, aside));
}

function rateCell(role, value, errors, samples, bound) {
  return el("td", { class: "number", "data-rate": role }, el("b", {}, percent(value)), el("span", { class: "interval" }, bounded(errors, samples, bound, "bound")));
}
