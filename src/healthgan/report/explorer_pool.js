// What one class has: the scores of all its images, the pictures of those that are shown, and what a rule says of each.

const ACCEPTED = 0, CONSTANT = 1, UNLIKE = 2, TOO_ALIKE = 3, COPY_SUSPECT = 4, DUPLICATE = 5;

/** A typed array from base64, little-endian as it was written. */
function decoded(text, Type) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Type(bytes.buffer);
}

/** Equal pictures in rows on one sheet. */
class Sheet {
  constructor(address, columns, height, width, channels) {
    Object.assign(this, { address, columns, height, width, channels, canvas: null });
  }

  /** Decode once, into memory that is quick to copy and to read from. */
  async load() {
    if (this.canvas) return;
    const image = new Image();
    image.src = this.address;
    await image.decode();
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [image.width, image.height];
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.context.drawImage(image, 0, 0);
  }

  /** One picture, as a canvas takes it. */
  picture(slot) {
    const left = (slot % this.columns) * this.width, top = Math.floor(slot / this.columns) * this.height;
    return this.context.getImageData(left, top, this.width, this.height);
  }

  /** Show one picture on a canvas, which becomes as large. */
  draw(canvas, slot) {
    if (canvas.width !== this.width) canvas.width = this.width;
    if (canvas.height !== this.height) canvas.height = this.height;
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(this.picture(slot), 0, 0);
  }

  /** One picture's values, height × width × channels. */
  pixels(slot) {
    const { data } = this.picture(slot), found = new Uint8Array(this.width * this.height * this.channels);
    for (let i = 0; i < found.length; i++) {
      found[i] = data[Math.floor(i / this.channels) * 4 + (i % this.channels)];
    }
    return found;
  }
}

class Pool {
  constructor(raw) {
    const [height, width, channels] = raw.shape;
    this.rules = raw.rules;
    this.likeness = decoded(raw.likeness, Float32Array);
    this.verdict = decoded(raw.verdict, Uint8Array);
    this.heldout = raw.heldout === null ? null : decoded(raw.heldout, Float32Array).filter((value) => value === value);
    this.shown = decoded(raw.shown, Uint32Array);
    this.facts = raw.facts.map(([name, values]) => [name, decoded(values, Int32Array)]);
    this.synthetic = new Sheet(raw.synthetic, raw.columns, height, width, channels);
    this.real = raw.real && new Sheet(raw.real, raw.real_columns, height, width, channels);
    this.slot = raw.real && decoded(raw.slot, Int32Array);
    this.nearest = raw.real && decoded(raw.nearest, Int32Array);
    this.orders = this.sorted();
    this.domain = this.ends();
  }

  get total() {
    return this.likeness.length;
  }

  load() {
    return Promise.all([this.synthetic.load(), this.real && this.real.load()]);
  }

  /** The places of pictures from most to least alike, the other way round, and as they were made. */
  sorted() {
    const likeness = (place) => this.likeness[this.shown[place]];
    const made = Array.from(this.shown.keys());
    const alike = made.filter((place) => likeness(place) === likeness(place));
    const constant = made.filter((place) => likeness(place) !== likeness(place));
    alike.sort((a, b) => likeness(b) - likeness(a) || a - b);
    return { most: [...alike, ...constant], least: [...constant, ...alike.reverse()], made };
  }

  /** The least and greatest likeness that a slider reaches, in thousandths, so that every score lies between. */
  ends() {
    let low = Infinity, high = -Infinity;
    for (const values of [this.likeness, this.heldout || [], this.rules.flatMap((rule) => rule.values)]) {
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    return [Math.floor(low * 1000) - 5, Math.ceil(high * 1000) + 5];
  }

  /** (N,) what becomes of every image: the code of a reason. */
  judged(kind, low, high) {
    const found = new Uint8Array(this.total);
    const copy = kind === "band" ? this.rules.find((rule) => rule.kind === "band").copy : 0;
    for (let i = 0; i < found.length; i++) {
      const value = this.likeness[i];
      found[i] = value !== value ? CONSTANT : judge(value, kind, low, high, copy);
      if (found[i] === ACCEPTED && kind === "band" && this.verdict[i] === DUPLICATE) found[i] = DUPLICATE;
    }
    return found;
  }

  /** How many held-out real images the rule would keep. */
  heldoutKept(kind, low, high) {
    const copy = kind === "band" ? this.rules.find((rule) => rule.kind === "band").copy : 0;
    return this.heldout.reduce((sum, value) => sum + (judge(value, kind, low, high, copy) === ACCEPTED), 0);
  }
}

/** A study compares a floor in single precision, as the likeness itself is, and a band in double precision. */
function judge(value, kind, low, high, copy) {
  if (kind === "floor") return value >= Math.fround(low) ? ACCEPTED : UNLIKE;
  if (value > copy) return COPY_SUSPECT;
  if (value > high) return TOO_ALIKE;
  return value < low ? UNLIKE : ACCEPTED;
}

/** How many have which reason. */
function counted(reasons, labels) {
  const counts = new Array(labels.length).fill(0);
  for (const reason of reasons) counts[reason] += 1;
  return counts;
}

const NUMBERS = new Intl.NumberFormat("en");

function whole(number) {
  return NUMBERS.format(number);
}

function percent(part, of) {
  return `${(of ? (100 * part) / of : 0).toFixed(1)}\u00a0%`;
}

/** A likeness with three digits; a constant image has none. */
function score(likeness) {
  return likeness === likeness ? likeness.toFixed(3).replace("-", "−") : "–";
}
