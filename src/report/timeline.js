// The explorable timeline: one lane per slot on a canvas.
//
// A frame costs what is in sight: each lane is entered by bisection, and operations narrower than a pixel
// are gathered, one mark a pixel: in doubt if any is, else fail or ok, whichever is more.

class Timeline {
  constructor(data, ops) {
    this.data = data;
    this.ops = ops;
    this.lanes = data.lanes.length;
    this.index = byLane(ops, this.lanes);
    this.kinds = [...new Set(data.bands.map((band) => band[0]))].slice(0, 5);
    this.canvas = byId("lanes");
    this.overview = byId("overview");
    this.whole = [0, Math.max(data.end, 1)];
    this.view = [...this.whole];
    this.matches = new Uint8Array(ops.count).fill(1);
    this.selected = -1;
    this.hovered = -1;
    this.asked = false;
    this.layout();
  }

  layout() {
    this.width = this.canvas.parentElement.clientWidth;
    const narrow = this.width < 520;
    this.left = narrow ? 50 : 78;
    this.axis = 26;
    this.lane = Math.max(3, Math.min(narrow ? 18 : 22, 460 / Math.max(1, this.lanes)));
    this.height = Math.max(60, Math.min(1200, this.lane * this.lanes) + this.axis);
    if (this.lane * this.lanes > 1200) this.lane = 1200 / this.lanes;
    this.canvas.style.height = this.height + "px";
  }

  x(time) { return this.left + (time - this.view[0]) / (this.view[1] - this.view[0]) * (this.width - this.left); }
  time(x) { return this.view[0] + (x - this.left) / (this.width - this.left) * (this.view[1] - this.view[0]); }

  // Shows from..until, kept inside the trial and not shorter than a microsecond.
  show(from, until) {
    const [first, last] = this.whole;
    const span = Math.min(last - first, Math.max(1000, until - from));
    const start = Math.min(last - span, Math.max(first, (from + until) / 2 - span / 2));
    this.view = [start, start + span];
    this.draw();
  }

  // Around a time; else around the selected operation if it is in sight, else around the middle.
  zoom(factor, at) {
    const selected = this.selected >= 0 ? this.ops.call[this.selected] : NaN;
    const seen = selected >= this.view[0] && selected <= this.view[1];
    const around = at !== undefined ? at : seen ? selected : (this.view[0] + this.view[1]) / 2;
    this.show(around - (around - this.view[0]) * factor, around + (this.view[1] - around) * factor);
  }

  pan(share) {
    const by = share * (this.view[1] - this.view[0]);
    this.show(this.view[0] + by, this.view[1] + by);
  }

  // Draws once before the next frame, however often it is asked.
  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.paint(); });
  }

  paint() {
    const colours = palette();
    const ctx = sized(this.canvas, this.width, this.height);
    ctx.font = "11px " + colours.mono;
    ctx.textBaseline = "middle";
    this.paintShades(ctx, colours);
    this.paintAxis(ctx, colours);
    const marked = [];
    for (let lane = 0; lane < this.lanes; lane++) this.paintLane(ctx, colours, lane, marked);
    for (const i of marked) this.paintRole(ctx, colours, i);
    for (const i of [this.hovered, this.selected]) if (i >= 0) this.paintFrame(ctx, colours.ink, i, 2);
    this.paintNames(ctx, colours);
    this.paintOverview(colours);
  }

  floor() { return this.height - this.axis; }

  paintShades(ctx, colours) {
    ctx.globalAlpha = Number(colours.shade);
    for (const [kind, from, until] of this.data.bands) {
      if (until < this.view[0] || from > this.view[1]) continue;
      const x0 = Math.max(this.left, this.x(from));
      ctx.fillStyle = faultColour(colours, kind);
      ctx.fillRect(x0, 0, Math.max(1, Math.min(this.width, this.x(until)) - x0), this.floor());
    }
    ctx.globalAlpha = 1;
  }

  paintAxis(ctx, colours) {
    const span = this.view[1] - this.view[0];
    const step = roundStep(span / Math.max(2, (this.width - this.left) / 110));
    ctx.fillStyle = colours.soft;
    ctx.strokeStyle = colours.grid;
    ctx.textAlign = "center";
    for (let t = Math.ceil(this.view[0] / step) * step; t <= this.view[1]; t += step) {
      const x = Math.round(this.x(t)) + 0.5;
      ctx.beginPath(); ctx.moveTo(x, 0); ctx.lineTo(x, this.floor() + 4); ctx.stroke();
      if (x > this.left + 20 && x < this.width - 26) ctx.fillText(clock(t, step), x, this.floor() + 15);
    }
    ctx.strokeStyle = colours.soft;
    ctx.setLineDash([3, 3]);
    for (const [time] of this.data.leaders) {
      const x = Math.round(this.x(time)) + 0.5;
      if (x < this.left) continue;
      ctx.beginPath(); ctx.moveTo(x, 0); ctx.lineTo(x, this.floor()); ctx.stroke();
    }
    ctx.setLineDash([]);
  }

  paintNames(ctx, colours) {
    ctx.fillStyle = colours.card;
    ctx.fillRect(0, 0, this.left, this.height);
    ctx.strokeStyle = colours.line;
    ctx.beginPath(); ctx.moveTo(this.left - 0.5, 0); ctx.lineTo(this.left - 0.5, this.floor()); ctx.stroke();
    ctx.textAlign = "right";
    ctx.fillStyle = colours.soft;
    const every = Math.ceil(13 / this.lane);
    for (let lane = 0; lane < this.lanes; lane += every) {
      ctx.fillText(this.data.lanes[lane].slice(0, 12), this.left - 7, (lane + 0.5) * this.lane + 0.5, this.left - 10);
    }
  }

  paintLane(ctx, colours, lane, marked) {
    const { ops, index, matches } = this;
    const [from, until] = this.view;
    const perNano = (this.width - this.left) / (until - from);
    const inset = this.lane > 8 ? 2 : this.lane > 4 ? 1 : 0;
    const y = lane * this.lane + inset, height = Math.max(1, this.lane - 2 * inset);
    const gathered = this.gather();
    const last = index.start[lane + 1];
    for (let k = bisect(index.latest, index.start[lane], last, from); k < last; k++) {
      const i = index.order[k];
      if (ops.call[i] > until) break;
      if (!matches[i] || ops.end[i] < from) continue;
      if (ops.role[i]) marked.push(i);
      const x0 = this.left + (ops.call[i] - from) * perNano;
      const width = (ops.end[i] - ops.call[i]) * perNano;
      if (width < 1.5) {
        const pixel = Math.max(this.left, Math.floor(x0)) | 0;
        if (pixel < this.width) gathered[ops.outcome[i]][pixel]++;
      } else {
        this.paintBar(ctx, colours, i, Math.max(this.left - 4, x0), Math.min(this.width + 4, x0 + width), y, height);
      }
    }
    const [ok, fail, info, open] = gathered;
    const mark = (x) => open[x] ? 3 : info[x] ? 2 : fail[x] ? (ok[x] > fail[x] ? 0 : 1) : ok[x] ? 0 : -1;
    for (let x = this.left; x < this.width;) {
      const outcome = mark(x);
      let run = x + 1;
      while (run < this.width && mark(run) === outcome) run++;
      if (outcome >= 0) { ctx.fillStyle = colours.outcome[outcome]; ctx.fillRect(x, y, run - x, height); }
      x = run;
    }
  }

  // Counts per pixel and outcome, empty.
  gather() {
    const width = Math.ceil(this.width) + 1;
    if (!this.gathered || this.gathered[0].length !== width) this.gathered = OUTCOMES.map(() => new Uint32Array(width));
    for (const counts of this.gathered) counts.fill(0);
    return this.gathered;
  }

  paintBar(ctx, colours, i, x0, x1, y, height) {
    const { ops } = this;
    const colour = colours.outcome[ops.outcome[i]];
    const width = x1 - x0;
    ctx.fillStyle = colour;
    if (width < 5 || height < 6) {
      ctx.fillRect(x0, y, Math.max(1, width - 0.5), height);
      return;
    }
    ctx.globalAlpha = 0.24;
    ctx.fillRect(x0, y, width - 1, height);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1;
    if (ops.outcome[i] >= 2) ctx.setLineDash([4, 3]);
    ctx.strokeRect(x0 + 0.5, y + 0.5, width - 2, height - 1);
    ctx.setLineDash([]);
    ctx.fillRect(x0, y, 2, height);
    if (width > 34 && height >= 11) {
      const room = Math.floor((width - 8) / 6.7);
      let text = this.data.functions[ops.f[i]] + " " + ops.texts[i];
      if (text.length > room) text = room > 2 ? text.slice(0, room - 1) + "…" : "";
      ctx.fillStyle = colours.ink;
      ctx.textAlign = "left";
      ctx.fillText(text, Math.max(x0, this.left) + 5, y + height / 2 + 0.5);
    }
  }

  paintFrame(ctx, colour, i, thick) {
    if (this.ops.call[i] > this.view[1] || this.ops.end[i] < this.view[0]) return;
    const x0 = this.x(this.ops.call[i]);
    const x1 = Math.max(x0 + 3, this.x(this.ops.end[i]));
    ctx.strokeStyle = colour;
    ctx.lineWidth = thick;
    ctx.strokeRect(x0 - 1, this.ops.lane[i] * this.lane + 1, x1 - x0 + 2, Math.max(3, this.lane - 2));
    ctx.lineWidth = 1;
  }

  // What proves an anomaly is seen at every zoom: framed, and the guilty one under a marker.
  paintRole(ctx, colours, i) {
    const guilty = this.ops.role[i] === 2;
    this.paintFrame(ctx, guilty ? colours.guilty : colours.accent, i, guilty ? 2.5 : 1.5);
    if (!guilty) return;
    const x = this.x((this.ops.call[i] + Math.min(this.ops.end[i], this.view[1])) / 2);
    const y = this.ops.lane[i] * this.lane;
    ctx.fillStyle = colours.guilty;
    ctx.beginPath();
    ctx.moveTo(x, y + 2); ctx.lineTo(x - 6, y - 8); ctx.lineTo(x + 6, y - 8);
    if (y < 9) { ctx.beginPath(); ctx.moveTo(x, y + this.lane - 2); ctx.lineTo(x - 6, y + this.lane + 8); ctx.lineTo(x + 6, y + this.lane + 8); }
    ctx.fill();
  }

  paintOverview(colours) {
    const [width, height] = [this.width, 34];
    const ctx = sized(this.overview, width, height);
    const room = width - this.left;
    const x = (time) => this.left + time / this.whole[1] * room;
    ctx.globalAlpha = Number(colours.shade);
    for (const [kind, from, until] of this.data.bands) {
      ctx.fillStyle = faultColour(colours, kind);
      ctx.fillRect(x(from), 0, Math.max(1, x(until) - x(from)), height);
    }
    ctx.globalAlpha = 1;
    const density = this.density(Math.max(1, Math.floor(room)));
    // A short burst must not flatten the rest: the highest columns are cut off.
    const busy = density.filter((n) => n > 0).sort();
    const most = busy.length ? busy[Math.floor((busy.length - 1) * 0.97)] : 1;
    ctx.fillStyle = colours.ok;
    const tall = height - 3 * this.kinds.length - 3;
    density.forEach((n, column) => { if (n) ctx.fillRect(this.left + column, height - Math.max(1, Math.min(1, n / most) * tall), 1, height); });
    this.data.bands.forEach(([kind, from, until]) => {
      if (!this.kinds.includes(kind)) return;
      ctx.fillStyle = faultColour(colours, kind);
      ctx.fillRect(x(from), 3 * this.kinds.indexOf(kind), Math.max(1, x(until) - x(from)), 2);
    });
    ctx.fillStyle = colours.guilty;
    for (let i = 0; i < this.ops.count; i++) if (this.ops.role[i] === 2) ctx.fillRect(x(this.ops.call[i]) - 1, 0, 3, height);
    const [x0, x1] = [x(this.view[0]), x(this.view[1])];
    ctx.fillStyle = colours.card;
    ctx.globalAlpha = 0.6;
    ctx.fillRect(this.left, 0, x0 - this.left, height);
    ctx.fillRect(x1, 0, width - x1, height);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = colours.accent;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(x0 + 0.75, 0.75, Math.max(4, x1 - x0) - 1.5, height - 1.5);
    ctx.fillStyle = colours.soft;
    ctx.font = "11px " + colours.mono;
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    ctx.fillText("whole", this.left - 7, height / 2);
  }

  // Calls per column of the whole trial; counted anew only when filters or width change.
  density(columns) {
    if (this.counted && this.counted.length === columns) return this.counted;
    const density = new Uint32Array(columns);
    for (let i = 0; i < this.ops.count; i++) {
      if (this.matches[i]) density[Math.min(columns - 1, Math.floor(this.ops.call[i] / this.whole[1] * columns))]++;
    }
    return (this.counted = density);
  }

  // The operation under a point, within a few pixels; what proves an anomaly goes first.
  at(px, py, reach) {
    const lane = Math.floor(py / this.lane);
    if (lane < 0 || lane >= this.lanes || px < this.left) return -1;
    const { ops, index } = this;
    const [low, high] = [this.time(px - reach), this.time(px + reach)], middle = this.time(px);
    let best = -1, distance = Infinity;
    const last = index.start[lane + 1];
    for (let k = bisect(index.latest, index.start[lane], last, low); k < last; k++) {
      const i = index.order[k];
      if (ops.call[i] > high) break;
      if (!this.matches[i] || ops.end[i] < low) continue;
      const away = Math.max(0, ops.call[i] - middle, middle - ops.end[i]) - (ops.role[i] ? high - low : 0);
      if (away < distance || (away === distance && ops.outcome[i] > ops.outcome[best])) { best = i; distance = away; }
    }
    return best;
  }

  // Brings an operation into sight, wide enough to read.
  select(i) {
    this.selected = i;
    const [call, end] = [this.ops.call[i], this.ops.ended[i] ? this.ops.end[i] : this.ops.call[i]];
    const span = this.view[1] - this.view[0];
    if (call < this.view[0] || end > this.view[1]) this.show(call - span / 2, call + span / 2);
    describe(this.data, this.ops, i);
    this.draw();
  }

  step(by) {
    let i = this.selected >= 0 ? this.selected + by : bisect(this.ops.call, 0, this.ops.count, this.view[0]);
    while (i >= 0 && i < this.ops.count && !this.matches[i]) i += by;
    if (i >= 0 && i < this.ops.count) this.select(i);
  }

  // Shows the operations with these positions in the log.
  showEvents(calls) {
    const found = calls.map((call) => bisect(this.ops.index, 0, this.ops.count, call)).filter((i, n) => i < this.ops.count && this.ops.index[i] === calls[n]);
    if (!found.length) return;
    const from = Math.min(...found.map((i) => this.ops.call[i]));
    const until = Math.max(...found.map((i) => this.ops.outcome[i] < 2 ? this.ops.end[i] : this.ops.call[i]));
    const margin = Math.max((until - from) * 0.15, 1e5);
    this.show(from - margin, until + margin);
    const guilty = found.find((i) => this.ops.role[i] === 2);
    this.selected = guilty === undefined ? found[found.length - 1] : guilty;
    describe(this.data, this.ops, this.selected);
  }

  filter(keep) {
    let shown = 0;
    for (let i = 0; i < this.ops.count; i++) shown += this.matches[i] = keep(i) ? 1 : 0;
    this.counted = null;
    this.draw();
    return shown;
  }
}

function describe(data, ops, i) {
  const box = byId("detail");
  const bold = document.createElement("b");
  bold.textContent = data.functions[ops.f[i]] + (ops.key[i] >= 0 ? " key " + data.keys[ops.key[i]] : "") + "  " + ops.texts[i];
  const process = ops.process[i];
  const slot = data.concurrency ? process % data.concurrency : -1;
  const parts = [OUTCOMES[ops.outcome[i]] + (ops.outcome[i] >= 2 ? " (in doubt)" : "")];
  if (ops.role[i]) parts.push(ops.role[i] === 2 ? "GUILTY of an anomaly" : "part of the proof of an anomaly");
  parts.push("process " + process + (slot >= 0 && data.nodes.length ? " on " + data.nodes[slot % data.nodes.length] : ""));
  parts.push("called " + (ops.call[i] / 1e9).toFixed(6) + " s");
  parts.push(ops.ended[i] ? "took " + duration(ops.end[i] - ops.call[i]) : "no completion in the log");
  parts.push("event " + ops.index[i]);
  const faults = data.bands.filter((band) => band[1] <= ops.end[i] && band[2] >= ops.call[i]);
  if (faults.length) parts.push("meanwhile: " + [...new Set(faults.map((band) => band[0]))].join(", "));
  box.replaceChildren(bold, document.createElement("br"), parts.join(" · "));
}
