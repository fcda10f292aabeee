// Shows new messages while an agent runs. Without it the page is the same, as of when it was loaded.
"use strict";

const list = document.querySelector("[data-events]");
const status = document.getElementById("status");

function openOnes() {
  return new Set([...list.querySelectorAll("details[open]")].map(key));
}

function key(details) {
  const home = details.closest("li[id]") ?? (details.closest("li") ? null : details.closest("section"));
  return home?.id ? home.id + "/" + [...home.querySelectorAll("details")].indexOf(details) : "";
}

function entries() {
  return [...list.querySelectorAll("li[id]")].map((entry) => entry.id);
}

let refreshing = false;

// One at a time: an older answer must not be the last to come.
async function refresh() {
  if (refreshing) return void soon();
  refreshing = true;
  try {
    await show(await fetch(location.href, { headers: { Accept: "text/html" } }));
  } catch {
    status.replaceChildren(again()); // the server is out of reach now
  } finally {
    refreshing = false;
  }
}

async function show(answer) {
  if (answer.status === 404) return; // its stream ends, and says so
  if (!answer.ok) return void status.replaceChildren(again());
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("[data-events]");
  if (!fresh) return;
  if (fresh.tagName !== list.tagName) return void status.replaceChildren(again()); // a second agent has come
  list.dataset.events = fresh.dataset.events;
  const open = openOnes();
  const atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;
  const known = new Set(entries());
  if (list.contains(document.activeElement)) return void status.replaceChildren(again()); // nobody loses their place
  list.replaceChildren(...fresh.children);
  for (const id of ["facts", "groups", "kept"]) renew(document.getElementById(id), page.getElementById(id));
  for (const details of list.querySelectorAll("details")) details.open = open.has(key(details)) && key(details) !== "";
  const added = entries().filter((id) => !known.has(id)).length;
  if (added > 0) status.textContent = added === 1 ? "1 new message." : added + " new messages.";
  if (atEnd) window.scrollTo(0, document.body.scrollHeight);
}

// Figures, Graphs and Swarms, and what these keep: what was unfolded there stays so.
function renew(groups, fresh) {
  const unfolded = [...groups.querySelectorAll("details")].map((details) => details.open);
  groups.replaceChildren(...fresh.children);
  for (const [place, details] of groups.querySelectorAll("details").entries()) details.open = unfolded[place] ?? false;
}

function again() {
  const link = document.createElement("a");
  link.href = location.pathname + location.search; // to a place in it, no browser would read the page anew
  link.textContent = "There are new messages. Show them.";
  return link;
}

let waiting = 0;

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, 200);
}

let events = null;

function connect() {
  events = new EventSource(list.dataset.events);
  events.addEventListener("message", soon);
  events.addEventListener("changed", soon);
  events.addEventListener("end", () => {
    stop("The session is gone.");
  });
  events.addEventListener("error", () => {
    // The browser tries again by itself where the connection broke, and never where the server refused.
    if (events && events.readyState === EventSource.CLOSED) stop("New messages no longer come in by themselves.");
  });
}

function stop(words) {
  disconnect();
  clearTimeout(waiting);
  document.removeEventListener("visibilitychange", follow);
  status.textContent = words;
}

function disconnect() {
  if (events) events.close();
  events = null;
}

// A browser has few connections to a server: pages that nobody sees must leave them to the one that is looked at.
function follow() {
  if (document.hidden) return void disconnect();
  if (events) return;
  connect();
  soon(); // what was changed meanwhile, and is no new message
}

if (list) {
  document.addEventListener("visibilitychange", follow);
  if (!document.hidden) connect();
}
