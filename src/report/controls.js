// Hands on the timeline: wheel, drag, pinch, keys, buttons, filters.

function handle(timeline) {
  const { canvas } = timeline;
  const pointers = new Map();
  let moved = 0, pinch = 0;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const point = (event, reach) => timeline.at(...place(event), reach);

  // Without the focus the wheel scrolls the page, as readers expect of a page.
  canvas.addEventListener("wheel", (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!sideways && !event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (sideways) timeline.pan(event.deltaX * unit / timeline.width);
    else timeline.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * unit * 0.002))), timeline.time(place(event)[0]));
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, place(event));
    moved = 0;
    canvas.setPointerCapture(event.pointerId);
    if (pointers.size === 2) { const [a, b] = [...pointers.values()]; pinch = Math.abs(a[0] - b[0]); }
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId), now = place(event);
    if (!before) {
      const found = point(event, 4);
      if (found !== timeline.hovered) { timeline.hovered = found; if (found >= 0) describe(timeline.data, timeline.ops, found); timeline.draw(); }
      return;
    }
    pointers.set(event.pointerId, now);
    moved += Math.abs(now[0] - before[0]);
    if (pointers.size === 1) {
      timeline.pan((before[0] - now[0]) / (timeline.width - timeline.left));
    } else if (pointers.size === 2) {
      const [a, b] = [...pointers.values()], wide = Math.max(8, Math.abs(a[0] - b[0]));
      if (pinch > 8) timeline.zoom(pinch / wide, timeline.time((a[0] + b[0]) / 2));
      pinch = wide;
    }
  });
  const lift = (event) => {
    if (pointers.delete(event.pointerId) && event.type === "pointerup" && moved < 5) {
      const found = point(event, event.pointerType === "touch" ? 12 : 4);
      if (found >= 0) timeline.select(found);
    }
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => { timeline.hovered = -1; timeline.draw(); });
  canvas.addEventListener("dblclick", (event) => timeline.zoom(0.4, timeline.time(place(event)[0])));

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowLeft: () => timeline.pan(-0.15), ArrowRight: () => timeline.pan(0.15), "+": () => timeline.zoom(0.6), "=": () => timeline.zoom(0.6),
      "-": () => timeline.zoom(1 / 0.6), "0": () => timeline.show(...timeline.whole), Home: () => timeline.show(...timeline.whole),
      n: () => timeline.step(1), p: () => timeline.step(-1),
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  byId("zoom-in").addEventListener("click", () => timeline.zoom(0.5));
  byId("zoom-out").addEventListener("click", () => timeline.zoom(2));
  byId("zoom-all").addEventListener("click", () => timeline.show(...timeline.whole));
  for (const button of document.querySelectorAll(".show-anomaly")) {
    button.addEventListener("click", () => {
      timeline.showEvents(timeline.data.anomalies[Number(button.dataset.anomaly)]);
      byId("timeline").scrollIntoView({ block: "start" });
      canvas.focus({ preventScroll: true });
    });
  }
  handleOverview(timeline);
}

function handleOverview(timeline) {
  const { overview } = timeline;
  let held = false;
  const move = (event) => {
    if (!held) return;
    const box = overview.getBoundingClientRect();
    const time = (event.clientX - box.left - timeline.left) / (timeline.width - timeline.left) * timeline.whole[1];
    const half = (timeline.view[1] - timeline.view[0]) / 2;
    timeline.show(time - half, time + half);
  };
  overview.addEventListener("pointerdown", (event) => { held = true; overview.setPointerCapture(event.pointerId); move(event); });
  overview.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) overview.addEventListener(end, () => { held = false; });
}

// "3, 7, 10-20" as a test of numbers; null lets all pass.
function numbers(text) {
  const ranges = text.split(/[\s,]+/).filter(Boolean).map((part) => part.split("-").map(Number));
  return ranges.length ? (n) => ranges.some(([low, high]) => n >= low && n <= (high === undefined ? low : high)) : null;
}

function handleFilters(timeline) {
  const { data, ops } = timeline;
  const form = byId("filters");
  const list = byId("keys");
  for (const key of data.keys.slice(0, 500)) { const option = document.createElement("option"); option.value = key; list.append(option); }
  const apply = () => {
    const checked = (id) => new Set([...document.querySelectorAll("#" + id + " input[type=checkbox]:checked")].map((box) => box.value));
    const outcomes = checked("filter-outcome"), functions = checked("filter-f");
    const text = byId("filter-f-text");
    const names = text ? text.value.split(/[\s,]+/).filter(Boolean) : [];
    const goodOutcome = OUTCOMES.map((name) => outcomes.has(name));
    const goodFunction = data.functions.map((name, f) => text ? !names.length || names.includes(name) : functions.has(String(f)));
    const goodProcess = numbers(byId("filter-process").value);
    const wanted = byId("filter-key").value.trim();
    const keys = wanted.split(",").map((key) => key.trim());
    const goodKey = wanted ? data.keys.map((key) => key === wanted || keys.includes(key)) : null;
    const shown = timeline.filter((i) => goodOutcome[ops.outcome[i]] && goodFunction[ops.f[i]]
      && (!goodProcess || goodProcess(ops.process[i])) && (!goodKey || (ops.key[i] >= 0 && goodKey[ops.key[i]])));
    byId("shown").textContent = grouped(shown) + " of " + grouped(data.total) + " operations shown";
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
