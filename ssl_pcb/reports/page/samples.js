/** Enlarged pixels stay squares, so that nobody takes a smooth edge for a seen one; what is made smaller is smoothed. */
function sharpen({ target }) {
  target.classList.toggle("sharp", target.naturalWidth < target.clientWidth);
}

/** A sample's picture with its defect boxes, or with the heat map over it. */
function pictured(sample, heat = false) {
  const frame = el("span", { class: "pic" }, el("img", { class: heat ? "grey" : null, src: sample.image, onload: sharpen, alt: heat ? "" : described(sample), draggable: "false" }));
  if (heat) frame.append(el("img", { src: sample.heat, alt: "where the network sees a defect", draggable: "false" }));
  if (sample.boxes.length) {
    const boxes = svg("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const kind of ["under", "over"]) for (const [x, y, width, height] of sample.boxes) boxes.append(svg("rect", { class: kind, x, y, width, height }));
    frame.append(boxes);
  }
  return frame;
}

function described(sample) {
  return `${sample.label || "unlabelled"}, row ${sample.row}`;
}

function scored(sample) {
  return sample.score === undefined ? "" : `score ${fixed(sample.score, 2)}`;
}

/** A card: the picture, the heat map beside it if there is one, and what it is. */
function card(sample, open, brief = false) {
  const views = el("span", { class: "pair" }, pictured(sample), !brief && sample.heat ? pictured(sample, true) : null);
  const said = brief
    ? el("span", { class: "caption" }, sample.score === undefined ? sample.label || "unlabelled" : fixed(sample.score, 2))
    : el("span", { class: "caption" }, el("b", {}, scored(sample)), ` · board ${sample.board || "unknown"}`, sample.types ? ` · ${sample.types.replaceAll(";", ", ")}` : "", el("br"), `row ${sample.row}`);
  return el("button", { class: "card", type: "button", onclick: open }, views, said);
}

/** Fill a gallery with cards, at first some of them. */
function gallery(root, samples, numbers, dialog, { first = 12, brief = false, total = numbers.length } = {}) {
  root.replaceChildren();
  if (!numbers.length) {
    root.append(el("p", { class: "empty" }, total ? "None of these are among the pictures of this page." : "There are none."));
    return;
  }
  const add = (from, to) => numbers.slice(from, to).forEach((number, place) =>
    root.append(card(samples[number], () => dialog.open(samples, numbers, from + place), brief)));
  add(0, first);
  if (numbers.length > first) {
    const more = el("button", { class: "more", type: "button", onclick: () => { more.remove(); add(first, numbers.length); } }, `show all ${numbers.length}`);
    root.after(more);
  }
}

/** A sample at large, with its neighbours; arrow keys go on to the next. */
class SampleDialog {
  constructor(root) {
    this.root = root;
    root.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (way) this.go(way);
    });
    root.addEventListener("click", (event) => event.target === root && root.close());
  }

  open(samples, numbers, place) {
    Object.assign(this, { samples, numbers, place });
    this.show();
    if (!this.root.open) this.root.showModal();
  }

  go(way) {
    this.place = (this.place + way + this.numbers.length) % this.numbers.length;
    this.show();
  }

  show() {
    const sample = this.samples[this.numbers[this.place]];
    const facts = { "Label": sample.label || "none", "Score": sample.score === undefined ? "" : fixed(sample.score, 4), "Board": sample.board, "Types": sample.types.replaceAll(";", ", "), "Split": sample.split, "File": sample.path, "Crop": sample.crop, "Manifest row": sample.row };
    const button = (text, name, act) => el("button", { type: "button", "aria-label": name, onclick: act }, text);
    const near = sample.near.map((number) => this.samples[number]);
    this.root.replaceChildren(
      el("div", { class: "dialog-head" }, el("h2", { id: "sample-title" }, `${this.place + 1} of ${this.numbers.length}`),
        button("←", "previous", () => this.go(-1)), button("→", "next", () => this.go(1)), button("✕", "close", () => this.root.close())),
      el("div", { class: "pair" }, pictured(sample), sample.heat ? pictured(sample, true) : null),
      el("dl", { class: "facts short" }, ...Object.entries(facts).filter(([, value]) => value !== "" && value !== undefined).map(([name, value]) => el("div", { class: name === "File" ? "wide" : null }, el("dt", {}, name), el("dd", {}, String(value))))));
    if (near.length) {
      const cards = el("div", { class: "gallery small" }, ...near.map((each) => el("div", {}, pictured(each), el("span", { class: "caption" }, el("b", {}, each.label || "unlabelled"), ` · board ${each.board || "unknown"}`))));
      this.root.append(el("h3", {}, "Its nearest training samples, to the network"), cards);
    }
  }
}

const COLOURINGS = {
  "class": (sample) => sample.label || "unlabelled",
  "error": (sample, verdict) => verdict(sample),
  "board": (sample) => sample.board || "unknown",
  "split": (sample) => sample.split || "none",
};
const FIXED = { "Defective": "#d55e00", "NonDefective": "#0072b2", "unlabelled": "#7b7f86", "missed": "#d55e00", "false call": "#cc79a7", "caught": "#009e73", "passed": "#56b4e9", "to review": "#e69f00", "training": "#7b7f86" };

/** The map of features. */
class FeatureMap {
  constructor(root, tip, samples, dialog, verdict) {
    this.points = samples.map((sample, number) => ({ sample, number })).filter(({ sample }) => sample.xy);
    Object.assign(this, { root, tip, samples, dialog, verdict, select: root.querySelector("[data-role=colour]"), legend: root.querySelector("[data-role=legend]"), at: -1 });
    const judged = this.points.some(({ sample }) => sample.score !== undefined);
    const boards = new Set(this.points.map(({ sample }) => sample.board)).size, splits = new Set(this.points.map(({ sample }) => sample.split)).size;
    const kinds = [...(judged ? ["error"] : []), "class", ...(boards > 1 ? ["board"] : []), ...(splits > 1 ? ["split"] : [])];
    kinds.forEach((kind) => this.select.append(el("option", {}, kind)));
    this.select.addEventListener("change", () => this.colour());
    const [width, height, edge] = [900, 560, 18];
    this.drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application", "aria-label": "Map of samples; arrow keys move, Enter opens" });
    // Walked along from left to right by the keys.
    this.points.sort((one, other) => one.sample.xy[0] - other.sample.xy[0]);
    this.points.forEach((point, place) => {
      const [x, y] = point.sample.xy;
      point.circle = svg("circle", { cx: edge + x * (width - 2 * edge), cy: edge + (1 - y) * (height - 2 * edge), r: 6,
        onpointerenter: () => this.point(place), onpointerleave: () => this.leave(), onclick: () => this.open(place) });
      this.drawing.append(point.circle);
    });
    this.drawing.addEventListener("keydown", (event) => this.key(event));
    this.drawing.addEventListener("blur", () => this.leave());
    root.querySelector("[data-role=map]").append(this.drawing);
    this.colour();
  }

  key(event) {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (way) {
      event.preventDefault();
      this.point((this.at + way + this.points.length) % this.points.length);
    } else if (event.key === "Enter" && this.at >= 0) this.open(this.at);
  }

  point(place) {
    this.leave();
    this.at = place;
    const { circle, sample } = this.points[place], box = circle.getBoundingClientRect();
    circle.classList.add("at");
    this.tip.replaceChildren(pictured(sample), el("span", { class: "caption" }, el("b", {}, this.kind(sample)), el("br"), [scored(sample), `board ${sample.board || "unknown"}`].filter(Boolean).join(" · ")));
    this.tip.hidden = false;
    const left = Math.min(box.right + 10, innerWidth - this.tip.offsetWidth - 8);
    this.tip.style.left = `${Math.max(8, left)}px`;
    this.tip.style.top = `${Math.max(8, Math.min(box.top, innerHeight - this.tip.offsetHeight - 8))}px`;
  }

  leave() {
    if (this.at >= 0) this.points[this.at].circle.classList.remove("at");
    this.tip.hidden = true;
  }

  open(place) {
    this.leave();
    this.dialog.open(this.samples, this.points.map((point) => point.number), place);
  }

  kind(sample) {
    return COLOURINGS[this.select.value](sample, this.verdict);
  }

  colour() {
    const kinds = new Map();
    for (const { sample } of this.points) kinds.set(this.kind(sample), (kinds.get(this.kind(sample)) || 0) + 1);
    const names = [...kinds.keys()].sort((one, other) => kinds.get(other) - kinds.get(one));
    const colour = (name) => FIXED[name] || COLOURS[Math.min(names.indexOf(name), COLOURS.length - 1)];
    for (const { sample, circle } of this.points) circle.setAttribute("fill", colour(this.kind(sample)));
    const shown = names.length > COLOURS.length ? names.slice(0, COLOURS.length - 1) : names;
    const rest = names.length - shown.length;
    this.legend.replaceChildren(...shown.map((name) => el("span", {}, swatch(colour(name)), `${name} (${kinds.get(name)})`)),
      ...(rest ? [el("span", {}, swatch(COLOURS.at(-1)), `${rest} others`)] : []));
  }
}
