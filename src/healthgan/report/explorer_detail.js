// One synthetic image and its nearest real one, large, and where the two are alike.

class Detail {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {string[]} labels of the reasons
   * @param {Object<string, string[]>} texts what the reasons mean, by kind of rule
   * @param {(place: number) => void} closed called with the picture that was seen last
   */
  constructor(dialog, labels, texts, closed) {
    Object.assign(this, { dialog, labels, texts, number: 0 });
    this.part = (name) => dialog.querySelector(`[data-part="${name}"]`);
    this.part("earlier").addEventListener("click", () => this.step(-1));
    this.part("later").addEventListener("click", () => this.step(1));
    this.part("close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => closed(this.places[this.number]));
    dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) this.step(by);
    });
  }

  /** Open on one of these pictures; `judged` tells the rule and what it says of every image. */
  show(pool, places, place, judged) {
    Object.assign(this, { pool, places, judged, number: places.indexOf(place) });
    this.draw();
    this.dialog.showModal();
    this.part("close").focus();
  }

  step(by) {
    const to = this.number + by;
    if (to < 0 || to >= this.places.length) return;
    this.number = to;
    this.draw();
  }

  draw() {
    const { pool } = this, place = this.places[this.number], image = pool.shown[place];
    this.part("title").textContent = `Synthetic image ${whole(image + 1)}`;
    this.part("place").textContent =
      `${whole(this.number + 1)} of the ${whole(this.places.length)} listed`;
    this.part("earlier").disabled = this.number === 0;
    this.part("later").disabled = this.number === this.places.length - 1;
    pool.synthetic.draw(this.picture("synthetic", "The synthetic image"), place);
    const slot = pool.real ? pool.slot[place] : -1;
    for (const panel of this.dialog.querySelectorAll("[data-real]")) panel.hidden = slot < 0;
    const map = slot < 0 ? null : this.compare(place, slot);
    this.facts(place, image, map);
  }

  picture(name, label) {
    const canvas = this.part(name);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    return canvas;
  }

  /** The nearest real image and the map of similarity, each value at the middle of its window. */
  compare(place, slot) {
    const { synthetic, real } = this.pool, { height, width, channels } = synthetic;
    real.draw(this.picture("real", `Training image ${this.pool.nearest[place]}, the nearest real one`), slot);
    const map = ssimMap(synthetic.pixels(place), real.pixels(slot), height, width, channels);
    const canvas = this.picture("map", `Map of similarity, mean ${score(map.mean)}, lowest ${score(Math.min(...map.values))}`);
    canvas.width = width;
    canvas.height = height;
    canvas.dataset.mean = map.mean;
    const pixels = new ImageData(width, height), border = (WINDOW - 1) / 2;
    map.values.forEach((value, i) => {
      const row = Math.floor(i / map.columns) + border, column = (i % map.columns) + border;
      pixels.data.set([...similarityColour(value), 255], (row * width + column) * 4);
    });
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
    return map;
  }

  facts(place, image, map) {
    const { pool } = this, { reasons, kind } = this.judged, likeness = pool.likeness[image];
    const rows = [["Verdict", this.labels[reasons[image]], this.texts[kind][reasons[image]]]];
    if (likeness === likeness) rows.push(["Likeness", score(likeness), this.rank(likeness)]);
    if (map) rows.push(["SSIM map", `mean ${score(map.mean)}`, "computed here from the two images"]);
    if (map) rows.push(["Nearest real", `training image ${pool.nearest[place]}`, "counted from 0 in the training split"]);
    for (const [name, values] of pool.facts) rows.push([name, whole(values[place]), ""]);
    this.part("facts").replaceChildren(...rows.flatMap(([name, value, note]) => {
      const term = Object.assign(document.createElement("dt"), { textContent: name });
      const said = Object.assign(document.createElement("dd"), { textContent: value });
      if (note) said.append(Object.assign(document.createElement("small"), { textContent: note }));
      return [term, said];
    }));
  }

  rank(likeness) {
    const { heldout } = this.pool;
    if (!heldout || !heldout.length) return "best SSIM to a training image";
    const below = heldout.filter((value) => value < likeness).length;
    return `higher than that of ${whole(below)} of ${whole(heldout.length)} held-out real images`;
  }
}
