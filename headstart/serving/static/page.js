// Sends the image that was dropped, pasted or chosen, and shows the answer and its map.
const at = (id) => document.getElementById(id);
let shown = [];
let turn = 0;

function headers() {
  const token = at("token").value;
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function ask(path, options = {}) {
  const reply = await fetch(path, { ...options, headers: headers() });
  if (reply.ok) return reply;
  if (reply.status === 401) at("secret").hidden = false;
  let text = `${reply.status} ${reply.statusText}`;
  try {
    text = (await reply.json()).error ?? text;
  } catch {
    // not JSON: the status says enough
  }
  throw new Error(text);
}

function say(text, wrong = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", wrong);
}

function show(image, blob) {
  const url = URL.createObjectURL(blob);
  shown.push(url);
  image.src = url;
}

function row(label, probability) {
  const line = document.createElement("tr");
  for (const text of [label, `${(100 * probability).toFixed(1)}%`]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}

function doubts(answer) {
  const said = [];
  if (answer.candidates !== null) {
    said.push(`It may be: ${answer.candidates.join(" or ") || "none of these"}.`);
  }
  if (answer.unknown) said.push("It is unlike all training images.");
  return said.join(" ");
}

async function classify(file) {
  const mine = ++turn;
  shown.forEach((url) => URL.revokeObjectURL(url));
  shown = [];
  at("result").hidden = true;
  say("Asking ...");
  const place = `/models/${encodeURIComponent(at("model").value)}`;
  try {
    const answer = await (await ask(`${place}/predict`, { method: "POST", body: file })).json();
    if (mine !== turn) return;
    show(at("given"), file);
    at("classes").replaceChildren(...answer.top.map((one) => row(one.label, one.probability)));
    at("doubts").textContent = doubts(answer);
    at("about").textContent = `${answer.model}, version ${answer.version}`;
    at("map-figure").hidden = true;
    at("result").hidden = false;
    say(`${answer.label}, ${(100 * answer.probability).toFixed(1)}%. The map is being made ...`);
    const which = `class=${encodeURIComponent(answer.label)}`;
    const map = await (await ask(`${place}/explain?${which}`, { method: "POST", body: file })).blob();
    if (mine !== turn) return;
    show(at("map"), map);
    at("map-text").textContent = `What speaks for ${answer.label}`;
    at("map-figure").hidden = false;
    say(`${answer.label}, ${(100 * answer.probability).toFixed(1)}%`);
  } catch (error) {
    if (mine === turn) say(error.message, true);
  }
}

async function begin() {
  try {
    const { models } = await (await ask("/models")).json();
    at("model").replaceChildren(...models.map((one) => new Option(one.name, one.name)));
    at("choice").hidden = models.length < 2;
    say("");
  } catch (error) {
    say(error.message, true);
  }
}

const drop = at("drop");
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) classify(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) classify(event.clipboardData.files[0]);
});
at("file").addEventListener("change", () => {
  if (at("file").files.length) classify(at("file").files[0]);
});
at("secret").addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
begin();
