// Draws everything once, and again whenever the window, the colour scheme or the medium changes.

try {
  const data = JSON.parse(byId("data").textContent);
  const ops = decode(data, byId("stream").textContent);
  const timeline = new Timeline(data, ops);
  handle(timeline);
  handleFilters(timeline);
  watchPlots(data, (time) => {
    const half = Math.min((timeline.view[1] - timeline.view[0]) / 2, data.end / 40);
    timeline.show(time - half, time + half);
  });
  const redraw = () => { timeline.layout(); timeline.paint(); drawScatters(data, ops); };
  let width = 0, later = 0;
  new ResizeObserver(() => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    clearTimeout(later);
    later = setTimeout(redraw, 80);
  }).observe(document.body);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => { printing = true; redraw(); });
  window.addEventListener("afterprint", () => { printing = false; redraw(); });
  width = document.body.clientWidth;
  redraw();
  document.body.dataset.ready = "1";
} catch (error) {
  fail(error.message);
  throw error;
}
