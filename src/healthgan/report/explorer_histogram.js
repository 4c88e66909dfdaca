// The likeness of synthetic images, kept and rejected, beside that of held-out real images.

const BINS = 48;
const MARGIN = { left: 34, right: 12, top: 8, bottom: 22 };
const SVG = "http://www.w3.org/2000/svg";

class Histogram {
  constructor(svg) {
    this.svg = svg;
    this.part = {};
    for (const name of ["inside", "lines", "kept", "rejected", "real", "ends", "study"]) {
      this.part[name] = svg.appendChild(document.createElementNS(SVG, "path"));
      this.part[name].setAttribute("class", `ex-${name}`);
    }
    this.labels = svg.appendChild(document.createElementNS(SVG, "g"));
  }

  /** Take another class, or another width of the page: what does not change with a rule is drawn here. */
  show(pool, width) {
    this.pool = pool;
    this.width = width;
    this.height = Math.round(Math.min(230, Math.max(150, width * 0.5)));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.svg.style.height = `${this.height}px`;
    this.all = this.shares(pool.likeness);
    this.heldout = pool.heldout && pool.heldout.length ? this.shares(pool.heldout) : null;
    this.top = 1.05 * Math.max(...this.all, ...(this.heldout || [0])) || 1;
    this.part.real.setAttribute("d", this.heldout ? this.outline(this.heldout) : "");
    this.axes();
  }

  /** Where a likeness lies, in pixels. */
  x(value) {
    const [low, high] = this.pool.domain;
    const room = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + ((value * 1000 - low) / (high - low)) * room;
  }

  y(share) {
    return this.height - MARGIN.bottom - (share / this.top) * (this.height - MARGIN.top - MARGIN.bottom);
  }

  edge(bin) {
    const [low, high] = this.pool.domain;
    return (low + ((high - low) * bin) / BINS) / 1000;
  }

  bin(value) {
    const [low, high] = this.pool.domain;
    return Math.min(BINS - 1, Math.floor(((value * 1000 - low) / (high - low)) * BINS));
  }

  /** The share of all of them, constant ones too, that lies in each bin; where `chosen`, of those that it picks. */
  shares(values, chosen = () => true) {
    const found = new Float64Array(BINS);
    for (let i = 0; i < values.length; i++) {
      if (values[i] === values[i] && chosen(i)) found[this.bin(values[i])] += 1 / values.length;
    }
    return found;
  }

  /** Colour the bars by what a rule says, and mark its ends. */
  update(reasons, kind, low, high, study) {
    const kept = this.shares(this.pool.likeness, (i) => reasons[i] === ACCEPTED);
    this.part.kept.setAttribute("d", this.bars(new Float64Array(BINS), kept));
    this.part.rejected.setAttribute("d", this.bars(kept, this.all));
    const [left, right] = [this.x(low), kind === "floor" ? this.width - MARGIN.right : this.x(high)];
    const bottom = this.height - MARGIN.bottom;
    this.part.inside.setAttribute("d", `M${left} ${MARGIN.top}H${right}V${bottom}H${left}Z`);
    const ends = kind === "floor" ? [left] : [left, right];
    this.part.ends.setAttribute("d", ends.map((x) => `M${x} ${MARGIN.top}V${bottom}`).join(""));
    this.part.study.setAttribute("d", study.map((value) => this.mark(this.x(value))).join(""));
  }

  mark(x) {
    return `M${x - 4} ${MARGIN.top - 6}h8l-4 6Z`;
  }

  bars(from, to) {
    let path = "";
    for (let bin = 0; bin < BINS; bin++) {
      if (to[bin] - from[bin] < 1e-12) continue;
      const [left, right] = [this.x(this.edge(bin)) + 0.5, this.x(this.edge(bin + 1)) - 0.5];
      path += `M${left.toFixed(2)} ${this.y(from[bin]).toFixed(2)}V${this.y(to[bin]).toFixed(2)}`;
      path += `H${right.toFixed(2)}V${this.y(from[bin]).toFixed(2)}Z`;
    }
    return path;
  }

  outline(shares) {
    let path = `M${this.x(this.edge(0))} ${this.y(0)}`;
    shares.forEach((share, bin) => {
      path += `V${this.y(share).toFixed(2)}H${this.x(this.edge(bin + 1)).toFixed(2)}`;
    });
    return `${path}V${this.y(0)}`;
  }

  axes() {
    this.labels.replaceChildren();
    const [low, high] = this.pool.domain;
    const step = tick((high - low) / Math.max(2, this.width / 70));
    const bottom = this.height - MARGIN.bottom;
    let path = `M${MARGIN.left} ${bottom}H${this.width - MARGIN.right}`;
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      path += `M${this.x(value / 1000)} ${bottom}v4`;
      this.label(this.x(value / 1000), bottom + 16, (value / 1000).toFixed(step < 10 ? 3 : 2), "middle");
    }
    const rise = tick((this.top * 1000) / 3);
    for (let share = rise; share < this.top * 1000; share += rise) {
      path += `M${MARGIN.left} ${this.y(share / 1000)}H${this.width - MARGIN.right}`;
      this.label(MARGIN.left - 5, this.y(share / 1000) + 4, `${share / 10} %`, "end");
    }
    this.part.lines.setAttribute("d", path);
  }

  label(x, y, text, anchor) {
    const label = this.labels.appendChild(document.createElementNS(SVG, "text"));
    label.setAttribute("x", x);
    label.setAttribute("y", y);
    label.setAttribute("text-anchor", anchor);
    label.textContent = text;
  }
}

/** The least of 1, 2, 5, 10, 20, 50, … that is no less. */
function tick(size) {
  const power = 10 ** Math.floor(Math.log10(Math.max(size, 1)));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= size);
}
