// The page. Whatever was said is put into it as text, never as HTML.
"use strict";

const $ = (id) => document.getElementById(id);
let current = null; // the conversation that is shown
let title = "";
let before = null; // where the page of earlier messages ends
let after = null; // where the page of older conversations begins
let insteadOf = null; // the message that is edited
let source = null; // the answer under way
let visit = 0; // goes up whenever another conversation is shown
let listing = 0; // goes up whenever the conversations are listed

// Requests

async function api(method, path, body) {
  const options = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const response = await fetch(`/api/${path}`, { method, ...options });
  if (response.status === 401) showLogin();
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(typeof answer.detail === "string" ? answer.detail : answer.title ?? "That did not work.");
  return answer;
}

const path = (id) => encodeURIComponent(id);

function attempt(action) {
  return async (event) => {
    event?.preventDefault();
    $("problem").textContent = "";
    try {
      await action(event);
    } catch (error) {
      $("problem").textContent = error instanceof TypeError ? "The server can't be reached." : error.message;
    }
  };
}

// Elements

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function action(text, label, run) {
  const made = element("button", { type: "button", className: "plain", textContent: text, onclick: attempt(run) });
  made.setAttribute("aria-label", label);
  return made;
}

function messageOf(role) {
  const name = role === "user" ? "You said:" : "The answer:";
  return element("li", { className: `message ${role}` }, element("span", { className: "unseen", textContent: name }));
}

const textOf = (text) => element("p", { className: "text", textContent: text });
const json = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function toolOf(name, input) {
  const result = element("pre", { className: "result", textContent: "…" });
  const call = element("pre", { textContent: json(input) });
  return element("details", { className: "tool" }, element("summary", { textContent: `Used ${name}` }), call, result);
}

// A stored message, as PerSQLSessions.messages describes it

function shown(message) {
  const made = messageOf(message.role);
  made.dataset.at = message.message_id;
  for (const part of message.parts) {
    if (part.type === "text") made.append(textOf(part.text));
    if (part.type !== "tool_call") continue;
    const tool = toolOf(part.name, part.input);
    if (part.result) {
      const parts = part.result.parts.map((each) => json(each.type === "json" ? each.json : each.text ?? each.type));
      tool.querySelector(".result").textContent = parts.join("\n");
    }
    made.append(tool);
  }
  if (message.metadata.stopped) made.append(element("p", { className: "note", textContent: "stopped" }));
  if (message.message_id === null) return made; // a summary, which only the model sees
  if (message.parts.some((part) => part.type === "tool_call")) return made; // a copy would end before its result
  const actions = element("div", { className: "actions" });
  if (message.role === "user") actions.append(action("Edit", "Edit this message", () => edit(message, made)));
  else actions.append(action("Copy from here", "Go on in a copy that ends here", () => fork(message.message_id)));
  made.append(actions);
  return made;
}

function isShown(message) {
  return message.parts.length > 0 && !message.taken_back; // an edit has replaced it
}

// Conversations

async function list(more = false) {
  const asked = visit;
  const own = (listing += 1);
  const page = await api("GET", `sessions?limit=30${more && after ? `&after=${path(after)}` : ""}`);
  if (own !== listing) return; // a newer list is under way, or shown
  const entries = page.sessions.map((session) => {
    const open = element(
      "button",
      { type: "button", className: "open", onclick: attempt(() => show(session.session_id)) },
      element("strong", { textContent: session.title || "Untitled" }),
      element("span", { textContent: session.preview }),
    );
    open.dataset.id = session.session_id;
    const rename = action("Rename", `Rename ${session.title}`, () => renameIt(session));
    const remove = action("Delete", `Delete ${session.title}`, () => deleteIt(session));
    return element("li", {}, open, rename, remove);
  });
  if (more) $("conversations").append(...entries);
  else $("conversations").replaceChildren(...entries);
  after = page.after;
  $("more").hidden = after === null;
  mark();
  const found = page.sessions.find((session) => session.session_id === current);
  if (found && asked === visit) entitle(found.title);
}

function entitle(text) {
  title = text;
  $("title").textContent = text || "New conversation";
  document.title = text ? `${text} – Chat` : "Chat";
}

function mark() {
  for (const open of document.querySelectorAll(".open")) open.ariaCurrent = String(open.dataset.id === current);
}

async function show(id) {
  leave(id);
  if (id === null) return;
  const asked = visit;
  await follow(() => load(asked));
  if (asked === visit) bottom();
}

function leave(id) {
  visit += 1;
  source?.close();
  source = null;
  current = id;
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
  $("messages").replaceChildren();
  $("hint").hidden = id !== null;
  $("older").hidden = true;
  $("chat").classList.remove("browsing");
  $("menu").ariaExpanded = "false";
  entitle("");
  mark();
  stopEditing();
  answering(false);
}

async function load(asked) {
  const [session, page] = await Promise.all([
    api("GET", `sessions/${path(current)}`),
    api("GET", `sessions/${path(current)}/messages`),
  ]);
  if (asked !== visit) return;
  entitle(session.title);
  const unfolded = tools().map((tool) => tool.open).reverse();
  $("messages").replaceChildren(...page.messages.filter(isShown).map(shown));
  for (const [place, tool] of tools().reverse().entries()) tool.open = unfolded[place] ?? false;
  await earlier(page.before);
}

const tools = () => [...$("messages").querySelectorAll(".tool")];

async function earlier(cursor) {
  before = cursor;
  $("older").hidden = before === null;
  if ($("messages").childElementCount === 0 && before !== null) await older();
}

async function older() {
  const asked = visit;
  const page = await api("GET", `sessions/${path(current)}/messages?before=${path(before)}`);
  if (asked !== visit) return;
  const height = $("scroll").scrollHeight;
  $("messages").prepend(...page.messages.filter(isShown).map(shown));
  $("scroll").scrollTop += $("scroll").scrollHeight - height;
  await earlier(page.before);
}

async function renameIt(session) {
  $("new-title").value = session.title;
  if (!(await confirmed("rename"))) return;
  await api("PATCH", `sessions/${path(session.session_id)}`, { title: $("new-title").value });
  await list();
}

async function deleteIt(session) {
  $("doomed").textContent = session.title;
  const confirmation = confirmed("delete");
  $("keep").focus(); // an Enter too many takes nothing away
  if (!(await confirmation)) return;
  await api("POST", `answers/${path(session.session_id)}/stop`);
  await api("DELETE", `sessions/${path(session.session_id)}`);
  if (session.session_id === current) leave(null);
  await list();
}

function confirmed(id) {
  const dialog = $(id);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

async function fork(at) {
  const copied = title;
  const copy = await api("POST", `sessions/${path(current)}/fork`, { at });
  await api("PATCH", `sessions/${path(copy.session_id)}`, { title: `${copied} (copy)` });
  await Promise.all([show(copy.session_id), list()]);
  $("prompt").focus();
}

// Asking

async function ask() {
  const prompt = $("prompt").value.trim();
  if (!prompt || !$("stop").hidden) return;
  const replaced = insteadOf;
  const body = replaced === null ? { prompt } : { prompt, instead_of: replaced.message_id };
  answering(true);
  let asked = visit;
  try {
    const begun = await api("POST", current === null ? "ask" : `ask/${path(current)}`, body);
    if (asked !== visit) return;
    if (current === null) {
      leave(begun.session_id);
      asked = visit;
      answering(true);
    }
  } catch (error) {
    if (asked === visit) answering(false);
    throw error;
  }
  while (replaced?.element.nextElementSibling) replaced.element.nextElementSibling.remove();
  replaced?.element.remove();
  stopEditing();
  $("prompt").value = "";
  const own = messageOf("user");
  own.append(textOf(prompt));
  $("messages").append(own);
  bottom();
  follow();
}

function edit(message, element) {
  stopEditing();
  insteadOf = { message_id: message.message_id, element };
  element.classList.add("replaced");
  $("editing").hidden = false;
  $("prompt").value = message.text;
  $("prompt").focus();
}

function stopEditing() {
  if (insteadOf !== null) $("prompt").value = "";
  insteadOf?.element.classList.remove("replaced");
  insteadOf = null;
  $("editing").hidden = true;
}

function answering(yes) {
  $("send").hidden = yes;
  $("stop").hidden = !yes;
  $("stop").disabled = false;
  $("messages").ariaBusy = String(yes);
}

// Follows the answer under way, where there is one. A connection that breaks is opened again by the browser, which
// tells the number of the last event it has. What is stored is loaded once the server has said whether there is one: an
// answer that ends in between would be neither stored already nor told.
function follow(load = () => {}) {
  const asked = visit;
  const made = messageOf("assistant");
  let text = null;
  source?.close();
  const own = (source = new EventSource(`/api/answers/${path(current)}`));
  const told = new Promise((resolve) => ["open", "error"].forEach((type) => own.addEventListener(type, resolve)));
  const loaded = told.then(load);
  own.onmessage = attempt(async ({ data }) => {
    await loaded;
    if (asked !== visit) return;
    const event = JSON.parse(data);
    const near = $("scroll").scrollHeight - $("scroll").scrollTop - $("scroll").clientHeight < 80;
    if (!made.isConnected) {
      $("messages").append(made);
      answering(true);
      attempt(() => list())(); // not awaited: the next event is not to overtake this one
    }
    if (event.type === "begin") {
      // What is stored of the answer by now comes as events.
      for (const each of [...$("messages").children]) if (Number(each.dataset.at) > event.question) each.remove();
    } else if (event.type === "text") {
      if (text === null) made.append((text = textOf("")));
      text.append(event.text);
    } else if (event.type === "tool_call") {
      text = null;
      const tool = toolOf(event.name, event.input);
      tool.dataset.call = event.id;
      made.append(tool);
    } else if (event.type === "tool_result") {
      const tools = [...made.querySelectorAll("details")].filter((tool) => tool.dataset.call === event.id);
      if (tools.length) tools.at(-1).querySelector(".result").textContent = event.content.map(json).join("\n");
    } else if (event.type === "end") {
      own.close();
      await ended(asked);
      $("problem").textContent = event.problem ?? "";
    }
    if (near) bottom();
  });
  own.onerror = attempt(async () => {
    await loaded;
    // There is none, or no more: what is stored is the whole of it.
    if (own.readyState === EventSource.CLOSED && asked === visit && !$("stop").hidden) await ended(asked);
  });
  return loaded;
}

async function ended(asked) {
  if (asked !== visit) return;
  try {
    await Promise.all([load(asked), list()]);
  } finally {
    if (asked === visit) answering(false);
  }
}

const bottom = () => ($("scroll").scrollTop = $("scroll").scrollHeight);

// Who is there

function showLogin() {
  leave(null);
  $("chat").hidden = true;
  $("welcome").hidden = false;
  $("name").focus();
}

async function showChat(name) {
  $("welcome").hidden = true;
  $("chat").hidden = false;
  $("me").textContent = name;
  const wanted = decodeURIComponent(location.hash.slice(1)) || null;
  const opened = show(wanted).catch((error) => {
    if (current === wanted) leave(null);
    throw error;
  });
  $("prompt").focus();
  await Promise.all([opened, list()]);
}

$("login").onsubmit = async (event) => {
  event.preventDefault();
  try {
    const { name } = await api("POST", "login", { name: $("name").value });
    $("refusal").textContent = "";
    await attempt(() => showChat(name))();
  } catch (error) {
    $("refusal").textContent = error.message;
  }
};
$("logout").onclick = attempt(async () => {
  await api("POST", "logout");
  showLogin();
});
$("new").onclick = () => {
  leave(null);
  $("prompt").focus();
};
for (const idea of $("ideas").children) {
  idea.onclick = () => {
    $("prompt").value = idea.textContent;
    $("composer").requestSubmit();
  };
}
$("menu").onclick = () => {
  $("menu").ariaExpanded = String($("chat").classList.toggle("browsing"));
};
$("more").onclick = attempt(() => list(true));
$("older").onclick = attempt(older);
$("keep").onclick = stopEditing;
$("stop").onclick = attempt(async () => {
  $("stop").disabled = true;
  $("prompt").focus();
  await api("POST", `answers/${path(current)}/stop`);
});
$("composer").onsubmit = attempt(ask);
$("prompt").onkeydown = (event) => {
  if (event.key === "Escape") stopEditing();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
};
// Another tab may have gone on meanwhile.
document.addEventListener("visibilitychange", attempt(async () => {
  if (document.hidden || $("chat").hidden || !$("stop").hidden || insteadOf !== null) return;
  await list();
  const asked = visit;
  if (current !== null) await follow(() => load(asked));
}));

attempt(async () => {
  const { name } = await api("GET", "me");
  if (name === null) showLogin();
  else await showChat(name);
})();
