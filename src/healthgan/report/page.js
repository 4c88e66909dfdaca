"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // The colours: by the system, or as the reader chose; kept between pages where the browser allows it.
  const themes = ["system", "dark", "light"];
  const recall = () => { try { return localStorage.getItem("healthgan-theme"); } catch { return null; } };
  const keep = (name) => { try { localStorage.setItem("healthgan-theme", name); } catch { /* not allowed */ } };
  const dress = (name) => {
    if (name === "system") delete root.dataset.theme; else root.dataset.theme = name;
  };
  let theme = themes.includes(recall()) ? recall() : "system";
  dress(theme);

  const say = (text) => { document.getElementById("said").textContent = text; };

  function themeButton() {
    const button = document.getElementById("theme");
    const name = () => { button.textContent = `Theme: ${theme}`; };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      dress(theme);
      keep(theme);
      name();
    });
  }

  // Sorting: numbers by their full value and the largest first, words from a to z; what is missing stays last.
  const read = (row, place) => {
    const cell = row.cells[place];
    if (!cell) return null;
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const lines = [...cell.childNodes].filter((node) => node.nodeName !== "SMALL");
    const text = lines.map((node) => node.textContent).join("").trim();
    return text === "" || text === "–" ? null : text.toLowerCase();
  };
  const order = (a, b) => (a < b ? -1 : Number(a > b));

  function sortable(table) {
    const body = table.tBodies[0];
    if (!body || !table.tHead || body.rows.length < 2) return;
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, place) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const rows = [...body.rows];
        const numeric = rows.some((row) => typeof read(row, place) === "number");
        const before = head.getAttribute("aria-sort");
        const rising = before ? before === "descending" : !numeric;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const keyed = rows.map((row) => [read(row, place), row]);
        keyed.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          return rising ? order(a, b) : order(b, a);
        });
        body.append(...keyed.map(([, row]) => row));
        say(`Sorted by ${button.textContent.trim()}, ${rising ? "rising" : "falling"}`);
      });
    });
  }

  function copyButton(button) {
    const name = button.textContent;
    let timer = 0;
    button.addEventListener("click", async () => {
      const copied = await copy(button.dataset.csv);
      button.textContent = copied ? "Copied" : "Copying is not allowed here";
      say(button.textContent);
      clearTimeout(timer);
      timer = setTimeout(() => { button.textContent = name; }, 1600);
    });
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "unseen";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  // A box is a stop of the tabulator only while there is something to scroll in it.
  const stops = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0; else target.removeAttribute("tabindex");
    }
  });

  function followSections() {
    const links = new Map([...document.querySelectorAll(".bar a")].map((link) => [link.hash.slice(1), link]));
    const seen = new Set();
    const watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) seen.add(target.id); else seen.delete(target.id);
      }
      const here = [...links.keys()].find((id) => seen.has(id));
      for (const [id, link] of links) {
        if (id === here) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
      }
    }, { rootMargin: "-15% 0px -70% 0px" });
    for (const id of links.keys()) {
      const section = document.getElementById(id);
      if (section) watch.observe(section);
    }
  }

  // On paper nothing is folded away.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });

  document.addEventListener("DOMContentLoaded", () => {
    themeButton();
    document.querySelectorAll(".grid table").forEach(sortable);
    document.querySelectorAll("button.copy").forEach(copyButton);
    document.querySelectorAll(".scroll").forEach((box) => stops.observe(box));
    followSections();
  });
})();
