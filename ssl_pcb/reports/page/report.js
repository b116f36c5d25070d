const REPORT = JSON.parse(document.getElementById("data").textContent);
const DIALOG = new SampleDialog(document.getElementById("sample"));
const CELLS = { "OK": ["passed", "missed"], "REVIEW": ["to review", "to review"], "NG": ["false call", "caught"] };

REPORT.runs.forEach((run, number) => {
  const root = document.querySelector(`[data-run="${number}"]`);
  let low = NaN, high = NaN, map = null, cell = null;
  const called = (sample) => (sample.score < low ? "OK" : sample.score < high ? "REVIEW" : "NG");
  const verdict = (sample) => (sample.score === undefined ? "training" : CELLS[called(sample)][sample.label === "Defective" ? 1 : 0]);
  const confusion = root.querySelector("[data-role=confusion]"), pictures = root.querySelector("[data-role=cell-gallery]");

  /** The pictures of the chosen cell, the most wrong (or nearest to being wrong) first. */
  function showCell(found) {
    pictures.replaceChildren();
    if (!cell || !run.samples.length) return;
    const [label, name] = cell, defective = label === "Defective";
    const numbers = run.samples.map((_, place) => place).filter((place) => {
      const sample = run.samples[place];
      return sample.score !== undefined && sample.label === label && called(sample) === name;
    });
    numbers.sort((one, other) => (run.samples[one].score - run.samples[other].score) * (defective ? 1 : -1));
    const total = (defective ? found.defective : found.good)[name.toLowerCase()], grid = el("div", { class: "gallery small" });
    pictures.append(el("p", { class: "muted" }, `${label}, called ${name}: ${numbers.length.toLocaleString("en")} of ${total.toLocaleString("en")} are among the pictures of this page, with their scores.`), grid);
    gallery(grid, run.samples, numbers, DIALOG, { first: 24, brief: true, total });
  }

  function showConfusion(found) {
    const names = low < high ? ["OK", "REVIEW", "NG"] : ["OK", "NG"], rows = { "Defective": found.defective, "NonDefective": found.good };
    const body = Object.entries(rows).map(([label, counts]) => el("tr", {}, el("th", { scope: "row" }, label), ...names.map((name) => {
      const count = counts[name.toLowerCase()], all = counts.ok + counts.review + counts.ng, right = (label === "Defective") === (name === "NG");
      const kind = name === "REVIEW" ? "between" : right ? "right" : "wrong", share = all ? percent(count / all) : "–";
      const inside = [el("b", {}, count.toLocaleString("en")), el("small", {}, el("span", { class: "whole" }, share), ` · ${CELLS[name][label === "Defective" ? 1 : 0]}`)];
      if (!run.samples.length) return el("td", {}, el("span", { class: `still ${kind}` }, ...inside));
      const pressed = cell !== null && cell[0] === label && cell[1] === name;
      return el("td", {}, el("button", { type: "button", class: kind, "aria-pressed": String(pressed), "data-cell": `${label} ${name}`, onclick: () => choose(label, name) }, ...inside));
    })));
    confusion.replaceChildren(el("thead", {}, el("tr", {}, el("td"), ...names.map((name) => el("th", { scope: "col" }, `called ${name}`)))), el("tbody", {}, ...body));
  }

  let last = null;
  function choose(label, name) {
    cell = cell && cell[0] === label && cell[1] === name ? null : [label, name];
    showConfusion(last);
    showCell(last);
    if (cell) confusion.querySelector(`[data-cell="${label} ${name}"]`).focus();
  }

  if (run.operating) {
    new Operating(root, run.operating, (from, to, found) => {
      [low, high, last] = [from, to, found];
      showConfusion(found);
      showCell(found);
      if (map) map.colour();
    });
  }
  if (root.querySelector("[data-role=map]")) map = new FeatureMap(root, document.getElementById("tip"), run.samples, DIALOG, verdict);
  for (const [kind, numbers] of Object.entries(run.told)) {
    const grid = root.querySelector(`[data-gallery=${kind}]`);
    if (grid) gallery(grid, run.samples, numbers, DIALOG, { first: 8 });
  }
  const curves = root.querySelector("[data-role=curves]");
  if (curves) run.curves.forEach((each) => curves.append(curveChart(each)));
});
