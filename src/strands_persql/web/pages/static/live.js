// Shows new messages while an agent runs. Without it the page is the same, as of when it was loaded.
"use strict";

const list = document.getElementById("live");
const status = document.getElementById("status");

function openOnes() {
  return new Set([...list.querySelectorAll("details[open]")].map(key));
}

function key(details) {
  const entry = details.closest("li[id]");
  if (!entry) return "";
  return entry.id + "/" + [...entry.querySelectorAll("details")].indexOf(details);
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live");
  if (!fresh) return;
  const open = openOnes();
  const atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;
  const known = list.querySelectorAll("li[id]").length;
  if (list.contains(document.activeElement)) return void status.replaceChildren(again()); // nobody loses their place
  list.replaceChildren(...fresh.children);
  for (const details of list.querySelectorAll("details")) details.open = open.has(key(details)) && key(details) !== "";
  const added = list.querySelectorAll("li[id]").length - known;
  if (added > 0) status.textContent = added === 1 ? "1 new message." : added + " new messages.";
  if (atEnd) window.scrollTo(0, document.body.scrollHeight);
}

function again() {
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = "There are new messages. Show them.";
  return link;
}

let waiting = 0;

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, 200);
}

if (list && list.dataset.events) {
  const events = new EventSource(list.dataset.events);
  events.addEventListener("message", soon);
  events.addEventListener("changed", soon);
  events.addEventListener("end", () => {
    events.close();
    status.textContent = "The session is gone.";
  });
}
