"use strict";
// The page's script: the composer, presses, the large picture, and what the studio tells as it happens.
// The server renders all HTML; this only puts it in place.

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const body = document.body;
const { page, me } = body.dataset;
const feed = one("#feed");
const viewer = one("#viewer");

/** A message in the page's language, with what stands for its {names}. */
const words = JSON.parse(document.body.dataset.words ?? "{}");
const say = (text, values = {}) => (words[text] ?? text).replace(/\{(\w+)\}/g, (gap, name) => values[name] ?? gap);

// --- talking to the studio ---------------------------------------------------------------------------------

const newEvent = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16)).join("-");

/** POST an object as JSON, or a form. Throws { notice, offers } for whatever is not possible. */
async function ask(path, values) {
  const form = values instanceof FormData;
  let response;
  try {
    response = await fetch(path, { method: "POST", body: form ? values : JSON.stringify(values) });
  } catch {
    throw { notice: say("The studio cannot be reached. Nothing was sent; try again."), offers: [], lost: true };
  }
  const answer = await response.json().catch(() => ({ notice: say("The studio could not answer. Try again."), offers: [] }));
  if (!response.ok) throw answer;
  return answer;
}

async function part(url) {
  const response = await fetch(url, { headers: { "X-Easel-Part": "1" } });
  if (!response.ok) throw new Error(`${response.status}`);
  return parse(await response.text());
}

// --- HTML into the page ------------------------------------------------------------------------------------

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  showTimes(template.content);
  return template.content;
}

/** Make `old` equal to `fresh` and touch nothing that is equal: focus, bars in motion and pictures stay. */
function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) return void (old.data === fresh.data || (old.data = fresh.data));
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
  after.forEach((node, i) => (before[i] ? morph(before[i], node) : old.append(node)));
  before.slice(after.length).forEach((node) => node.remove());
}

function showTimes(root) {
  const today = new Date().toDateString();
  for (const time of all("time", root)) {
    const moment = new Date(time.dateTime);
    const day = moment.toDateString() === today ? {} : { day: "numeric", month: "short" };
    time.textContent = moment.toLocaleString(undefined, { ...day, hour: "2-digit", minute: "2-digit" });
  }
}

/** The allowance, again: a request was accepted, or something ended. */
let counting;
function recount() {
  clearTimeout(counting);
  counting = setTimeout(async () => {
    for (const place of all("[data-quota]")) {
      const fresh = place.cloneNode(false);
      fresh.append(await part("/quota").catch(() => document.createDocumentFragment()));
      if (fresh.hasChildNodes()) morph(place, fresh);
    }
  }, 300);
}

const announce = (text) => (one("#live").textContent = text);
const nearEnd = () => window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 160;
const toEnd = () => window.scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
const showEmpty = () => feed && (one("#empty").hidden = one(".message", feed) !== null);

function showCard(html) {
  const fresh = parse(html).firstElementChild;
  const old = document.getElementById(fresh.id);
  const mine = fresh.dataset.owner === me;
  if (mine && old?.dataset.stage !== fresh.dataset.stage) announce(fresh.dataset.say);
  if (mine && old?.className !== fresh.className) recount();
  const stay = nearEnd() || (mine && !old);
  if (old) {
    const arrived = one(".coming", old) && one(".still", fresh);
    if (arrived) one(".still", fresh).classList.add("fresh");
    morph(old, fresh);
  } else {
    const shown = all(".message[data-created]", feed);
    const later = shown.find((card) => card.dataset.created > fresh.dataset.created);
    if (later && later === shown[0] && one(".older", feed)) return; // among the older pictures, not asked for yet
    fresh.classList.add("new");
    feed.insertBefore(fresh, later ?? null);
  }
  showEmpty();
  if (stay) toEnd();
}

/** An answer that only this person sees: at the end of the channel, elsewhere in the dialog. */
function whisper(html) {
  const fresh = parse(html).firstElementChild;
  if (viewer.open) viewer.close();
  if (feed) {
    feed.append(fresh);
    showEmpty();
    toEnd();
  } else {
    viewer.replaceChildren(fresh);
    viewer.showModal();
  }
  fresh.focus({ preventScroll: true });
  announce(fresh.dataset.say);
}

// --- what the studio tells ---------------------------------------------------------------------------------

function follow(since) {
  const source = new EventSource(`/api/events?since=${encodeURIComponent(since)}`);
  const offline = one("#offline");
  const heard = (name, act) =>
    source.addEventListener(name, (event) => {
      since = event.lastEventId || since;
      act(JSON.parse(event.data));
    });
  source.onopen = () => {
    offline.hidden = true;
    composer?.reached();
  };
  source.onerror = () => {
    offline.hidden = false;
    if (source.readyState === EventSource.CLOSED) setTimeout(again, 3000, since);
  };
  if (feed) heard("card", (news) => showCard(news.html));
  if (feed) heard("reload", async () => { feed.replaceChildren(await part("/")); showEmpty(); });
  heard("line", (news) => {
    for (const place of all("[data-line]")) {
      const fresh = place.cloneNode(false);
      fresh.append(parse(news.html));
      morph(place, fresh);
    }
  });
}

/** Follow anew, unless the session has ended. */
async function again(since) {
  const answer = await fetch("/quota", { headers: { "X-Easel-Part": "1" } }).catch(() => null);
  if (answer?.status === 401) location.assign("/login");
  else follow(since);
}

// --- the composer ------------------------------------------------------------------------------------------

function startComposer(form) {
  const text = one("#text");
  const refusal = one("#refusal");
  const fields = all("[data-option]", form);
  const strength = one("#strength"); // absent where no model takes one
  const sent = JSON.parse(sessionStorage.getItem("sent") || "[]");
  let [recalled, parent, question, file, reading, changing, lost] = [sent.length, "", null, null, 0, 0, {}];

  const fit = () => { text.style.height = "auto"; text.style.height = `${text.scrollHeight}px`; };
  const draft = `draft ${me}`;
  const keep = () => sessionStorage.setItem(draft, JSON.stringify({ text: text.value, question }));
  const write = (words) => { text.value = words; fit(); keep(); read(); };
  let away = false; // the studio could not be reached, and the page says so
  const reached = () => away && refuse(null);
  const refuse = (answer) => {
    const stay = nearEnd();
    if (answer?.lost && !away) listen(reached, () => away);
    away = Boolean(answer?.lost);
    refusal.hidden = !answer;
    refusal.replaceChildren();
    if (!answer) return;
    refusal.append(Object.assign(document.createElement("p"), { textContent: answer.notice }));
    for (const offer of answer.offers ?? []) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: offer.label });
      if (offer.text) button.onclick = () => { write(offer.text); send(); };
      else button.dataset.press = offer.button;
      refusal.append(button);
    }
    if (stay) toEnd();
  };

  function mirror({ said, source }) {
    for (const field of fields) {
      const value = said[field.dataset.option] ?? "";
      if (field === document.activeElement && field.matches("input")) continue;
      if (field.matches("select") && ![...field.options].some((o) => o.value === value)) field.add(new Option(value, value));
      field.value = value;
      field.closest(".chip").classList.toggle("set", value !== "");
    }
    const strip = one("#source");
    strip.hidden = !file && !source;
    if (source) one("img", strip).src = source;
    if (!strength) return;
    strength.value = said.strength ?? strength.defaultValue;
    one("output", strip).value = `${Math.round(strength.value * 100)} %`;
  }

  /** Mirror what the text says; with an option, change it in the text first. */
  async function read(option = "", value = "") {
    if (!option && changing) return; // that one's answer is mirrored
    const [turn, words] = [++reading, text.value];
    if (words.trimStart().startsWith("/")) return;
    changing += option ? 1 : 0;
    try {
      const answer = await ask("/api/compose", { text: words, option, value, file: file ? "1" : "" });
      if (option && text.value !== words) return text.value && (await read(option, value)); // typed on meanwhile, or sent
      if (turn !== reading || !answer.said) return;
      if (option) { text.value = answer.text; fit(); keep(); refuse(null); }
      mirror(answer);
    } catch (answer) {
      if (option) refuse(answer);
    } finally {
      changing -= option ? 1 : 0;
    }
  }
  let pause;
  const readSoon = () => { clearTimeout(pause); pause = setTimeout(read, 150); };

  async function take(chosen) {
    if (!chosen) return;
    if (chosen.size > form.dataset.maxBytes) return refuse({ notice: say("This image has {size} MB; {most} MB are allowed. Choose a smaller one.", { size: Math.ceil(chosen.size / 1e6), most: form.dataset.maxBytes / 1e6 }) });
    file = chosen;
    one("#source img").src = URL.createObjectURL(file);
    refuse(null);
    read("source", "");
    text.focus();
    const values = new FormData();
    values.set("source", file);
    try {
      await ask("/api/source", values);
    } catch (answer) {
      if (file !== chosen || answer.lost) return;
      await dropSource();
      refuse(answer);
    }
  }
  function dropSource() {
    file = null;
    one("#file").value = "";
    text.focus();
    return read("source", "");
  }

  function edit(asked) {
    question = asked;
    parent = question?.parent ?? "";
    one("#editing").hidden = !question;
    form.classList.toggle("is-editing", Boolean(question));
    one("#editing b").textContent = question?.title ?? "";
    refuse(null);
    write(question?.text ?? "");
    text.focus();
    if (question) announce(say("{title}. The composer holds its prompt.", { title: question.title }));
  }

  /** The box is free at once; what cannot be done comes back into it, or waits behind the up arrow. */
  async function send() {
    const words = text.value;
    if (!words.trim()) return text.focus();
    const event = lost.text === words ? lost.event : newEvent();
    const values = new FormData();
    for (const [name, value] of Object.entries({ text: words, event, parent })) values.set(name, value);
    if (file) values.set("source", file);
    const before = { question: question && { ...question, text: words }, file };
    sent.push(words);
    sessionStorage.setItem("sent", JSON.stringify(sent.slice(-50)));
    [recalled, file] = [sent.length, null];
    one("#file").value = "";
    edit(null);
    try {
      const answer = await ask("/api/send", values);
      if (answer.card) whisper(answer.card);
      if (answer.open) await open(answer.open);
    } catch (answer) {
      lost = answer.lost ? { text: words, event } : {};
      if (!text.value) {
        file = before.file;
        if (before.question) edit(before.question);
        else write(words);
      }
      refuse(answer);
    }
  }

  function recall(step) {
    recalled = Math.min(Math.max(recalled + step, 0), sent.length);
    write(sent[recalled] ?? "");
  }

  const completion = startCompletion(text, () => { fit(); keep(); refuse(null); readSoon(); });
  form.addEventListener("submit", (e) => { e.preventDefault(); send(); });
  text.addEventListener("input", () => { fit(); keep(); refuse(null); readSoon(); });
  text.addEventListener("keydown", (e) => {
    if (e.isComposing || completion.takes(e)) return;
    const untouched = text.value === (sent[recalled] ?? "");
    if (e.key === "Enter" && !e.shiftKey) { e.preventDefault(); send(); }
    else if (e.key === "ArrowUp" && untouched && sent.length) { e.preventDefault(); recall(-1); }
    else if (e.key === "ArrowDown" && untouched && recalled < sent.length) { e.preventDefault(); recall(1); }
    else if (e.key === "Escape" && parent) edit(null);
  });
  for (const field of fields) field.addEventListener("change", () => read(field.dataset.option, field.value));
  for (const field of all("input[data-option]", form)) field.addEventListener("keydown", (e) => {
    if (e.key === "Enter") { e.preventDefault(); field.blur(); text.focus(); }
  });
  strength?.addEventListener("change", (e) => read("strength", e.target.value));
  strength?.addEventListener("input", (e) => (one("#source output").value = `${Math.round(e.target.value * 100)} %`));
  one("#choose").addEventListener("click", () => one("#file").click());
  one("#file").addEventListener("change", (e) => take(e.target.files[0]));
  one("[data-drop-source]").addEventListener("click", dropSource);
  one("[data-stop-editing]").addEventListener("click", () => edit(null));
  one("#more").addEventListener("click", (e) => {
    const open = form.classList.toggle("all");
    e.currentTarget.setAttribute("aria-expanded", open);
    e.currentTarget.textContent = open ? say("Less") : say("More");
  });
  document.addEventListener("paste", (e) => take([...e.clipboardData.files].find((each) => each.type.startsWith("image/"))));
  document.addEventListener("dragover", (e) => { e.preventDefault(); form.classList.add("over"); });
  document.addEventListener("dragleave", (e) => e.relatedTarget || form.classList.remove("over"));
  document.addEventListener("drop", (e) => { e.preventDefault(); form.classList.remove("over"); take(e.dataTransfer.files[0]); });

  const carried = sessionStorage.getItem("question");
  sessionStorage.removeItem("question");
  const before = JSON.parse(sessionStorage.getItem(draft) ?? "{}");
  if (carried) edit(JSON.parse(carried));
  else if (text.value) { fit(); read(); }
  else if (before.question) edit({ ...before.question, text: before.text });
  else if (before.text) write(before.text);
  return { edit, reached, refuse, say: (words) => { write(words); send(); }, from: (picture) => { file = null; read("source", picture); text.focus(); } };
}

/** Ask again and again whether the studio is there, while `waiting` says so; then call `found`. */
async function listen(found, waiting) {
  const answer = await fetch("/livez").catch(() => null);
  if (answer?.ok) found();
  else setTimeout(() => waiting() && listen(found, waiting), 2000);
}

/** What may follow `/` and `--` at the caret, as a list above the box. */
function startCompletion(text, changed) {
  const list = one("#completions");
  let [turn, at, length, chosen] = [0, 0, 0, -1];

  const close = () => { turn++; list.hidden = true; choose(-1); };
  function choose(index) {
    chosen = index;
    [...list.children].forEach((each, i) => each.setAttribute("aria-selected", i === index));
    if (list.children[index]) text.setAttribute("aria-activedescendant", list.children[index].id);
    else text.removeAttribute("aria-activedescendant");
    list.children[index]?.scrollIntoView({ block: "nearest" });
  }
  function accept(index) {
    text.setRangeText(list.children[index].dataset.text, at - length, at, "end");
    close();
    changed();
    look();
  }
  async function look() {
    const mine = ++turn;
    const before = text.value.slice(0, text.selectionStart);
    if (!/^\/|(^|\s)--/.test(before) || text.selectionStart !== text.selectionEnd) return close();
    const answer = await ask("/api/complete", { text: before }).catch(() => null);
    if (mine !== turn) return;
    if (!answer?.choices?.length) return close();
    [at, length] = [before.length, answer.length];
    list.replaceChildren(...answer.choices.map(([words, label], i) => {
      const row = document.createElement("li");
      Object.assign(row, { id: `completion-${i}`, role: "option" });
      row.dataset.text = words;
      const value = Object.assign(document.createElement("b"), { textContent: words.trim() });
      row.append(value, Object.assign(document.createElement("span"), { className: "soft", textContent: label }));
      return row;
    }));
    if (list.hidden) announce(say("Suggestions: the arrow keys choose, Tab accepts."));
    list.hidden = false;
    choose(-1);
  }
  /** Whether the key was for the list. */
  function takes(e) {
    if (list.hidden || e.ctrlKey || e.metaKey || e.altKey) return false;
    const most = list.children.length;
    if (e.key === "ArrowDown") choose((chosen + 1) % most);
    else if (e.key === "ArrowUp") choose((chosen <= 0 ? most : chosen) - 1);
    else if (e.key === "Tab" && !e.shiftKey) accept(Math.max(chosen, 0));
    else if (e.key === "Enter" && chosen >= 0) accept(chosen);
    else if (e.key === "Escape") close();
    else return void (e.key === "Enter" && close());
    e.preventDefault();
    return true;
  }
  list.addEventListener("mousedown", (e) => { e.preventDefault(); const row = e.target.closest("li"); if (row) accept([...list.children].indexOf(row)); });
  text.addEventListener("input", look);
  text.addEventListener("blur", close);
  return { takes };
}

// --- presses and the large picture -------------------------------------------------------------------------

async function press(button) {
  if (button.dataset.confirm && !button.classList.contains("armed")) return arm(button);
  button.disabled = true;
  try {
    const answer = await ask("/api/press", { button: button.dataset.press, event: newEvent() });
    composer?.refuse(null);
    if (answer.card) return whisper(answer.card);
    if (answer.open) return await open(answer.open);
    if (answer.go) return location.assign(answer.go);
    if (viewer.open) viewer.close();
    if (answer.form && composer) return composer.edit(answer.form);
    if (answer.form) sessionStorage.setItem("question", JSON.stringify(answer.form));
    if (!feed) location.assign("/");
  } catch (answer) {
    if (viewer.open) viewer.close();
    if (composer) composer.refuse(answer);
    announce(answer.notice);
  } finally {
    button.disabled = false;
  }
}

/** The first press asks; the second, within four seconds, does it. */
function arm(button) {
  const [label, name] = [button.lastElementChild, button.ariaLabel];
  const words = label.textContent;
  label.textContent = button.ariaLabel = button.dataset.confirm;
  button.classList.add("armed");
  announce(say("Press again: {name}.", { name: button.dataset.confirm }));
  setTimeout(() => { label.textContent = words; button.ariaLabel = name; button.classList.remove("armed"); }, 4000);
}

async function open(url, key = "") {
  viewer.replaceChildren(await part(url));
  if (!viewer.open) viewer.showModal();
  (one(`[data-key="${key}"]`, viewer) ?? one(".close button", viewer)).focus();
}

async function older(link) {
  const height = document.documentElement.scrollHeight;
  link.closest(".older").replaceWith(await part(link.href));
  if (feed) window.scrollBy({ top: document.documentElement.scrollHeight - height, behavior: "instant" });
}

document.addEventListener("click", (e) => {
  const at = (selector) => e.target.closest(selector);
  const plain = !(e.ctrlKey || e.metaKey || e.shiftKey || e.button);
  const act = (does) => { e.preventDefault(); return does; };
  closeMenus(at(".more"), at("[data-press]:not([data-confirm])"));
  if (at("[data-press]")) return press(at("[data-press]"));
  if (at("[data-try]")) return composer.say(at("[data-try]").dataset.try);
  if (at("[data-dismiss]")) return viewer.open ? viewer.close() : (at(".message").remove(), showEmpty(), one("#text")?.focus());
  if (at("[data-open]") && plain) return act(open(at("[data-open]").href, at("[data-open]").dataset.key));
  if (at("[data-older]") && plain) return act(older(at("[data-older]")));
  if (at("[data-source]") && composer) { viewer.close(); return act(composer.from(at("[data-source]").dataset.source)); }
  if (e.target === viewer) viewer.close();
});
/** Close the open menus: all but the one that was clicked in, and that too once something was chosen. */
function closeMenus(kept, chosen) {
  for (const menu of document.querySelectorAll(".more[open]")) if (menu !== kept || chosen) menu.open = false;
}
document.addEventListener("keydown", (e) => {
  const menu = e.key === "Escape" && document.querySelector(".more[open]");
  if (menu) { e.preventDefault(); menu.open = false; one("summary", menu).focus(); }
});
document.addEventListener("change", (e) => e.target.matches("[data-submit]") && e.target.form.requestSubmit());
viewer?.addEventListener("keydown", (e) => one(`[data-key="${e.key}"]`, viewer)?.click());

// --- the theme ---------------------------------------------------------------------------------------------

one("#theme")?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `easel_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  announce(root.dataset.theme === "dark" ? say("The theme is dark.") : say("The theme is light."));
});

// --- start -------------------------------------------------------------------------------------------------

const composer = one("#composer") ? startComposer(one("#composer")) : null;
showTimes(document);
if (feed) { history.scrollRestoration = "manual"; toEnd(); }
if (page === "channel" || page === "line") follow(body.dataset.mark);
