"use strict";

const BLINK = 600; // milliseconds; slower than three flashes a second, which may hurt
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const hidden = new Set(); // methods that are not looked at
let current = null; // the card that keys act on

/** Text is set as text only: prompts and names may hold markup. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A name that may break after its marks. */
function folding(name) {
  const parts = name.split(/(?<=,)(?=\S)|(?<=:)(?=[^,\s]*=)/);
  return parts.flatMap((part, i) => (i ? [element("wbr"), part] : [part]));
}

function fill(select, options) {
  select.append(...options.map(([value, text]) => element("option", { value, textContent: text })));
}

// Cards

function told(scores) {
  return data.metrics.map(
    (metric, i) => `${metric.name} ${scores[i] === null ? "–" : scores[i].toFixed(3)}`);
}

/** Few pixels are shown as they are, not smoothed. */
function sharpen(event) {
  event.target.classList.toggle("tiny", event.target.naturalWidth < 100);
}

function thumbnail(card, shot) {
  const image = element("img", {
    loading: "lazy", decoding: "async", src: data.pictures[shot.picture][0], alt: shot.title,
  });
  image.addEventListener("load", sharpen);
  const button = element("button", { type: "button", title: shot.title }, image);
  button.addEventListener("click", () => look(card, card.shots.indexOf(shot)));
  return button;
}

function column(card, title, shots, method) {
  const strip = element("div", { className: "strip" });
  for (const shot of shots) {
    const figure = element("figure", {}, thumbnail(card, shot));
    if (shot.scores) {
      shot.lines = told(shot.scores).map((textContent) => element("div", { textContent }));
      figure.append(element("figcaption", {}, ...shot.lines));
    }
    strip.append(figure);
  }
  const made = element("section", { className: "column" }, element("h3", {}, ...folding(title)), strip);
  if (method === undefined) made.classList.add("references");
  else made.dataset.method = method;
  return made;
}

function shotsOf(card) {
  const where = `${card.subject}, ${card.prompt}`;
  const plain = (title) => (picture) => ({ picture, title: `${title}: ${where}`, method: null });
  card.given = card.source === null ? [] : [plain("to be edited")(card.source)];
  card.references = data.subjects[card.subject].map(plain("reference"));
  card.answers = card.images.map((images, method) =>
    images.map((image) => ({
      ...image, method, title: `${data.methods[method]}: ${where}, seed ${image.seed}`,
    })));
  card.shots = [...card.given, ...card.references, ...card.answers.flat()];
}

function drawCard(card, place) {
  card.place = place;
  shotsOf(card);
  const columns = element("div", { className: "columns" });
  if (card.given.length) columns.append(column(card, "to be edited", card.given));
  if (card.references.length) columns.append(column(card, "references", card.references));
  card.answers.forEach((shots, method) =>
    columns.append(column(card, data.methods[method], shots, method)));
  const title = element("h2", {}, `${card.subject} `, element("small", { textContent: card.prompt }));
  card.node = element("article", { className: "card", tabIndex: -1 }, title, columns);
  card.node.addEventListener("click", () => choose(card));
  card.text = `${card.subject} ${card.prompt}`.toLowerCase();
}

// Order and filters

function mean(numbers) {
  const known = numbers.filter((number) => number !== null);
  return known.reduce((sum, number) => sum + number, 0) / known.length;
}

/** Means of the methods that are looked at, turned so that more is better. */
function means(card, metric) {
  const sign = data.metrics[metric].higher ? 1 : -1;
  return card.answers
    .filter((_, method) => !hidden.has(method))
    .map((shots) => sign * mean(shots.map((shot) => shot.scores[metric])));
}

const ORDERS = {
  suite: (card) => -card.place,
  best: (card, metric) => mean(means(card, metric)),
  worst: (card, metric) => -mean(means(card, metric)),
  disputed: (card, metric) => Math.max(...means(card, metric)) - Math.min(...means(card, metric)),
};

function wanted(card) {
  const is = (id, value) => at(id).value === "" || at(id).value === value;
  return is("subject", card.subject) && is("prompt", card.template) &&
    is("kind", card.kind) &&
    card.text.includes(at("search").value.toLowerCase());
}

const shown = () => [...at("cards").children].map((node) => node.card).filter((card) => !card.node.hidden);

function markBest(metric) {
  const sign = data.metrics[metric].higher ? 1 : -1;
  for (const card of data.cards) {
    const seen = card.answers.flat().filter((shot) => !hidden.has(shot.method));
    const best = Math.max(...seen.map((shot) => sign * (shot.scores[metric] ?? -Infinity)));
    for (const shot of seen) {
      shot.lines.forEach((line, i) =>
        line.classList.toggle("best", i === metric && sign * shot.scores[metric] === best));
    }
  }
}

function arrange() {
  const metric = Number(at("metric").value);
  const worth = new Map(data.cards.map((card) => [card, ORDERS[at("order").value](card, metric)]));
  const ordered = [...data.cards].sort((a, b) => worth.get(b) - worth.get(a) || a.place - b.place);
  at("cards").append(...ordered.map((card) => card.node));
  markBest(metric);
  filter();
}

function filter() {
  for (const card of data.cards) card.node.hidden = !wanted(card);
  at("count").textContent = `${shown().length} of ${data.cards.length} prompts`;
}

function toggle(method, visible) {
  hidden[visible ? "delete" : "add"](method);
  for (const node of document.querySelectorAll(`[data-method="${method}"]`)) node.hidden = !visible;
  arrange();
}

function choose(card) {
  current?.node.removeAttribute("aria-current");
  current = card;
  card.node.setAttribute("aria-current", "true");
}

function step(by) {
  const cards = shown();
  if (!cards.length) return null;
  const from = cards.indexOf(current);
  const next = cards[Math.min(Math.max(from < 0 ? 0 : from + by, 0), cards.length - 1)];
  choose(next);
  next.node.scrollIntoView({ block: "nearest" });
  return next;
}

// Lightbox

const box = { card: null, index: 0, timer: null, swapped: false };
const shots = () => box.card.shots.filter((shot) => !hidden.has(shot.method));
const shot = () => shots()[box.index];

function look(card, index) {
  choose(card);
  box.card = card;
  if (!shots().length) return;
  box.index = Math.max(shots().indexOf(card.shots[index]), 0);
  if (!at("lightbox").open) at("lightbox").showModal();
  show();
}

/** The other method's image of the same seed; null where nothing is compared. */
function partner() {
  const method = at("against").value;
  if (method === "" || shot().method === null) return null;
  return box.card.answers[Number(method)].find((other) => other.seed === shot().seed) ?? null;
}

function draw() {
  const other = partner();
  const front = other && box.swapped ? other : shot();
  at("here").style.visibility = front === other ? "hidden" : "";
  at("there").style.visibility = front === other ? "" : "hidden";
  at("caption").textContent = front.title;
  at("scores").textContent = front.scores ? told(front.scores).join(" · ") : "";
  at("lightbox").dataset.front = front.method ?? "";
}

function show() {
  const other = partner();
  at("here").src = data.pictures[shot().picture][1];
  if (other) at("there").src = data.pictures[other.picture][1];
  else at("there").removeAttribute("src");
  box.swapped = false;
  clearInterval(box.timer);
  box.timer = other ? setInterval(swap, BLINK) : null;
  draw();
}

function swap() {
  box.swapped = !box.swapped;
  draw();
}

function swapByHand() {
  clearInterval(box.timer);
  box.timer = null;
  if (partner()) swap();
}

function turn(by) {
  const count = shots().length;
  box.index = (box.index + by + count) % count;
  show();
}

/** The same place in another prompt; the last image where it has fewer. */
function turnCard(by) {
  const next = step(by);
  if (!next) return;
  box.card = next;
  box.index = Math.min(box.index, shots().length - 1);
  show();
}

function blink() {
  const methods = data.methods.map((_, method) => method).filter((method) => !hidden.has(method));
  if (!methods.length) return;
  if (shot().method === null) box.index = shots().findIndex((one) => one.method !== null);
  const others = methods.filter((method) => method !== shot().method);
  at("against").value = at("against").value === "" && others.length ? others[0] : "";
  show();
}

// Keys

const inBox = {
  ArrowLeft: () => turn(-1), ArrowRight: () => turn(1), j: () => turnCard(1), k: () => turnCard(-1),
  ArrowDown: () => turnCard(1), ArrowUp: () => turnCard(-1), b: blink, " ": swapByHand,
};
const onPage = {
  j: () => step(1), k: () => step(-1), Enter: () => current && look(current, 0),
  b: () => current && (look(current, 0), blink()), "/": () => at("search").focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=checkbox]), select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "Enter" && event.target.matches("button, a, summary")) return;
  const act = (at("lightbox").open ? inBox : onPage)[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// Begin

function begin() {
  fill(at("metric"), data.metrics.map((metric, i) => [i, metric.name]));
  fill(at("subject"), [["", "all"], ...Object.keys(data.subjects).map((name) => [name, name])]);
  const templates = [...new Set(data.cards.map((card) => card.template))];
  fill(at("prompt"), [["", "all"], ...templates.map((text) => [text, text])]);
  const kinds = [...new Set(data.cards.map((card) => card.kind).filter(Boolean))];
  fill(at("kind"), [["", "all"], ...kinds.map((kind) => [kind, kind])]);
  at("kinds").hidden = kinds.length < 2;
  fill(at("against"), [["", "nothing"], ...data.methods.map((name, i) => [i, name])]);
  data.methods.forEach((name, method) => {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => toggle(method, box.checked));
    at("methods").append(element("label", {}, box, ` ${name}`));
  });
  data.cards.forEach((card, place) => {
    drawCard(card, place);
    card.node.card = card;
  });
  // The stylesheet knows how wide the window is.
  at("size").value = parseInt(getComputedStyle(document.documentElement).getPropertyValue("--size"), 10);
  for (const id of ["order", "metric"]) at(id).addEventListener("change", arrange);
  for (const id of ["subject", "prompt", "kind", "search"]) at(id).addEventListener("input", filter);
  at("size").addEventListener("input", () =>
    document.documentElement.style.setProperty("--size", `${at("size").value}px`));
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["here", "there"]) at(id).addEventListener("load", sharpen);
  at("back").addEventListener("click", () => turn(-1));
  at("forth").addEventListener("click", () => turn(1));
  at("against").addEventListener("change", show);
  at("lightbox").addEventListener("close", () => clearInterval(box.timer));
  arrange();
}

begin();
