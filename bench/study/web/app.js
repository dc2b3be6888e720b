"use strict";
// A rater's page: shows what the server says comes next, and sends one answer for each pair.
const SIDES = { left: "Left", equal: "Both equally", right: "Right" };
const KEYS = { ArrowLeft: "left", ArrowDown: "equal", ArrowRight: "right" };
const PAIR = ["left", "right"];
const by = (id) => document.getElementById(id);
let told = null;
let current = 0;
let busy = false;

function made(tag, fields = {}, ...children) {
  const node = Object.assign(document.createElement(tag), fields);
  node.append(...children);
  return node;
}

function show(next) {
  told = next;
  current = 0;
  for (const state of ["consent", "trial", "done"]) by(state).hidden = state !== told.state;
  if (told.state === "consent") showConsent();
  if (told.state === "trial") showTrial();
  window.scrollTo(0, 0);
}

function showConsent() {
  by("words").replaceChildren(...told.consent.map((words) => made("p", { textContent: words })));
  const lines = told.questions.flatMap((asked) => [
    made("dt", { textContent: asked.title }),
    made("dd", { textContent: asked.instruction }),
  ]);
  by("instructions").replaceChildren(...lines);
  document.querySelectorAll(".tie").forEach((words) => { words.hidden = told.forced; });
}

function showTrial() {
  by("progress").max = told.of;
  by("progress").value = told.number - 1;
  by("number").textContent = `${told.number} of ${told.of}`;
  by("prompt").textContent = `“${told.prompt}”`;
  by("edited").hidden = told.source === null;
  if (told.source !== null) by("source").src = `image/${told.source}`;
  for (const side of PAIR) {
    // Else the image before would stay until this one is there, and be judged in its stead.
    by(side).removeAttribute("src");
    by(side).src = `image/${told[side]}`;
  }
  by("references").replaceChildren(...told.references.map((id) =>
    made("img", { src: `image/${id}`, alt: "Reference photograph" })));
  by("questions").replaceChildren(...told.questions.map(question));
  mark(0);
}

function question(asked) {
  const sides = Object.entries(SIDES).filter(([side]) => !(told.forced && side === "equal"));
  const choices = sides.map(([side, words]) => made("label", {},
    made("input", { type: "radio", name: asked.name, value: side }),
    made("span", { textContent: words })));
  return made("fieldset", { title: asked.instruction },
    made("legend", { textContent: asked.sentence }), made("div", { className: "sides" }, ...choices));
}

function mark(index) {
  current = Math.max(0, Math.min(index, told.questions.length - 1));
  [...by("questions").children].forEach((field, place) =>
    field.classList.toggle("current", place === current));
  by("next").disabled = busy || !answered() || !seen();
}

function chosen() {
  return Object.fromEntries(new FormData(by("questions")));
}

function answered() {
  return Object.keys(chosen()).length === told.questions.length;
}

function seen() {
  return PAIR.every((side) => by(side).complete && by(side).naturalWidth > 0);
}

function problem(words) {
  by("problem").textContent = words;
  by("problem").hidden = !words;
}

async function ask(where, body) {
  if (busy) return;
  busy = true;
  try {
    const options = body === undefined ? {} :
      { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    let reply = await fetch(where, options);
    // Answered in another window: the first answer stands, so this page goes on from there.
    if (reply.status === 409) reply = await fetch("next");
    if (!reply.ok) throw new Error(reply.status);
    problem("");
    show(await reply.json());
  } catch {
    problem(told === null ? "The server cannot be reached. Please load this page again."
      : "The server cannot be reached. Your choices are still here: please try again.");
  }
  busy = false;
  if (told !== null && told.state === "trial") mark(current);
}

function send() {
  if (!by("next").disabled) ask("answer", { trial: told.trial, choices: chosen() });
}

function press(event) {
  if (told === null || told.state !== "trial" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" || by("large").open) return by("large").close();
  if (event.key === "Enter") send();
  else if (event.key === "ArrowUp") mark(current - 1);
  else if (event.key in KEYS) {
    const field = by("questions").children[current];
    const input = field.querySelector(`[value=${KEYS[event.key]}]`);
    if (input) { input.checked = true; mark(current + 1); }
  } else return;
  event.preventDefault();
}

document.addEventListener("keydown", press);
by("questions").addEventListener("change", (event) =>
  mark([...by("questions").children].indexOf(event.target.closest("fieldset")) + 1));
by("questions").addEventListener("submit", (event) => event.preventDefault());
by("next").addEventListener("click", send);
for (const side of PAIR) {
  by(side).addEventListener("load", () => mark(current));
  by(side).addEventListener("error", () => problem("An image is missing. Please load this page again."));
}
by("agree").addEventListener("click", () => ask("consent", {}));
by("trial").addEventListener("click", (event) => {
  if (event.target.tagName !== "IMG") return;
  by("enlarged").src = event.target.src;
  by("large").showModal();
});
by("large").addEventListener("click", () => by("large").close());
ask("next");
