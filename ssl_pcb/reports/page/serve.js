const SERVICE = JSON.parse(document.getElementById("data").textContent);
const KEPT = 20, SHOWN = 5;
const role = (name) => document.querySelector(`[data-role=${name}]`);
const token = document.getElementById("token"), golden = document.getElementById("reference"), chosen = document.getElementById("image");
let turn = Promise.resolve();

/** Ask the service; what it cannot take is thrown with its sentence. */
async function asked(path, file) {
  const form = new FormData();
  form.append("image", file);
  if (golden.files.length) form.append("reference", golden.files[0]);
  let answer;
  try {
    answer = await fetch(path, { method: "POST", body: form, headers: token ? { Authorization: `Bearer ${token.value.trim()}` } : {} });
  } catch {
    throw new Error("the service does not answer; is it still running?");
  }
  if (answer.status === 401) {
    token.focus();
    throw new Error("the token above is missing or wrong; mend it and choose the image again");
  }
  if (!answer.ok) {
    const { error, rows } = await answer.json().catch(() => ({}));
    // Which file it is stands above, under its own name: a browser sends quotes in it as %22.
    throw new Error(error ? error.replace(`${rows?.[0]?.path}: `, "") : `the service answered ${answer.status}`);
  }
  return answer;
}

/** Judge a file and show what comes of it, above what was shown before. */
async function judge(file) {
  const root = el("section", { class: "panel answer", "aria-busy": "true" }, el("h2", {}, file.name), el("p", { class: "muted" }, "being judged …"));
  role("answers").prepend(root);
  forget();
  try {
    if (file.size > SERVICE.max_bytes) throw new Error(`the file is larger than the ${Math.floor(SERVICE.max_bytes / 2 ** 20)} MiB allowed`);
    const { rows: [row] } = await (await asked("predict", file)).json();
    const picture = el("div", { class: "seen" }, el("p", { class: "muted" }, "being drawn …"));
    root.replaceChildren(el("div", { class: "answer-grid" }, picture, told(row, file.name)));
    await draw(picture, file);
  } catch (error) {
    root.replaceChildren(outcome("ERROR"), el("h2", {}, file.name), el("p", { class: "note refused", role: "alert" }, error.message));
  }
  root.removeAttribute("aria-busy");
}

async function draw(root, file) {
  const src = URL.createObjectURL(await (await asked("overlay", file)).blob());
  const words = SERVICE.heat ? "Where the network sees a defect; outlined: what is not OK" : "Outlined: what is not OK. An exported model cannot say where it looks.";
  root.replaceChildren(el("img", { src, alt: words }), el("span", { class: "caption" }, words));
}

/** Pictures of long ago would fill the browser's memory. */
function forget() {
  for (const old of [...role("answers").children].slice(KEPT)) {
    old.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    old.remove();
  }
}

function outcome(verdict) {
  return el("p", { class: `outcome ${verdict.toLowerCase()}`, "data-role": "verdict" }, verdict);
}

function told(row, name) {
  const places = row.suspects.slice(0, SHOWN).map(({ box, verdict }) => `${verdict} at ${box.map(Math.round).join(" ")}`);
  if (row.suspects.length > SHOWN) places.push(`and ${row.suspects.length - SHOWN} more`);
  const facts = {
    "Probability of Defective": percent(row.probability), Score: fixed(row.score, 3),
    "Windows judged": row.windows > 1 ? row.windows : "", "Places that are not OK": row.windows > 1 ? places.join("; ") : "",
    "Unlike all training images": row.unfamiliar === null ? "" : row.unfamiliar ? "yes" : "no",
    "Difference from the golden image": row.difference === null ? "" : row.difference.toFixed(3),
  };
  return el("div", { class: "told" },
    outcome(row.verdict),
    el("h2", {}, name),
    el("dl", { class: "facts" }, ...Object.entries(facts).filter(([, value]) => value !== "").map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value))))));
}

function percent(probability) {
  const share = 100 * probability;
  return share > 0 && share < 0.01 ? "below 0.01 %" : `${share.toFixed(2)} %`;
}

/** One after another: a page must not take the line's turn. */
function judgeAll(files) {
  for (const file of files) turn = turn.then(() => judge(file));
}

chosen.addEventListener("change", () => {
  judgeAll([...chosen.files]);
  chosen.value = "";
});
golden.addEventListener("change", () => { role("golden").textContent = golden.files.length ? golden.files[0].name : ""; });
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    role("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") judgeAll([...event.dataTransfer.files]);
  });
}
if (token) {
  token.form.addEventListener("submit", (event) => event.preventDefault());
  token.value = sessionStorage.getItem("ssl-pcb token") || "";
  token.addEventListener("input", () => sessionStorage.setItem("ssl-pcb token", token.value.trim()));
}
