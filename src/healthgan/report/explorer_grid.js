// A page of synthetic images, each beside its nearest real one: a list of buttons that arrow keys walk through.

const PAGE = 30;

class Grid {
  /**
   * @param {HTMLElement} list holds the buttons
   * @param {string[]} labels of the reasons
   * @param {(place: number) => void} open called with the picture that was chosen
   * @param {() => void} turned called when another page is shown
   */
  constructor(list, labels, open, turned) {
    Object.assign(this, { list, labels, open, turned, page: 0, places: [], pool: null, reasons: null });
    this.cells = Array.from({ length: PAGE }, (_, number) => this.cell(number));
    list.addEventListener("keydown", (event) => this.key(event));
  }

  cell(number) {
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = -1;
    const pair = button.appendChild(document.createElement("span"));
    pair.className = "ex-pair";
    const synthetic = pair.appendChild(document.createElement("canvas"));
    const real = pair.appendChild(document.createElement("canvas"));
    const score = button.appendChild(document.createElement("span"));
    score.className = "ex-score";
    button.addEventListener("click", () => this.open(this.places[this.page * PAGE + number]));
    button.addEventListener("focus", () => this.rove(number));
    return { item: document.createElement("li"), button, synthetic, real, score };
  }

  get pages() {
    return Math.max(1, Math.ceil(this.places.length / PAGE));
  }

  /** Show the pictures at these places of a pool, from the page that is open on, as far as there is one. */
  show(pool, places, reasons, page = this.page) {
    const last = Math.max(0, Math.ceil(places.length / PAGE) - 1);
    Object.assign(this, { pool, places, reasons, page: Math.max(0, Math.min(page, last)) });
    const here = places.slice(this.page * PAGE, (this.page + 1) * PAGE);
    this.cells.forEach((cell, number) => {
      if (number < here.length) this.fill(cell, here[number]);
      else cell.item.remove();
    });
    const focused = this.cells.findIndex((cell) => cell.button.tabIndex === 0);
    this.rove(Math.max(0, Math.min(focused, here.length - 1)));
    this.turned();
  }

  fill(cell, place) {
    const { pool } = this, image = pool.shown[place], reason = this.reasons[image];
    if (cell.pool !== pool || cell.place !== place) this.draw(cell, place);
    cell.score.textContent = score(pool.likeness[image]);
    if (reason !== ACCEPTED) {
      cell.score.append(Object.assign(document.createElement("span"), { textContent: this.labels[reason] }));
    }
    cell.button.className = reason === ACCEPTED ? "ex-cell" : "ex-cell ex-out";
    cell.button.setAttribute("aria-label", described(pool, place, this.labels[reason]));
    if (!cell.item.isConnected) {
      cell.item.append(cell.button);
      this.list.append(cell.item);
    }
  }

  draw(cell, place) {
    const { pool } = this, slot = pool.real ? pool.slot[place] : -1;
    Object.assign(cell, { pool, place });
    pool.synthetic.draw(cell.synthetic, place);
    cell.real.hidden = !pool.real;
    cell.real.classList.toggle("ex-none", slot < 0);
    if (slot >= 0) pool.real.draw(cell.real, slot);
  }

  /** One button of the page takes part in the tab order. */
  rove(number) {
    this.cells.forEach((cell, i) => {
      cell.button.tabIndex = i === number ? 0 : -1;
    });
  }

  /** Put the focus on a picture, on whatever page it is; else on the first of the page, else nowhere. */
  focus(place) {
    const number = this.places.indexOf(place);
    if (number >= 0 && Math.floor(number / PAGE) !== this.page) {
      this.show(this.pool, this.places, this.reasons, Math.floor(number / PAGE));
    }
    const cell = this.cells[Math.max(0, number % PAGE)];
    if (cell.item.isConnected) cell.button.focus();
  }

  turn(by) {
    this.show(this.pool, this.places, this.reasons, this.page + by);
  }

  key(event) {
    const number = this.cells.findIndex((cell) => cell.button === document.activeElement);
    if (number < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const place = this.page * PAGE + number, last = this.places.length - 1;
    const to = {
      ArrowRight: place + 1,
      ArrowLeft: place - 1,
      ArrowDown: place + this.columns(),
      ArrowUp: place - this.columns(),
      Home: 0,
      End: last,
      PageDown: Math.min(last, place + PAGE),
      PageUp: Math.max(0, place - PAGE),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to <= last) this.focus(this.places[to]);
  }

  /** How many stand in a row. */
  columns() {
    const top = this.cells[0].item.offsetTop;
    const next = this.cells.findIndex((cell) => cell.item.isConnected && cell.item.offsetTop > top);
    return next < 0 ? this.places.length : next;
  }
}

/** What a picture is, for those who cannot see it. */
function described(pool, place, label) {
  const image = pool.shown[place];
  const parts = [`Synthetic image ${whole(image + 1)}`, label];
  if (pool.likeness[image] === pool.likeness[image]) parts.splice(1, 0, `likeness ${score(pool.likeness[image])}`);
  if (pool.real && pool.slot[place] >= 0) parts.push(`beside training image ${pool.nearest[place]}`);
  return parts.join(", ");
}
