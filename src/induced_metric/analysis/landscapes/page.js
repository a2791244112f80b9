// Which runs are shown: controls, stories, the state in the address, keyboard.
const chosen = new Set(D.optimizers.map(o => o.name));
const view = { azimuth: -0.9, elevation: 0.62, turning: false };
const FIRST = { ...view };
const SELECTS = ["f", "s", "by", "lr", "m", "xi"];
const STORIES = [
  { name: "A zero to divide by", f: "ackley", s: "2,2",
    text: "The factor r of SGD_LOG_METRIC is f / (f² + v̂). Where f falls to 0, so does r, and the steps come to an end "
      + "where those of the other optimisers go on. The dashed control runs on f + 1, the same landscape, where f does not "
      + "fall to 0. The last column of the table shows how often each optimiser converges from fresh starts." },
  { name: "Narrow along the gradient", f: "beale", s: "0,0", balls: true, o: ["sgd", "sgd_metric", "sgd_log_metric"],
    text: "Each ellipse shows the steps that have length 1 in the metric. Where f is steep, it is narrow along the "
      + "gradient. Plain SGD has circles everywhere. Below, r falls where the ellipses are narrow; for SGD it is 1." },
  { name: "Nothing to gain", f: "himmelblau", s: "0,0",
    text: "This function has four minima, all of value 0, and wide valleys. Compare how many iterations each optimiser "
      + "needs, and which minimum it reaches. Not every landscape needs the log form." },
].filter(story => D.runs.some(r => r.f === story.f && String(r.s) === story.s));

const exponent = v => v === 0 ? "0" : Math.abs(Math.log10(v)) < 3 ? String(+v.toPrecision(3)) : v.toExponential(0);
const labelOf = name => optimizer(name).label;
const distinct = values => [...new Set(values)].filter(v => v !== null);
function options(id, values, text = v => v) {
  const before = $(id).value;
  $(id).replaceChildren(...values.map(v => new Option(text(v), v)));
  if (values.map(String).includes(before)) $(id).value = before;
}

// Converged first, then the fewest iterations; where none converged, the lowest end.
function better(a, b) {
  if (a.c !== b.c) return a.c;
  if (a.c && a.n !== b.n) return a.n < b.n;
  const [one, other] = [a, b].map(r => { const v = decode("value", r.at[1] - 1); return isNaN(v) ? Infinity : v; });
  return one < other;
}
function visible() {
  const f = $("f").value, s = $("s").value;
  const runs = D.runs.filter(r => r.f === f && String(r.s) === s && chosen.has(r.o));
  if ($("by").value === "own") return D.optimizers.map(o => runs.filter(r => r.o === o.name))
    .filter(own => own.length).map(own => own.reduce((a, b) => better(b, a) ? b : a));
  return runs.filter(r => r.lr === +$("lr").value && r.m === +$("m").value && (r.xi === null || r.xi === +$("xi").value));
}
function limit(runs) {
  const most = Math.max(1, ...runs.map(r => r.n));
  return Math.round(Math.pow(most + 1, +$("steps").value / 100) - 1);
}
const longest = Math.max(...D.runs.map(r => r.n));
const fate = r => r.c ? "converged" : r.n < longest ? "diverged" : "not converged";

function draw() {
  for (const id of ["lr", "m", "xi"]) $(id).disabled = $("by").value === "own";
  const f = D.functions.find(x => x.name === $("f").value), runs = visible(), last = limit(runs);
  $("upto").textContent = last;
  drawMap(f, runs, last, $("s").value.split(",").map(Number), $("balls").checked);
  drawSurface(f, runs, last, view);
  // A run that left the picture would leave the others no room.
  const most = Math.ceil(Math.log10(Math.pow(10, f.high) - f.lift)) + 1;
  const clipped = drawCurves("value", runs, last, { name: "f − min f", most });
  $("clipped").textContent = clipped === null ? "" : `(values above 1e${clipped} are drawn there)`;
  drawCurves("scale", runs, last, { name: "r" });
  describe(f, runs, last);
}
function describe(f, runs, last) {
  const named = list => list.map(r => labelOf(r.o) + (r.c ? ` (${r.n})` : "")).join("; ") || "none";
  const [arrived, lost] = [true, false].map(c => runs.filter(r => r.c === c));
  const said = `${f.title}: converged (iterations): ${named(arrived)}. Not converged: ${named(lost)}.`;
  if ($("summary").textContent !== said) $("summary").textContent = said;
  const pictures = { map: "Contour map with paths", surface: "Surface with paths", value: "f against iteration", scale: "r against iteration" };
  for (const [id, what] of Object.entries(pictures)) $(id).setAttribute("aria-label", `${what}, up to iteration ${last}. ${said}`);
  $("table").innerHTML = "<tr><th>optimiser<th>iterations<th>outcome<th>learning rate<th>momentum<th>ξ" + (D.fresh[f.name] ? "<th>success from fresh starts, tuned (95% interval)" : "") + runs.map(r =>
    `<tr><td>${swatch(r.o)} ${labelOf(r.o)}<td>${r.n}<td>${fate(r)}<td>${exponent(r.lr)}<td>${exponent(r.m)}` +
    `<td>${r.xi === null ? "" : exponent(r.xi)}${fresh(f, r)}`).join("");
}
// Of many starts that no setting was tuned on, unlike the one that is drawn.
function fresh(f, run) {
  const found = D.fresh[f.name]?.[run.o];
  return found ? `<td>${(100 * found[0]).toFixed(0)}% (${found.slice(1).map(v => (100 * v).toFixed(0)).join("–")}%)` : "";
}
let queued = false;
function redraw() {
  if (!queued) requestAnimationFrame(() => { queued = false; draw(); });
  queued = true;
}

// The address holds what differs from the first view, so that a view can be sent to somebody.
function remember() {
  const state = new URLSearchParams({ f: $("f").value, s: $("s").value });
  if ($("by").value === "one") for (const id of ["by", "lr", "m", "xi"]) state.set(id, $(id).value);
  if ($("steps").value !== "100") state.set("steps", $("steps").value);
  if ($("balls").checked) state.set("balls", 1);
  if (chosen.size < D.optimizers.length) state.set("o", [...chosen].join(";"));
  for (const key of ["azimuth", "elevation"]) if (view[key] !== FIRST[key]) state.set(key, view[key].toFixed(2));
  history.replaceState(null, "", "#" + state);
}
function recall(state) {
  $("by").value = "own";
  if (state.has("f")) $("f").value = state.get("f");
  if (!$("f").value) $("f").selectedIndex = 0;
  starts();
  for (const id of SELECTS.slice(1)) {
    const before = $(id).value;
    if (state.has(id)) $(id).value = state.get(id);
    if ($(id).selectedIndex < 0) $(id).value = before;
  }
  $("steps").value = state.get("steps") ?? 100;
  $("balls").checked = state.has("balls");
  chosen.clear();
  const wanted = state.get("o")?.split(";") ?? D.optimizers.map(o => o.name);
  for (const o of D.optimizers) if (wanted.includes(o.name)) chosen.add(o.name);
  for (const box of $("o").querySelectorAll("input")) box.checked = chosen.has(box.value);
  for (const key of ["azimuth", "elevation"]) view[key] = +(state.get(key) ?? FIRST[key]) || FIRST[key];
}
function starts() {
  options("s", distinct(D.runs.filter(r => r.f === $("f").value).map(r => String(r.s))), s => `(${s.replace(",", ", ")})`);
}
function changed() { tell(null); redraw(); remember(); }
function tell(story) {
  $("told").hidden = !story;
  $("told").textContent = story?.text ?? "";
  for (const [k, button] of [...$("stories").children].entries()) button.setAttribute("aria-pressed", STORIES[k] === story);
}

let playing = null;
function play(time) {
  if (playing === null) return;
  $("steps").value = Math.min(100, +$("steps").value + (time - playing) / 60);
  playing = time;
  redraw();
  +$("steps").value < 100 ? requestAnimationFrame(play) : stop();
}
function stop() {
  playing = null;
  $("play").textContent = "Play"; $("play").setAttribute("aria-pressed", false);
  remember();
}
$("play").addEventListener("click", () => {
  if (playing !== null) return stop();
  if (+$("steps").value >= 100) $("steps").value = 0;
  $("play").textContent = "Pause"; $("play").setAttribute("aria-pressed", true);
  playing = performance.now();
  requestAnimationFrame(play);
});

options("f", D.functions.map(f => f.name));
D.functions.forEach((f, k) => { $("f").options[k].text = f.title; });
for (const id of ["lr", "m", "xi"]) options(id, distinct(D.runs.map(r => r[id])).sort((a, b) => a - b), exponent);
$("lr").selectedIndex = Math.min(1, $("lr").options.length - 1);
$("o").insertAdjacentHTML("beforeend", D.optimizers.map(o =>
  `<label><input type="checkbox" value="${o.name}" checked>${swatch(o.name)} ${o.label}</label>`).join(""));
$("stories").replaceChildren(...STORIES.map(story => {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: story.name });
  button.addEventListener("click", () => {
    const state = new URLSearchParams({ f: story.f, s: story.s });
    if (story.balls) state.set("balls", 1);
    if (story.o) state.set("o", story.o.join(";"));
    recall(state); redraw(); remember(); tell(story);
  });
  return button;
}));
const sampled = D.runs.some(r => r.at[1] - r.at[0] < r.n + 1);
if (sampled) document.querySelector(".sampled").textContent =
  "Only some iterations of a long run are drawn, so its path cuts corners.";
$("o").addEventListener("change", e => { e.target.checked ? chosen.add(e.target.value) : chosen.delete(e.target.value); changed(); });
$("f").addEventListener("change", () => { starts(); changed(); });
for (const id of ["s", "by", "lr", "m", "xi", "balls"]) $(id).addEventListener("change", changed);
$("steps").addEventListener("input", () => { redraw(); remember(); });
addEventListener("resize", redraw);
addEventListener("hashchange", () => { recall(new URLSearchParams(location.hash.slice(1))); tell(null); redraw(); });

const surface = $("surface");
function turn(sideways, up) {
  view.azimuth += sideways;
  view.elevation = Math.max(0.1, Math.min(1.5, view.elevation + up));
  redraw();
}
let held = null;
const settle = () => { held = null; view.turning = false; redraw(); remember(); };
surface.addEventListener("pointerdown", e => { held = [e.clientX, e.clientY]; view.turning = true; surface.setPointerCapture(e.pointerId); });
for (const name of ["pointerup", "pointercancel"]) surface.addEventListener(name, settle);
surface.addEventListener("pointermove", e => {
  if (!held) return;
  turn((e.clientX - held[0]) * 0.008, (e.clientY - held[1]) * 0.008);
  held = [e.clientX, e.clientY];
});
surface.addEventListener("keydown", e => {
  const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[e.key];
  if (by) { e.preventDefault(); turn(...by); remember(); }
});
recall(new URLSearchParams(location.hash.slice(1)));
draw();
