// Structural similarity of two images as healthgan.ssim defines it, window by window.

const WINDOW = 7;

/**
 * The similarity in every 7×7 window that lies wholly inside the image, and its mean.
 *
 * Wang et al., IEEE TIP 2004, equation 13: uniform windows, sample covariance, K1 = 0.01, K2 = 0.03, the range of
 * the query as data range, the mean over channels. Sums are whole numbers, so nothing is lost before the division.
 *
 * @param {Uint8Array} query height × width × channels
 * @param {Uint8Array} reference of the same shape
 * @returns {{values: Float64Array, rows: number, columns: number, mean: number} | null} null for a constant query
 */
function ssimMap(query, reference, height, width, channels) {
  const [low, high] = extremes(query);
  const range = high - low;
  if (range === 0) return null;
  const c1 = (0.01 * range) ** 2, c2 = (0.03 * range) ** 2;
  const rows = height - WINDOW + 1, columns = width - WINDOW + 1;
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++) {
        const start = (row * width + column) * channels + channel;
        sum += windowSsim(query, reference, start, width * channels, channels, c1, c2);
      }
      values[row * columns + column] = sum / channels;
    }
  }
  return { values, rows, columns, mean: values.reduce((sum, value) => sum + value, 0) / values.length };
}

function windowSsim(x, y, start, rowStep, step, c1, c2) {
  const n = WINDOW * WINDOW;
  let sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
  for (let row = 0; row < WINDOW; row++) {
    for (let column = 0; column < WINDOW; column++) {
      const place = start + row * rowStep + column * step;
      const a = x[place], b = y[place];
      sx += a; sy += b; sxx += a * a; syy += b * b; sxy += a * b;
    }
  }
  const mx = sx / n, my = sy / n;
  const vx = (sxx - sx * mx) / (n - 1), vy = (syy - sy * my) / (n - 1), vxy = (sxy - sx * my) / (n - 1);
  return ((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2));
}

function extremes(values) {
  let low = 255, high = 0;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// Cividis (Nuñez, Anderton and Renslow, PLoS ONE 2018): even in lightness, the same to colour-blind readers.
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

/** The colour of a similarity: 0 or less is dark blue, 1 yellow. */
function similarityColour(value) {
  const place = Math.min(1, Math.max(0, value)) * (CIVIDIS.length - 1);
  const below = Math.min(CIVIDIS.length - 2, Math.floor(place)), part = place - below;
  return CIVIDIS[below].map((channel, i) => Math.round(channel + part * (CIVIDIS[below + 1][i] - channel)));
}
