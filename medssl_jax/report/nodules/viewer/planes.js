// The three planes: which part of a slice is seen, where voxels and marks lie in it, and how both are drawn.
// Places are in voxels of the scan, from 0 to its size on each axis, z, y, x; voxel i reaches from i to i + 1.

// As radiologists hang them; see views.py.
const PLANES = {
  axial: { axis: 0, rows: 1, columns: 2, headUp: false },
  coronal: { axis: 1, rows: 0, columns: 2, headUp: true },
  sagittal: { axis: 2, rows: 0, columns: 1, headUp: true },
};

// The part of a plane that is seen: the whole at zoom 1, else what lies round the cursor, as far as the scan reaches;
// a scan of a few slices lies in the middle of its frame.
function fieldOf(plane, scan, view) {
  const along = (axis, isTurned) => {
    const length = scan.frame[axis] / view.zoom;
    const room = scan.size[axis] - length;
    const middle = isTurned ? scan.size[axis] - view.cursor[axis] : view.cursor[axis];
    return [room < 0 ? room / 2 : Math.min(Math.max(middle - length / 2, 0), room), length];
  };
  const [left, width] = along(plane.columns, false);
  const [top, height] = along(plane.rows, plane.headUp);
  return { left, width, top, height };
}

// From voxels to pixels of a canvas that shows a field.
function project(plane, scan, field, canvas) {
  const acrossPixels = canvas.width / field.width;
  const downPixels = canvas.height / field.height;
  return {
    acrossPixels,
    downPixels,
    x: (column) => (column - field.left) * acrossPixels,
    y: (row) => ((plane.headUp ? scan.size[plane.rows] - row : row) - field.top) * downPixels,
  };
}

// The place in the scan under a point of the canvas.
function placeAt(plane, scan, view, canvas, x, y) {
  const field = fieldOf(plane, scan, view);
  const row = field.top + (y / canvas.height) * field.height;
  const place = [...view.cursor];
  place[plane.columns] = field.left + (x / canvas.width) * field.width;
  place[plane.rows] = plane.headUp ? scan.size[plane.rows] - row : row;
  return place;
}

function indexIn(scan, axis, place) {
  return Math.min(Math.max(Math.floor(place), 0), scan.size[axis] - 1);
}

// Marks that a slice cuts, the best last: it is drawn over the others.
function marksIn(plane, scan, view) {
  const middle = indexIn(scan, plane.axis, view.cursor[plane.axis]) + 0.5;
  const reaches = (mark) => Math.max(mark.diameter_mm / 2, scan.spacing[plane.axis] / 2);
  return scan.marks
    .filter((mark) => mark.score >= view.leastScore)
    .filter((mark) => Math.abs(mark.place[plane.axis] - middle) * scan.spacing[plane.axis] <= reaches(mark))
    .sort((one, other) => one.score - other.score || other.number - one.number);
}

// The square of a mark in pixels.
function squareOf(plane, scan, at, mark) {
  const width = (mark.diameter_mm / scan.spacing[plane.columns]) * at.acrossPixels;
  const height = (mark.diameter_mm / scan.spacing[plane.rows]) * at.downPixels;
  const [x, y] = [at.x(mark.place[plane.columns]), at.y(mark.place[plane.rows])];
  return { left: x - width / 2, top: y - height / 2, width, height };
}

// From blue over yellow to red, which eyes that see no red tell apart by brightness.
function colourOf(score) {
  const stops = [[86, 160, 255], [255, 214, 40], [255, 88, 60]];
  const place = Math.min(Math.max(score, 0), 1) * (stops.length - 1);
  const [below, above] = [stops[Math.floor(place)], stops[Math.ceil(place)]];
  const mixed = below.map((level, k) => Math.round(level + (above[k] - level) * (place % 1)));
  return `rgb(${mixed.join(", ")})`;
}

// Draws a plane; `blocks` are the stack and then the patches, the best mark's last.
function drawPlane(canvas, plane, scan, view, blocks, table) {
  const context = canvas.getContext("2d");
  const at = project(plane, scan, fieldOf(plane, scan, view), canvas);
  const index = indexIn(scan, plane.axis, view.cursor[plane.axis]);
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  for (const block of blocks) {
    const within = Math.floor((index - block.low[plane.axis]) / block.reduction[plane.axis]);
    if (within < 0 || within >= block.size[plane.axis]) continue;
    const end = (axis) => block.low[axis] + block.size[axis] * block.reduction[axis];
    const [left, right] = [block.low[plane.columns], end(plane.columns)];
    const [top, bottom] = plane.headUp ? [end(plane.rows), block.low[plane.rows]] : [block.low[plane.rows], end(plane.rows)];
    const [x, y] = [at.x(left), at.y(top)];
    const [width, height] = [at.x(right) - x, at.y(bottom) - y];
    context.save();
    // Half a voxel at a patch's edge has no neighbour to be smoothed with: what lies below is left there.
    const edge = block === blocks[0] ? [0, 0] : [at.acrossPixels / 2, at.downPixels / 2];
    context.beginPath();
    context.rect(x + edge[0], y + edge[1], width - 2 * edge[0], height - 2 * edge[1]);
    context.clip();
    context.drawImage(slicePicture(block, plane, within, table), x, y, width, height);
    context.restore();
  }
  drawCursor(context, canvas, at, plane, view);
  if (view.showsMarks) for (const mark of marksIn(plane, scan, view)) drawMark(context, plane, scan, at, mark, view);
}

// Ticks at the edges where the two other planes cut this one.
function drawCursor(context, canvas, at, plane, view) {
  const [x, y] = [at.x(view.cursor[plane.columns]), at.y(view.cursor[plane.rows])];
  const tick = 8 * view.pixelRatio;
  context.strokeStyle = "rgba(255, 255, 255, .7)";
  context.lineWidth = view.pixelRatio;
  context.beginPath();
  for (const end of [0, canvas.height]) {
    context.moveTo(x, end);
    context.lineTo(x, Math.abs(end - tick));
  }
  for (const end of [0, canvas.width]) {
    context.moveTo(end, y);
    context.lineTo(Math.abs(end - tick), y);
  }
  context.stroke();
}

function drawMark(context, plane, scan, at, mark, view) {
  const square = squareOf(plane, scan, at, mark);
  const { width: across, height: down } = context.canvas;
  // Of a mark that lies beyond what is seen the number alone would stand at the edge.
  if (square.left >= across || square.left + square.width <= 0) return;
  if (square.top >= down || square.top + square.height <= 0) return;
  const isChosen = mark.number === view.chosen;
  const line = (isChosen ? 3 : 1.5) * view.pixelRatio;
  for (const [colour, width] of [["rgba(0, 0, 0, .6)", line + 2 * view.pixelRatio], [colourOf(mark.score), line]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(square.left, square.top, square.width, square.height);
  }
  const text = String(mark.number);
  const size = 12 * view.pixelRatio;
  context.font = `700 ${size}px system-ui, sans-serif`;
  const width = context.measureText(text).width + size / 2;
  const left = Math.min(square.left + square.width, context.canvas.width - width);
  const top = Math.max(square.top - size * 1.2, 0);
  context.fillStyle = colourOf(mark.score);
  context.fillRect(left, top, width, size * 1.2);
  context.fillStyle = "#000";
  context.fillText(text, left + size / 4, top + size);
}
