// What a person does: scroll, point, choose a window, a mark, a score; and what the page then says.

const ZOOMS = [1, 2, 4, 8];
const CLOSE = 4; // when a mark is jumped to from the whole scan
const LEAST_WHEEL = 30; // of a turn, in pixels: less, as from a touch pad, is added up
const PIXELS_OF_LINE = 40;

const scan = JSON.parse(document.getElementById("scan").textContent);
const element = (name) => document.getElementById(name);
const panes = Object.entries(PLANES).map(([name, plane]) => ({
  name,
  plane,
  canvas: document.querySelector(`#${name} canvas`),
  slider: document.querySelector(`#${name} input`),
  words: document.querySelector(`#${name} output`),
  bar: document.querySelector(`#${name} .scale`),
  turned: 0,
}));
const view = {
  cursor: scan.size.map((length) => length / 2),
  zoom: 1,
  window: scan.window,
  leastScore: scan.threshold,
  showsMarks: true,
  chosen: null,
  pixelRatio: 1,
};
let blocks = [];

function moveTo(place) {
  view.cursor = place.map((each, axis) => Math.min(Math.max(each, 0.5), scan.size[axis] - 0.5));
  show();
}

function scroll(pane, slices) {
  const place = [...view.cursor];
  place[pane.plane.axis] = indexIn(scan, pane.plane.axis, place[pane.plane.axis]) + slices + 0.5;
  moveTo(place);
}

function shownMarks() {
  return scan.marks.filter((mark) => mark.score >= view.leastScore);
}

function jumpTo(number) {
  const mark = scan.marks.find((each) => each.number === number);
  view.chosen = number;
  if (view.zoom === 1) view.zoom = CLOSE;
  moveTo(mark.place);
}

// The next shown mark, or the one before, in the order of scores.
function step(by) {
  const shown = shownMarks();
  if (shown.length === 0) return;
  const place = shown.findIndex((mark) => mark.number === view.chosen);
  const next = place < 0 ? (by > 0 ? 0 : shown.length - 1) : (place + by + shown.length) % shown.length;
  jumpTo(shown[next].number);
}

function zoom(by) {
  view.zoom = ZOOMS[Math.min(Math.max(ZOOMS.indexOf(view.zoom) + by, 0), ZOOMS.length - 1)];
  show();
}

function chooseWindow(name) {
  view.window = name;
  element(`window-${name}`).checked = true;
  show();
}

function filterFrom(score) {
  view.leastScore = score;
  for (const mark of scan.marks) element(`row-${mark.number}`).hidden = mark.score < score;
  const count = shownMarks().length;
  element("shown").textContent = `${score.toFixed(2)} or more: ${count} of ${scan.marks.length} marks`;
  if (!shownMarks().some((mark) => mark.number === view.chosen)) view.chosen = null;
  show();
}

function sliceInWords(plane) {
  const index = indexIn(scan, plane.axis, view.cursor[plane.axis]);
  const number = plane.axis === scan.slice_axis ? scan.instance_numbers[index] : null;
  const instance = number === null || number === undefined ? "" : `, DICOM instance ${number}`;
  return `slice ${index + 1} of ${scan.size[plane.axis]}${instance}`;
}

function show() {
  const table = brightnessTable(scan.codes, scan.hu_of_codes, scan.windows_hu[view.window]);
  for (const pane of panes) {
    pane.slider.value = indexIn(scan, pane.plane.axis, view.cursor[pane.plane.axis]) + 1;
    pane.words.textContent = sliceInWords(pane.plane);
    pane.slider.setAttribute("aria-valuetext", pane.words.textContent);
    drawPlane(pane.canvas, pane.plane, scan, view, blocks, table);
    const across_mm = (scan.frame[pane.plane.columns] * scan.spacing[pane.plane.columns]) / view.zoom;
    const bar_mm = [50, 20, 10, 5].find((mm) => mm < across_mm / 3) ?? 1;
    pane.bar.style.width = `${(100 * bar_mm) / across_mm}%`;
    pane.bar.textContent = `${bar_mm} mm`;
  }
  element("zoom").textContent = `${view.zoom}\u00d7`;
  for (const mark of scan.marks) {
    const row = element(`row-${mark.number}`);
    if (mark.number === view.chosen) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function fit() {
  view.pixelRatio = window.devicePixelRatio || 1;
  for (const pane of panes) {
    const { width, height } = pane.canvas.getBoundingClientRect();
    pane.canvas.width = Math.max(1, Math.round(width * view.pixelRatio));
    pane.canvas.height = Math.max(1, Math.round(height * view.pixelRatio));
  }
  show();
}

// A turn of the wheel is a slice; at the end of the stack it scrolls the page again.
function onWheel(pane, event) {
  if (event.ctrlKey || event.metaKey) return;
  const towards = pane.plane.axis === 0 ? -1 : 1; // down is to the feet, to the back, to the left
  const isAt = indexIn(scan, pane.plane.axis, view.cursor[pane.plane.axis]);
  const next = isAt + towards * Math.sign(event.deltaY);
  if (next < 0 || next >= scan.size[pane.plane.axis]) return;
  event.preventDefault();
  pane.turned += event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : PIXELS_OF_LINE);
  if (Math.abs(pane.turned) < LEAST_WHEEL) return;
  scroll(pane, towards * Math.sign(pane.turned));
  pane.turned = 0;
}

// A click in a mark chooses the best that is there; everywhere it brings the other planes to the point.
function onClick(pane, event) {
  const frame = pane.canvas.getBoundingClientRect();
  const x = ((event.clientX - frame.left) / frame.width) * pane.canvas.width;
  const y = ((event.clientY - frame.top) / frame.height) * pane.canvas.height;
  const at = project(pane.plane, scan, fieldOf(pane.plane, scan, view), pane.canvas);
  const hit = marksIn(pane.plane, scan, view).filter((mark) => {
    const square = squareOf(pane.plane, scan, at, mark);
    return Math.abs(x - square.left - square.width / 2) <= square.width / 2
      && Math.abs(y - square.top - square.height / 2) <= square.height / 2;
  });
  if (view.showsMarks && hit.length) view.chosen = hit.at(-1).number;
  pane.slider.focus({ preventScroll: true });
  moveTo(placeAt(pane.plane, scan, view, pane.canvas, x, y));
}

const KEYS = {
  n: () => step(1),
  p: () => step(-1),
  l: () => chooseWindow("lung"),
  s: () => chooseWindow("soft"),
  "+": () => zoom(1),
  "-": () => zoom(-1),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
}

function listen() {
  for (const pane of panes) {
    pane.canvas.addEventListener("wheel", (event) => onWheel(pane, event), { passive: false });
    pane.canvas.addEventListener("click", (event) => onClick(pane, event));
    pane.slider.addEventListener("input", () => {
      const place = [...view.cursor];
      place[pane.plane.axis] = Number(pane.slider.value) - 0.5;
      moveTo(place);
    });
  }
  for (const name of ["lung", "soft"]) element(`window-${name}`).addEventListener("change", () => chooseWindow(name));
  element("closer").addEventListener("click", () => zoom(1));
  element("farther").addEventListener("click", () => zoom(-1));
  element("next").addEventListener("click", () => step(1));
  element("previous").addEventListener("click", () => step(-1));
  element("boxes").addEventListener("change", (event) => {
    view.showsMarks = event.target.checked;
    show();
  });
  element("least").addEventListener("input", (event) => filterFrom(Number(event.target.value)));
  for (const button of document.querySelectorAll("button[data-mark]")) {
    button.addEventListener("click", () => {
      jumpTo(Number(button.dataset.mark));
      element("viewer").scrollIntoView({ block: "start" });
      panes[0].slider.focus({ preventScroll: true });
    });
  }
  element("viewer").addEventListener("keydown", onKey);
  new ResizeObserver(fit).observe(element("viewer"));
}

try {
  expectReadableCanvas();
  const stack = await decodeBlock(scan.stack);
  const patches = await Promise.all(scan.patches.map(decodeBlock));
  blocks = [stack, ...patches.reverse()];
  if (shownMarks().length) view.cursor = [...shownMarks()[0].place];
  element("viewer").hidden = false;
  element(`window-${view.window}`).checked = true;
  listen();
  fit();
  filterFrom(view.leastScore);
  element("loading").hidden = true;
} catch (error) {
  element("loading").textContent = `The slices cannot be shown: ${error.message}.`;
}
