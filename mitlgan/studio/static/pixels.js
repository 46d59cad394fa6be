// Pictures as pixels.

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

/**
 * The middle square of a picture, at a size, as a canvas.
 *
 * Made smaller by halves first: browsers skip pixels when they shrink a picture by more than that at once.
 *
 * @param {Blob} file Any picture the browser knows.
 * @param {number} size Pixels of a side.
 */
export async function square(file, size) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error("This is no picture that the browser can read; take a PNG, JPEG, WebP or GIF.");
  }
  const side = Math.min(bitmap.width, bitmap.height);
  let from = canvasOf(side);
  from.getContext("2d").drawImage(bitmap, (side - bitmap.width) / 2, (side - bitmap.height) / 2);
  while (from.width >= 2 * size) from = shrunk(from, Math.max(size, Math.floor(from.width / 2)));
  return from.width === size ? from : shrunk(from, size);
}

function shrunk(from, size) {
  const to = canvasOf(size);
  const context = to.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(from, 0, 0, size, size);
  return to;
}
