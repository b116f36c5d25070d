"use strict";
const SVG = "http://www.w3.org/2000/svg";
// Okabe and Ito's colours, which are told apart in every kind of colour vision.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7b7f86"];

/** An HTML element; text is text, whatever stands in it. */
function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Round places for about `count` ticks between two ends. */
function ticks(low, high, count = 5) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return found;
}

/** A number with so many decimals; what rounds to nothing has no sign. */
function fixed(value, decimals) {
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

function short(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(0);
  return String(Number(value.toPrecision(3)));
}

/** Axes of a chart; gives the drawing, and what places values in it. */
function axes({ width, height, x, y, xName, yName, share, shareX }) {
  const left = 46, right = 22, top = 10, bottom = 40;
  const px = (value) => left + ((value - x[0]) / (x[1] - x[0] || 1)) * (width - left - right);
  const py = (value) => height - bottom - ((value - y[0]) / (y[1] - y[0] || 1)) * (height - top - bottom);
  const toX = (pixel) => x[0] + ((pixel - left) / (width - left - right)) * (x[1] - x[0]);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  const percent = (value) => `${Number((100 * value).toPrecision(3))} %`;
  for (const at of ticks(...y)) {
    drawing.append(
      svg("line", { class: "grid", x1: left, x2: width - right, y1: py(at), y2: py(at) }),
      svg("text", { x: left - 8, y: py(at) + 4, "text-anchor": "end" }, share ? percent(at) : short(at)));
  }
  for (const at of ticks(...x, Math.max(2, Math.round(width / 100)))) {
    drawing.append(svg("text", { x: px(at), y: height - bottom + 18, "text-anchor": "middle" }, shareX ? percent(at) : short(at)));
  }
  if (xName) drawing.append(svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xName));
  return { drawing, px, py, toX, left, right, top, bottom, width, height };
}

function path(points, px, py) {
  return points.map(([x, y], number) => `${number ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
}

/** Curves over epochs. */
function curveChart({ title, unit, series }) {
  const points = series.flatMap((each) => each.points), xs = points.map((each) => each[0]), ys = points.map((each) => each[1]);
  const share = unit === "share", low = Math.min(...ys), high = Math.max(...ys), room = (high - low || Math.abs(high) || 1) * 0.06;
  const y = share ? [Math.max(0, Math.floor(low * 10) / 10), 1] : [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
  const plot = axes({ width: 420, height: 240, x: [Math.min(...xs), Math.max(...xs)], y, xName: "epoch" });
  series.forEach((each, number) => {
    plot.drawing.append(svg("path", { class: "series", stroke: COLOURS[number % COLOURS.length], d: path(each.points, plot.px, plot.py) },
      svg("title", {}, each.name)));
  });
  plot.drawing.setAttribute("aria-label", `${title}: ${series.map((each) => `${each.name} ends at ${short(each.points.at(-1)[1])}`).join(", ")}`);
  const legend = el("div", { class: "legend" }, ...series.map((each, number) =>
    el("span", {}, swatch(COLOURS[number % COLOURS.length]), `${each.name} ${short(each.points.at(-1)[1])}`)));
  return el("figure", { class: "chart" }, el("figcaption", {}, title), legend, plot.drawing);
}

function swatch(colour) {
  const mark = el("i");
  mark.style.background = colour;
  return mark;
}
