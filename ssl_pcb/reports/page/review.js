const REVIEW = JSON.parse(document.getElementById("data").textContent);
const DIALOG = new SampleDialog(document.getElementById("sample"));
const DECISIONS = { k: "keep", r: "relabel", u: "unsure" };
const role = (name) => document.querySelector(`[data-role=${name}]`);
let decided = {}, at = 0;

/** What this browser kept of an earlier look; private windows and full disks may keep nothing. */
function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(REVIEW.key)) || {};
    for (const [row, decision] of Object.entries(kept.decided || {})) if (Object.values(DECISIONS).includes(decision)) decided[row] = decision;
    at = Math.min(Math.max(0, Number(kept.at) || 0), REVIEW.suspects.length - 1);
  } catch {
    decided = {};
  }
}

function keep() {
  try {
    localStorage.setItem(REVIEW.key, JSON.stringify({ decided, at }));
  } catch {
    role("counts").append(" · this browser keeps nothing: save before you close the page");
  }
}

function decide(decision) {
  decided[REVIEW.suspects[at].row] = decision;
  step(1);
  role("done").scrollIntoView({ block: "nearest" });
}

function step(way) {
  at = Math.min(Math.max(0, at + way), REVIEW.suspects.length - 1);
  show();
}

/** The table that `ssl-pcb data relabel` takes: every cell quoted, whatever stands in it. */
function corrections() {
  const columns = ["row", "path", "crop", "label_before", "label"], quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;
  const lines = REVIEW.suspects.filter(({ row }) => ["keep", "relabel"].includes(decided[row])).map((suspect) =>
    columns.map((name) => quoted(name !== "label" ? suspect[name] : decided[suspect.row] === "relabel" ? suspect.suggested_label : suspect.label_before)).join(","));
  return [columns.join(","), ...lines].join("\r\n") + "\r\n";
}

function save() {
  // Spreadsheets know UTF-8 by its mark.
  const url = URL.createObjectURL(new Blob(["\ufeff", corrections()], { type: "text/csv" }));
  el("a", { href: url, download: "corrections.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function show() {
  const suspect = REVIEW.suspects[at], sample = REVIEW.samples[suspect.sample], near = sample.near.map((number) => REVIEW.samples[number]);
  const share = (value) => `${(100 * value).toFixed(0)} %`;
  const facts = { "Probability of Defective, out of fold": share(suspect.probability), "Neighbours that disagree": share(suspect.neighbour_disagreement), "Suspicion": share(suspect.suspicion), "Board": sample.board || "unknown", "Types": sample.types.replaceAll(";", ", "), "File": sample.path, "Crop": sample.crop, "Manifest row": suspect.row };
  const large = el("div", { class: "pair" },
    el("div", {}, pictured(sample), el("span", { class: "caption" }, "as it is, with its boxes if it has some")),
    sample.heat ? el("div", {}, pictured(sample, true), el("span", { class: "caption" }, "where the network sees a defect")) : null);
  const neighbours = el("div", { class: "gallery small" }, ...near.map((each, place) =>
    el("button", { class: `card ${each.label === suspect.label_before ? "" : "other"}`, type: "button", onclick: () => DIALOG.open(REVIEW.samples, sample.near, place) }, pictured(each), el("span", { class: "caption" }, el("b", {}, each.label || "unlabelled")))));
  role("suspect").replaceChildren(
    el("h2", {}, `${at + 1} of ${REVIEW.suspects.length}: labelled ${suspect.label_before}, `, el("span", { class: "asked" }, `suspected to be ${suspect.suggested_label}`)),
    el("div", { class: "review-grid" }, large, el("dl", { class: "facts" }, ...Object.entries(facts).filter(([, value]) => value !== "").map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))))),
    el("h3", {}, "Nearest neighbours of other images ", el("span", { class: "muted" }, "outlined: another label than the suspect's")), neighbours);
  role("kept").textContent = suspect.label_before;
  role("suggested").textContent = `to ${suspect.suggested_label}`;
  for (const button of document.querySelectorAll("[data-decision]")) button.setAttribute("aria-pressed", String(decided[suspect.row] === button.dataset.decision));
  const counts = Object.values(DECISIONS).map((name) => [name, REVIEW.suspects.filter(({ row }) => decided[row] === name).length]);
  const done = counts.reduce((sum, [, count]) => sum + count, 0);
  role("counts").textContent = `${done} of ${REVIEW.suspects.length} decided: ${counts.map(([name, count]) => `${count} ${name}`).join(", ")}`;
  role("done").hidden = done < REVIEW.suspects.length;
  role("bar").style.width = `${(100 * done) / REVIEW.suspects.length}%`;
  keep();
}

document.addEventListener("keydown", (event) => {
  if (DIALOG.root.open || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (DECISIONS[key]) decide(DECISIONS[key]);
  else if (event.key === "ArrowRight") step(1);
  else if (event.key === "ArrowLeft") step(-1);
  else if (key === "s") save();
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-decision]")) button.addEventListener("click", () => decide(button.dataset.decision));
for (const button of document.querySelectorAll("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
for (const name of ["save", "save-all"]) role(name).addEventListener("click", save);
restore();
show();
