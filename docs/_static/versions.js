// The selector of versions, in a site of several ones: see scripts/site.py, which writes the site's own versions.js.
(() => {
  const here = document.currentScript.dataset.version;
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const page = location.href.slice(root.href.length).split(/[?#]/)[0] || "index.html";

  // The same page of another version, or its first page where it has none of that name.
  const addressOf = ({ name, pages }) => new URL(`../${name}/${pages.includes(page) ? page : "index.html"}`, root).href;

  function show({ latest, versions }) {
    const select = document.createElement("select");
    for (const each of versions) {
      const mark = each.name === latest && latest !== "dev" ? " (newest)" : each.name === "dev" ? " (not released)" : "";
      select.add(new Option(each.name + mark, addressOf(each), false, each.name === here));
    }
    select.addEventListener("change", () => location.assign(select.value));
    const label = document.createElement("label");
    label.className = "versions";
    label.append("Version ", select);
    document.querySelector(".sidebar-brand")?.after(label);

    const newest = versions.find(({ name }) => name === latest);
    if (here === latest || !newest) return;
    const note = document.createElement("p");
    note.className = "other-version";
    const link = Object.assign(document.createElement("a"), { href: addressOf(newest), textContent: latest });
    note.append(here === "dev" ? "This is what comes next. The newest release is " : "The newest release is ", link, ".");
    document.querySelector("[role=main]")?.prepend(note);
  }

  const script = document.createElement("script"); // no fetch, so that a folder can be opened without a server
  script.src = new URL("../versions.js", root).href;
  script.onload = () => window.docsVersions && show(window.docsVersions);
  document.addEventListener("DOMContentLoaded", () => document.head.append(script));
})();
