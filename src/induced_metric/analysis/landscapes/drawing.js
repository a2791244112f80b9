// What is drawn: the recorded runs D on four canvases. page.js says which runs, and up to where.
const $ = id => document.getElementById(id);
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;
const P = Object.fromEntries(Object.entries(D.points).map(([k, v]) => [k, new Uint16Array(bytes(v))]));
for (const f of D.functions) {
  f.values = new Float32Array(bytes(f.values));
  const sorted = Float64Array.from(f.values, v => v - f.minimum).sort();
  f.lift = 0.01 * sorted[sorted.length >> 1];
  f.height = Float64Array.from(f.values, v => Math.log10(Math.max(v - f.minimum, 0) + f.lift));
  f.low = Math.min(...f.height); f.high = Math.max(...f.height);
}
const decode = (key, i) => P[key][i] === 65535 ? NaN
  : D.ranges[key][0] + P[key][i] / 65534 * (D.ranges[key][1] - D.ranges[key][0]);
const share = (key, i) => P[key][i] === 65535 ? NaN : -D.margin + P[key][i] / 65534 * (1 + 2 * D.margin);
const optimizer = name => D.optimizers.find(o => o.name === name);
const dashOf = name => optimizer(name).control ? [5, 4] : [];
const colourOf = name => optimizer(name).colour;
const there = (run, last) => run.c && run.n <= last;

function indices(run, last) {
  const found = [];
  for (let i = run.at[0]; i < run.at[1]; i++) if (P.iteration[i] <= last) found.push(i);
  return found;
}

// The markers of the figures, as polygons within a circle of radius 1.
const ring = (n, turn = 0) => Array.from({ length: n }, (_, k) => {
  const a = 2 * Math.PI * k / n + turn;
  return [Math.sin(a), -Math.cos(a)];
});
const cross = [[-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1], [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1]]
  .map(([x, y]) => [x / 3, y / 3]);
const SHAPES = {
  o: ring(24), s: ring(4, Math.PI / 4), D: ring(4), d: ring(4).map(([x, y]) => [0.6 * x, y]),
  "^": ring(3), v: ring(3, Math.PI), "<": ring(3, -Math.PI / 2), ">": ring(3, Math.PI / 2), p: ring(5), h: ring(6),
  P: cross, X: cross.map(([x, y]) => [(x - y) * 0.75, (x + y) * 0.75]),
  "*": ring(10).map(([x, y], k) => k % 2 ? [0.42 * x, 0.42 * y] : [x, y]),
};
function shape(g, marker, x, y, size, fill, line = "#fff", width = 1) {
  g.beginPath();
  SHAPES[marker].forEach(([u, v]) => g.lineTo(x + size * u, y + size * v));
  g.closePath(); g.fillStyle = fill; g.fill(); g.strokeStyle = line; g.lineWidth = width; g.stroke();
}
function end(g, run, last, x, y) {
  const own = colourOf(run.o), marker = optimizer(run.o).marker;
  there(run, last) ? shape(g, marker, x, y, 7, own) : shape(g, marker, x, y, 5, "#fff", own, 1.8);
}
const swatch = name => {
  const points = SHAPES[optimizer(name).marker].map(p => p.map(v => v.toFixed(2)).join()).join(" ");
  return `<svg class="shape" viewBox="-1.2 -1.2 2.4 2.4" aria-hidden="true"><polygon points="${points}" fill="${colourOf(name)}"/></svg>`;
};

const heights = {};
function canvas(id) {
  const c = $(id), ratio = devicePixelRatio || 1;
  heights[id] ??= +c.getAttribute("height");
  const width = c.clientWidth, height = Math.min(heights[id], Math.max(240, width));
  c.style.height = height + "px";
  c.width = width * ratio;
  c.height = height * ratio;
  const g = c.getContext("2d");
  g.scale(ratio, ratio);
  return [g, width, height];
}
// What only a new function, size or view changes is drawn once, and copied.
const kept = {};
function background(g, id, key, W, H, paint) {
  const ratio = devicePixelRatio || 1;
  key = [key, W, H, ratio].join();
  if (kept[id]?.key !== key) {
    const picture = Object.assign(document.createElement("canvas"), { width: W * ratio, height: H * ratio });
    const own = picture.getContext("2d");
    own.scale(ratio, ratio);
    paint(own);
    kept[id] = { key, picture };
  }
  g.drawImage(kept[id].picture, 0, 0, W, H);
}

function viridis(t) {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const u = Math.max(0, Math.min(0.9999, t)) * 4, k = Math.floor(u), w = u - k;
  return stops[k].map((a, j) => Math.round(a + w * (stops[k + 1][j] - a)));
}
const axisText = g => { g.fillStyle = "#444"; g.font = "12px system-ui, sans-serif"; g.textAlign = "center"; };

function drawMap(f, runs, last, start, balls) {
  const [g, W, H] = canvas("map"), side = Math.min(W - 44, H - 36), left = (W - side) / 2 + 12, bottom = H - 30;
  const X = u => left + u * side, Y = v => bottom - v * side;
  background(g, "map", f.name, W, H, own => contours(own, f, X, Y, side));
  g.save(); g.beginPath(); g.rect(left, bottom - side, side, side); g.clip();
  for (const run of runs) {
    const path = indices(run, last), c = colourOf(run.o);
    for (const [style, width] of [["rgba(255,255,255,0.85)", 3.6], [c, 1.9]]) {
      g.strokeStyle = style; g.lineWidth = width; g.lineJoin = "round"; g.setLineDash(dashOf(run.o)); g.beginPath();
      path.forEach(i => g.lineTo(X(share("x", i)), Y(share("y", i))));
      g.stroke(); g.setLineDash([]);
    }
    if (balls) ellipses(g, path, X, Y, c);
  }
  const at = (p, axis) => (p - f[axis][0]) / (f[axis][1] - f[axis][0]);
  for (const [x, y] of f.minima) shape(g, "*", X(at(x, "x")), Y(at(y, "y")), 10, "#ffd92f", "#000");
  shape(g, "o", X(at(start[0], "x")), Y(at(start[1], "y")), 5, "#fff", "#000", 1.5);
  for (const run of runs) {
    const i = indices(run, last).at(-1);
    end(g, run, last, X(share("x", i)), Y(share("y", i)));
  }
  g.restore();
}
function contours(g, f, X, Y, side) {
  const n = f.size, picture = new ImageData(n, n);
  f.height.forEach((z, k) => picture.data.set([...viridis((z - f.low) / (f.high - f.low)), 255], 4 * ((n - 1 - Math.floor(k / n)) * n + k % n)));
  const small = Object.assign(document.createElement("canvas"), { width: n, height: n });
  small.getContext("2d").putImageData(picture, 0, 0);
  g.save(); g.beginPath(); g.rect(X(0), Y(1), side, side); g.clip();
  const cell = side / (n - 1);
  g.drawImage(small, X(0) - cell / 2, Y(1) - cell / 2, side + cell, side + cell);
  g.strokeStyle = "rgba(255,255,255,0.38)"; g.lineWidth = 0.8; g.beginPath();
  for (let level = 1; level < 16; level++) {
    const z = f.low + (f.high - f.low) * level / 16;
    for (let j = 0; j < n - 1; j++) for (let i = 0; i < n - 1; i++) {
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], cut = [];
      for (let k = 0; k < 4; k++) {
        const [a, b] = [corners[k], corners[(k + 1) % 4]];
        const za = f.height[a[1] * n + a[0]], zb = f.height[b[1] * n + b[0]];
        if ((za < z) !== (zb < z)) {
          const t = (z - za) / (zb - za);
          cut.push([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]);
        }
      }
      for (let k = 0; k + 1 < cut.length; k += 2) {
        g.moveTo(X(cut[k][0] / (n - 1)), Y(cut[k][1] / (n - 1)));
        g.lineTo(X(cut[k + 1][0] / (n - 1)), Y(cut[k + 1][1] / (n - 1)));
      }
    }
  }
  g.stroke(); g.restore(); axisText(g);
  for (const u of [0, 0.5, 1]) {
    g.fillText((f.x[0] + u * (f.x[1] - f.x[0])).toFixed(1), X(u), Y(0) + 14);
    g.fillText((f.y[0] + u * (f.y[1] - f.y[0])).toFixed(1), X(0) - 18, Y(u) + (u ? u === 1 ? 10 : 4 : 0));
  }
  g.fillText("x", X(0.75), Y(0) + 14); g.fillText("y", X(0) - 18, Y(0.75) + 4);
}
// One scale for a path, so that its widest ball has 20 pixels and the others keep their proportion to it.
function ellipses(g, path, X, Y, colour) {
  const drawn = []; let px = -1e9, py = -1e9;
  for (const i of path) {
    const x = X(share("x", i)), y = Y(share("y", i)), a = decode("major", i);
    if (isNaN(a) || Math.hypot(x - px, y - py) < 26) continue;
    drawn.push([i, x, y]); px = x; py = y;
  }
  const widest = Math.max(...drawn.map(([i]) => decode("major", i)));
  for (const [i, x, y] of drawn) {
    const [a, b] = ["major", "minor"].map(key => Math.max(20 * Math.pow(10, decode(key, i) - widest), 0.8));
    g.beginPath(); g.ellipse(x, y, a, b, -decode("angle", i), 0, 7);
    g.fillStyle = "rgba(255,255,255,0.35)"; g.fill(); g.strokeStyle = colour; g.lineWidth = 1.3; g.stroke();
  }
}

function drawSurface(f, runs, last, view) {
  const [g, W, H] = canvas("surface"), zoom = Math.min(W * 0.62, H * 0.82);
  const ca = Math.cos(view.azimuth), sa = Math.sin(view.azimuth), ce = Math.cos(view.elevation), se = Math.sin(view.elevation);
  const project = (u, v, w) => {
    const x = u - 0.5, y = v - 0.5, depth = x * sa + y * ca;
    return [W / 2 + zoom * (x * ca - y * sa), H * 0.53 - zoom * (depth * se + (w - 0.5) * 0.62 * ce), depth];
  };
  // Coarser while it turns.
  const step = view.turning ? 4 : 2;
  background(g, "surface", [f.name, view.azimuth, view.elevation, step].join(), W, H, own => faces(own, f, project, step));
  for (const run of runs) {
    let down = false, x, y;
    const lines = new Path2D();
    for (const i of indices(run, last)) {
      const u = share("x", i), v = share("y", i), value = Math.pow(10, decode("value", i));
      if (!(u >= 0 && u <= 1 && v >= 0 && v <= 1)) { down = false; continue; }
      [x, y] = project(u, v, (Math.log10(value + f.lift) - f.low) / (f.high - f.low) + 0.012);
      down ? lines.lineTo(x, y) : lines.moveTo(x, y);
      down = true;
    }
    for (const [style, width] of [["rgba(255,255,255,0.9)", 4], [colourOf(run.o), 2.2]]) {
      g.strokeStyle = style; g.lineWidth = width; g.lineJoin = "round"; g.setLineDash(dashOf(run.o)); g.stroke(lines);
    }
    g.setLineDash([]);
    if (down) end(g, run, last, x, y);
  }
}
function faces(g, f, project, step) {
  const n = f.size, height = k => (f.height[k] - f.low) / (f.high - f.low), found = [];
  for (let j = 0; j + step < n; j += step) for (let i = 0; i + step < n; i += step) {
    const k = [j * n + i, j * n + i + step, (j + step) * n + i + step, (j + step) * n + i];
    const corners = k.map(q => project((q % n) / (n - 1), Math.floor(q / n) / (n - 1), height(q)));
    found.push([corners, k.reduce((sum, q) => sum + height(q), 0) / 4, corners[0][2] + corners[2][2]]);
  }
  found.sort((a, b) => b[2] - a[2]);
  for (const [corners, h] of found) {
    g.beginPath(); corners.forEach(([x, y]) => g.lineTo(x, y)); g.closePath();
    g.fillStyle = `rgb(${viridis(h)})`; g.fill(); g.strokeStyle = "rgba(255,255,255,0.22)"; g.lineWidth = 0.6; g.stroke();
  }
}

// Draws a column against iteration; the axes are those of whole runs, so that they stand still while it plays.
function drawCurves(id, runs, last, { name, most = Infinity }) {
  const [g, W, H] = canvas(id), left = 56, bottom = 42, top = 8, right = 14;
  const longest = Math.max(1, ...runs.map(r => r.n));
  const all = runs.flatMap(r => indices(r, Infinity)).map(i => decode(id, i)).filter(v => !isNaN(v) && v > D.ranges[id][0]);
  const low = Math.floor(Math.min(0, ...all)), found = Math.ceil(Math.max(...all, low + 1)), high = Math.min(found, most);
  const X = t => left + (W - left - right) * Math.log10(t + 1) / Math.log10(longest + 1);
  const Y = v => H - bottom - (H - bottom - top) * (Math.min(Math.max(v, low), high) - low) / (high - low);
  axisText(g); g.strokeStyle = "#e6e6e2"; g.lineWidth = 1; g.textAlign = "right";
  const every = Math.ceil((high - low) / 7);
  for (let d = low; d <= high; d += every) {
    g.beginPath(); g.moveTo(left, Y(d)); g.lineTo(W - right, Y(d)); g.stroke();
    g.fillText("1e" + d, left - 6, Y(d) + 4);
  }
  g.textAlign = "center";
  for (const t of [0, 1, 3, 10, 30, 100, 300, 1000]) if (t <= longest) g.fillText(t, X(t), H - 24);
  g.fillText("iteration", (left + W - right) / 2, H - 6);
  g.save(); g.translate(12, (H - bottom) / 2); g.rotate(-Math.PI / 2); g.fillText(name, 0, 0); g.restore();
  for (const run of runs) {
    const path = indices(run, last).filter(i => !isNaN(decode(id, i)));
    g.strokeStyle = colourOf(run.o); g.lineWidth = 1.8; g.setLineDash(dashOf(run.o)); g.beginPath();
    path.forEach(i => g.lineTo(X(P.iteration[i]), Y(decode(id, i))));
    g.stroke(); g.setLineDash([]);
    if (path.length) end(g, run, last, X(P.iteration[path.at(-1)]), Y(decode(id, path.at(-1))));
  }
  return found > high ? high : null;
}
