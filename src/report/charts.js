// The scatter of latencies on its canvases, and what stands under the pointer in any plot.

function drawScatters(data, ops) {
  const colours = palette();
  for (const canvas of document.querySelectorAll("canvas.scatter")) drawScatter(canvas, data, ops, colours);
}

function drawScatter(canvas, data, ops, colours) {
  const { width, height } = canvas.parentElement.getBoundingClientRect();
  const ctx = sized(canvas, width, height);
  const wanted = new Set(canvas.dataset.f.split(" ").map(Number));
  const [low, high] = [Number(canvas.dataset.low), Number(canvas.dataset.high)];
  const end = Math.max(data.end, 1);
  const x = (i) => ops.call[i] / end * width;
  const y = (i) => {
    const share = (Math.log10(Math.max(1, ops.end[i] - ops.call[i])) - low) / (high - low);
    return height * (1 - Math.min(1, Math.max(0, share)));
  };
  const many = ops.count > 20000;
  const size = many ? 2 : 3;
  // Ok and fail lie in the order of time, so that neither hides the other; what is in doubt is rare and on top.
  for (const doubt of [false, true]) {
    ctx.globalAlpha = doubt ? 0.9 : many ? 0.35 : 0.6;
    for (let i = 0; i < ops.count; i++) {
      const outcome = ops.outcome[i];
      if ((outcome >= 2) !== doubt || !ops.ended[i] || !wanted.has(ops.f[i])) continue;
      ctx.fillStyle = colours.outcome[outcome];
      ctx.fillRect(x(i) - size / 2, y(i) - size / 2, size, size);
    }
  }
  ctx.globalAlpha = 1;
  for (let i = 0; i < ops.count; i++) {
    if (ops.role[i] !== 2 || !ops.ended[i] || !wanted.has(ops.f[i])) continue;
    ctx.beginPath();
    ctx.arc(x(i), y(i), 5, 0, 7);
    ctx.fillStyle = colours.guilty;
    ctx.fill();
    ctx.lineWidth = 2;
    ctx.strokeStyle = colours.card;
    ctx.stroke();
  }
}

// What the curves say at a time.
function readings(data, time) {
  const series = data.series;
  const step = Math.min(series.ended.length - 1, Math.floor(time / series.step));
  const length = step + 1 === series.ended.length ? data.end - step * series.step : series.step;
  const perSecond = 1e9 / Math.max(1, length);
  const parts = ["at " + clock(time, Math.max(data.end / 200, 1)) + ":"];
  parts.push(series.ended[step].map((n, outcome) => OUTCOMES[outcome] + " " + grouped(n * perSecond) + "/s").join(", "));
  const latency = series.latency[step];
  if (latency) parts.push("· median " + duration(latency[0]) + ", 99 % " + duration(latency[2]) + ", slowest " + duration(latency[3]));
  parts.push("· " + series.open[step] + " waiting");
  const faults = data.bands.filter((band) => band[1] <= time && time <= band[2]);
  if (faults.length) parts.push("· in force: " + faults.map((band) => band[0] + (band[3] ? " (" + band[3] + ")" : "")).join(", "));
  const leader = data.leaders.filter((seen) => seen[0] <= time).pop();
  if (leader) parts.push("· last leader seen: " + leader[1] + (leader[2] ? ", term " + leader[2] : ""));
  return parts.join(" ");
}

function watchPlots(data, onChoose) {
  const plots = [...document.querySelectorAll("[data-plot]")];
  const cursors = plots.map((plot) => {
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    plot.append(cursor);
    return cursor;
  });
  const timeAt = (plot, event) => {
    const box = plot.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * data.end;
  };
  for (const plot of plots) {
    const move = (event) => {
      const time = timeAt(plot, event);
      const readout = byId("readout");
      readout.hidden = false;
      readout.textContent = readings(data, time);
      for (const cursor of cursors) {
        cursor.style.display = "block";
        cursor.style.left = (data.end ? time / data.end : 0) * 100 + "%";
      }
    };
    plot.addEventListener("pointermove", move);
    plot.addEventListener("pointerleave", () => {
      byId("readout").hidden = true;
      cursors.forEach((cursor) => { cursor.style.display = "none"; });
    });
    plot.addEventListener("click", (event) => { move(event); onChoose(timeAt(plot, event)); });
  }
}
