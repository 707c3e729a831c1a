// Put into a copy of a page by the browser test: uses the page as a reader would, and writes down what happened.
// Frames are drawn at once there (see the test), so that nothing has to wait.
(() => {
  const found = {};
  const byId = (id) => document.getElementById(id);
  // Read from a copy: the page's own canvases are not made for reading.
  const pixels = (canvas) => {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const ctx = copy.getContext("2d", { willReadFrequently: true });
    ctx.drawImage(canvas, 0, 0);
    return ctx.getImageData(0, 0, canvas.width, canvas.height).data;
  };
  const colours = (canvas) => {
    const data = pixels(canvas), seen = new Set();
    for (let i = 0; i < data.length; i += 4) if (data[i + 3]) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    return seen.size;
  };
  const print = (canvas) => {
    const data = pixels(canvas);
    let hash = 0;
    for (let i = 0; i < data.length; i += 4) hash = (hash * 31 + (data[i] << 16) + (data[i + 1] << 8) + data[i + 2]) | 0;
    return hash;
  };
  try {
    const lanes = byId("lanes");
    found.overflow = document.documentElement.scrollWidth - window.innerWidth;
    found.width = window.innerWidth;
    found.dark = matchMedia("(prefers-color-scheme: dark)").matches;
    found.scatter = Math.max(0, ...[...document.querySelectorAll("canvas.scatter")].map(colours));
    found.lanes = colours(lanes);
    const whole = print(lanes);
    const press = (key) => { lanes.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })); };
    press("+"); press("+");
    found.zoomed = print(lanes) !== whole;
    const zoomed = print(lanes);
    press("ArrowRight");
    found.panned = print(lanes) !== zoomed;
    press("n");
    found.detail = byId("detail").textContent.length;
    press("0");
    lanes.focus();
    const box = lanes.getBoundingClientRect();
    const before = print(lanes);
    lanes.dispatchEvent(new WheelEvent("wheel", { deltaY: -400, clientX: box.left + box.width / 2, clientY: box.top + 20, bubbles: true, cancelable: true }));
    found.wheeled = print(lanes) !== before;
    byId("zoom-all").click();
    found.shown = byId("shown").textContent;
    const ok = document.querySelector("#filter-outcome input[value=ok]");
    ok.checked = false;
    byId("filters").dispatchEvent(new Event("input", { bubbles: true }));
    found.filtered = byId("shown").textContent;
    ok.checked = true;
    byId("filter-process").value = "1-2";
    byId("filters").dispatchEvent(new Event("input", { bubbles: true }));
    found.process = byId("shown").textContent;
    byId("filter-process").value = "";
    byId("filters").dispatchEvent(new Event("input", { bubbles: true }));
    const button = document.querySelector(".show-anomaly");
    if (button) { button.click(); found.anomaly = byId("detail").textContent.includes("GUILTY"); }
    const plot = document.querySelector("[data-plot]");
    const at = plot.getBoundingClientRect();
    plot.dispatchEvent(new PointerEvent("pointermove", { clientX: at.left + at.width / 5, clientY: at.top + 9, bubbles: true }));
    found.readout = byId("readout").textContent.length;
    plot.dispatchEvent(new PointerEvent("pointerleave", { bubbles: false }));
    const since = performance.now();
    for (let i = 0; i < 5; i++) { byId("zoom-in").click(); byId("zoom-all").click(); }
    found.frame = (performance.now() - since) / 5;
    document.activeElement.blur();
    scrollTo(0, 0);
  } catch (error) {
    found.error = String(error);
  }
  found.failed = document.body.dataset.failed || "";
  found.ready = document.body.dataset.ready || "";
  found.hacked = typeof window.hacked;
  found.images = document.querySelectorAll("img, iframe, object").length;
  const note = document.createElement("pre");
  note.id = "inspection";
  note.hidden = true;
  note.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(found))));
  (window.parent === window ? document : window.parent.document).body.append(note);
})();
