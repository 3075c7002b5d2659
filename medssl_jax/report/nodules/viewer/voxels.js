// Voxels of the scan, from the JPEGs in the page to grey levels, and their pictures in a window of HU.

"use strict";

// Where a browser hides what lies in a canvas from scripts, no slice can be drawn.
function expectReadableCanvas() {
  const context = newCanvas(8, 8).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "rgb(37, 74, 111)";
  context.fillRect(0, 0, 8, 8);
  const read = context.getImageData(0, 0, 8, 8).data;
  if (read.some((level, place) => level !== [37, 74, 111, 255][place % 4])) {
    throw new Error("this browser protects canvases from being read (against fingerprinting): allow it for this file");
  }
}

function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

// The grey levels of a block (see page_voxels.py), slice after slice, row after row.
async function decodeBlock(block) {
  const [depth, height, width] = block.size_zyx;
  const [tileHeight, tileWidth] = block.tile;
  const levels = new Uint8Array(depth * height * width);
  let slice = 0;
  for (const sheet of block.sheets) {
    const image = new Image();
    image.src = sheet;
    await image.decode();
    const context = newCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const across = Math.floor(image.width / tileWidth);
    const inSheet = Math.min(across * Math.floor(image.height / tileHeight), block.rows * block.columns, depth - slice);
    for (let tile = 0; tile < inSheet; tile++, slice++) {
      const left = (tile % across) * tileWidth;
      const top = Math.floor(tile / across) * tileHeight;
      const rgba = context.getImageData(left, top, width, height).data;
      const start = slice * height * width;
      for (let pixel = 0; pixel < height * width; pixel++) levels[start + pixel] = rgba[4 * pixel];
    }
  }
  return { low: block.low_zyx, size: block.size_zyx, reduction: block.reduction_zyx, levels };
}

// The brightness of each grey level in a window of HU.
function brightnessTable(codes, huOfCodes, [lowest, highest]) {
  const table = new Uint8ClampedArray(256);
  let knot = 0;
  for (let code = 0; code < 256; code++) {
    while (knot < codes.length - 2 && code > codes[knot + 1]) knot++;
    const share = (code - codes[knot]) / (codes[knot + 1] - codes[knot]);
    const hu = huOfCodes[knot] + share * (huOfCodes[knot + 1] - huOfCodes[knot]);
    table[code] = (255 * (hu - lowest)) / (highest - lowest);
  }
  return table;
}

// One slice of a block as a picture, its rows turned over where the head is above.
function slicePicture(block, plane, index, table) {
  const strides = [block.size[1] * block.size[2], block.size[2], 1];
  const [height, width] = [block.size[plane.rows], block.size[plane.columns]];
  const canvas = newCanvas(width, height);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let row = 0; row < height; row++) {
    const from = plane.headUp ? height - 1 - row : row;
    let voxel = index * strides[plane.axis] + from * strides[plane.rows];
    for (let column = 0; column < width; column++, voxel += strides[plane.columns]) {
      pixels[row * width + column] = 0xff000000 | (0x010101 * table[block.levels[voxel]]);
    }
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}
