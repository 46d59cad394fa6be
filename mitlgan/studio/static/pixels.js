// Pictures as pixels.

import { onChange } from "./app.js";

const UNSEEN = { heic: "HEIC", heif: "HEIC", hif: "HEIC", tif: "TIFF", tiff: "TIFF", jp2: "JPEG 2000", jxl: "JPEG XL", psd: "Photoshop", dng: "raw", cr2: "raw", cr3: "raw", nef: "raw", arw: "raw" };
let mostBytes = Infinity;

/** The picture among files, or null. A file whose name has no suffix has no type, and may be one: who decodes it will say. */
export function pictureIn(files) {
  const all = [...files];
  return all.find((file) => file.type.startsWith("image/")) ?? all.find((file) => !file.type) ?? null;
}

/** A picture's bytes under a picture's type, whatever its name says; the server goes by the bytes. */
export const asPicture = (file) => (file.type.startsWith("image/") ? file : file.slice(0, file.size, "image/png"));

/** An image that is ready to be drawn. */
export async function loaded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

/** A canvas of so many pixels. */
export function canvasOf(width, height = width) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

const megabytes = (bytes) => `${(Math.ceil(bytes / 1e5) / 10).toLocaleString("en")} MB`;

async function bitmapOf(file) {
  if (file.size > mostBytes) {
    throw new Error(`The file has ${megabytes(file.size)}; at most ${megabytes(mostBytes)} can be sent: save it as a smaller JPEG.`);
  }
  try {
    return await createImageBitmap(file);
  } catch {
    const format = UNSEEN[/\w+$/.exec(file.name || file.type)?.[0].toLowerCase()];
    if (format) throw new Error(`This browser cannot show ${format} files; save the picture as PNG or JPEG, and take that.`);
    throw new Error("This is no picture that the browser can read; take a PNG, JPEG, WebP or GIF.");
  }
}

onChange("studio", ({ max_picture_bytes: limit }) => { mostBytes = limit; });

/**
 * A whole picture as a canvas, its longer side at most so long.
 *
 * @param {Blob} file Any picture the browser knows.
 * @param {number} longest Pixels of the longer side.
 */
export async function fitted(file, longest) {
  const bitmap = await bitmapOf(file);
  const factor = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  let from = canvasOf(bitmap.width, bitmap.height);
  from.getContext("2d").drawImage(bitmap, 0, 0);
  const [width, height] = [Math.max(1, Math.round(bitmap.width * factor)), Math.max(1, Math.round(bitmap.height * factor))];
  while (from.width >= 2 * width && from.height >= 2 * height) from = shrunk(from, Math.max(width, from.width >> 1), Math.max(height, from.height >> 1));
  return { canvas: from.width === width ? from : shrunk(from, width, height), width: bitmap.width, height: bitmap.height };
}

/** The bytes of a picture as a data URI; what a picture it is, the server sees by its bytes. */
export const dataUri = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new Error("The file cannot be read; choose it again."));
  reader.readAsDataURL(asPicture(file));
});

/**
 * The middle square of a picture, at a size, as a canvas.
 *
 * Made smaller by halves first: browsers skip pixels when they shrink a picture by more than that at once.
 *
 * @param {Blob} file Any picture the browser knows.
 * @param {number} size Pixels of a side.
 */
export async function square(file, size) {
  const bitmap = await bitmapOf(file);
  const side = Math.min(bitmap.width, bitmap.height);
  let from = canvasOf(side);
  from.getContext("2d").drawImage(bitmap, (side - bitmap.width) / 2, (side - bitmap.height) / 2);
  while (from.width >= 2 * size) from = shrunk(from, Math.max(size, Math.floor(from.width / 2)));
  return from.width === size ? from : shrunk(from, size);
}

function shrunk(from, width, height = width) {
  const to = canvasOf(width, height);
  const context = to.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(from, 0, 0, width, height);
  return to;
}
