// The page works without this: it only spares a reload, says what is going on to those who do
// not see it, and shows where in the passage a matched word is.
"use strict";

const ask = document.getElementById("ask");

async function show(address, remember) {
  ask.setAttribute("aria-busy", "true");
  document.getElementById("status").textContent = "Searching…";
  let page;
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    location.assign(address);
    return;
  } finally {
    ask.removeAttribute("aria-busy");
  }
  const problem = page.querySelector(".problem");
  if (problem) {
    document.getElementById("results").replaceChildren();
    document.getElementById("status").textContent = problem.querySelector("p").textContent;
    return;
  }
  if (remember) history.pushState(null, "", address);
  document.title = page.title;
  document.getElementById("results").replaceWith(page.getElementById("results"));
  document.getElementById("status").replaceChildren(...page.getElementById("status").childNodes);
  for (const name of ["q", "lang"]) {
    document.getElementById(name).value = page.getElementById(name).value;
  }
}

function addressOf(form) {
  return "/?" + new URLSearchParams(new FormData(form));
}

if (ask) {
  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    show(addressOf(ask), true);
  });
  document.querySelector(".examples")?.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link.href, true);
  });
  addEventListener("popstate", () => show(location.href, false));
  for (const kind of ["pointerover", "pointerout"]) {
    document.addEventListener(kind, (event) => {
      const row = event.target.closest?.("tbody tr");
      if (!row) return;
      const word = row.cells[1].textContent;
      for (const mark of row.closest("article").querySelectorAll("mark")) {
        mark.classList.toggle("on", kind === "pointerover" && mark.textContent === word);
      }
    });
  }
}
