// The likeness explorer: what other ends of the band, or another floor, would have kept.

const EVERY = -1;

class Explorer {
  constructor(root, data) {
    Object.assign(this, { root, labels: data.labels, texts: data.texts, reason: EVERY });
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.pools = data.pools.map((raw) => new Pool(raw));
    this.histogram = new Histogram(this.part("histogram"));
    this.detail = new Detail(this.part("detail"), data.labels, data.texts, (place) => this.grid.focus(place));
    this.grid = new Grid(this.part("grid"), data.labels, (place) => this.look(place), () => this.tellPage());
    this.listen();
  }

  listen() {
    const on = (name, kind, act) => this.part(name).addEventListener(kind, act);
    on("pools", "change", (event) => this.take(Number(event.target.value)));
    on("rules", "change", (event) => this.follow(event.target.value));
    on("reasons", "change", (event) => this.filter(Number(event.target.value)));
    on("order", "change", () => this.list(0));
    on("low", "input", () => this.slide("low"));
    on("high", "input", () => this.slide("high"));
    on("earlier", "click", () => this.grid.turn(-1));
    on("later", "click", () => this.grid.turn(1));
    new ResizeObserver(() => this.resize()).observe(this.part("plot"));
  }

  /** Show another class. */
  async take(number) {
    const pool = this.pools[number];
    await pool.load();
    this.pool = pool;
    for (const name of ["low", "high"]) [this.part(name).min, this.part(name).max] = pool.domain;
    this.resize();
    const drawn = pool.shown.length, total = pool.total;
    this.part("drawn").textContent = drawn === total ? "" :
      `Pictures of ${whole(drawn)} of the ${whole(total)} images, picked evenly by likeness from those kept and each ` +
      "kind rejected; counts and histogram are of all.";
    this.follow(this.kind && pool.rules.some((rule) => rule.kind === this.kind) ? this.kind : pool.rules[0].kind);
  }

  /** Judge by a band or by a floor, as the study itself has it. */
  follow(kind) {
    this.kind = kind;
    this.rule = this.pool.rules.find((rule) => rule.kind === kind);
    for (const input of this.part("rules").querySelectorAll("input")) input.checked = input.value === kind;
    this.part("lower").textContent = kind === "floor" ? "floor" : "low end";
    this.part("low").setAttribute("aria-label", kind === "floor" ? "Floor" : "Low end");
    this.part("upper").hidden = this.part("high").hidden = kind === "floor";
    this.offer();
    if (this.reason > UNLIKE && kind === "floor") this.reason = EVERY;
    this.set(this.rule.values[0], this.rule.values.at(kind === "floor" ? 0 : 1));
  }

  /** Buttons for the study's own settings, each with what its record says was kept. */
  offer() {
    const ways = this.kind === "floor"
      ? this.rule.values.map((value, i) => [`≥ ${value.toFixed(2)}`, this.rule.kept[i], value, value])
      : [[this.rule.values.map(score).join(" to "), this.rule.kept[0], ...this.rule.values]];
    this.part("study").replaceChildren(...ways.map(([text, kept, low, high]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
      button.append(Object.assign(document.createElement("small"), { textContent: `${whole(kept)} kept` }));
      button.addEventListener("click", () => this.set(low, high));
      Object.assign(button.dataset, { low, high });
      return button;
    }));
  }

  /** An end was moved. It cannot pass the other, and where it meets the study's own it is exactly that. */
  slide(name) {
    const position = Number(this.part(name).value);
    const own = this.kind === "floor" ? this.rule.values : [this.rule.values[name === "low" ? 0 : 1]];
    const value = own.find((found) => Math.round(found * 1000) === position) ?? position / 1000;
    if (name === "low") this.set(this.kind === "floor" ? value : Math.min(value, this.high), this.high);
    else this.set(this.low, Math.max(value, this.low));
  }

  set(low, high) {
    Object.assign(this, { low, high });
    for (const name of ["low", "high"]) {
      const slider = this.part(name);
      slider.value = Math.round(this[name] * 1000);
      slider.setAttribute("aria-valuetext", score(this[name]));
      this.part(`${name}-value`).textContent = score(this[name]);
    }
    const [least, most] = this.pool.domain;
    this.part("low").style.zIndex = low === high && low * 2000 > least + most ? 2 : 1;
    for (const button of this.part("study").children) {
      const here = Number(button.dataset.low) === low && (this.kind === "floor" || Number(button.dataset.high) === high);
      button.setAttribute("aria-pressed", here);
    }
    this.judge();
  }

  judge() {
    this.reasons = this.pool.judged(this.kind, this.low, this.high);
    this.counts = counted(this.reasons, this.labels);
    this.draw();
    this.tell();
    this.list();
  }

  draw() {
    this.histogram.update(this.reasons, this.kind, this.low, this.high, this.rule.values);
  }

  resize() {
    const width = this.part("plot").clientWidth;
    if (!this.pool || !width) return;
    this.histogram.show(this.pool, width);
    if (this.reasons && this.reasons.length === this.pool.total && this.rule) this.draw();
  }

  tell() {
    const { pool, counts } = this, kept = counts[ACCEPTED];
    this.part("kept").textContent = whole(kept);
    this.part("of").textContent = `of ${whole(pool.total)} kept, ${percent(kept, pool.total)}`;
    const real = pool.heldout && pool.heldout.length;
    const passed = real ? pool.heldoutKept(this.kind, this.low, this.high) : 0;
    this.part("heldout").hidden = !real;
    this.part("heldout").textContent = real
      ? `Of ${whole(real)} held-out real images it would keep ${whole(passed)}, ${percent(passed, real)}.` : "";
    for (const choice of this.part("reasons").querySelectorAll("label")) {
      const input = choice.querySelector("input"), reason = Number(input.value);
      choice.hidden = this.kind === "floor" && reason > UNLIKE;
      input.checked = reason === this.reason;
      choice.querySelector("output").textContent = whole(reason === EVERY ? pool.total : counts[reason]);
    }
    this.part("meaning").textContent = this.reason === EVERY ? "" : this.texts[this.kind][this.reason];
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.announce(kept, real, passed), 500);
  }

  /** For screen readers, once the slider rests. */
  announce(kept, real, passed) {
    const said = `${whole(kept)} of ${whole(this.pool.total)} synthetic images kept`;
    const beside = real ? `, and ${whole(passed)} of ${whole(real)} held-out real images` : "";
    this.part("said").textContent = `${said}${beside}.`;
    this.part("histogram").setAttribute("aria-label", `Histogram of likeness: ${said}${beside}.`);
  }

  filter(reason) {
    this.reason = reason;
    this.tell();
    this.list(0);
  }

  list(page) {
    const { shown, orders } = this.pool, sorted = orders[this.part("order").value];
    const places = this.reason === EVERY ? sorted : sorted.filter((place) => this.reasons[shown[place]] === this.reason);
    this.part("none").hidden = places.length > 0;
    this.grid.show(this.pool, places, this.reasons, page);
  }

  tellPage() {
    const { page, pages, places } = this.grid, first = page * PAGE;
    this.part("page").textContent = places.length
      ? `${whole(first + 1)}–${whole(Math.min(first + PAGE, places.length))} of ${whole(places.length)}` : "";
    this.part("earlier").disabled = page === 0;
    this.part("later").disabled = page >= pages - 1;
  }

  look(place) {
    this.detail.show(this.pool, this.grid.places, place, { reasons: this.reasons, kind: this.kind });
  }
}

/** Bring a section to life; it stays hidden where scripts do not run. */
async function start(root) {
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const explorer = new Explorer(root, data);
  explorer.part("body").hidden = false;
  await explorer.take(0);
  root.dataset.ready = "";
  return explorer;
}
