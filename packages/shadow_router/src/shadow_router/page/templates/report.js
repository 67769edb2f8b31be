"use strict";
(() => {
  const EVERY_MS = 2000;
  const find = (id) => document.getElementById(id);
  const [report, status, pause] = [find("report"), find("status"), find("pause")];
  let isPaused = false;
  let shown = "";

  const tell = (text, isWaiting) => {
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle("waiting", isWaiting);
  };

  // Somebody who reads, chooses or selects does not want the page to move.
  const isBusy = () => {
    const one = document.activeElement;
    const selection = document.getSelection();
    return (
      (one && report.contains(one) && ["PRE", "SELECT", "INPUT"].includes(one.tagName)) ||
      (selection && !selection.isCollapsed && report.contains(selection.anchorNode))
    );
  };

  const replace = (text) => {
    const focused = document.activeElement;
    const id = focused && report.contains(focused) ? focused.id : "";
    const open = Array.from(report.querySelectorAll("details[open]"), (one) => one.id);
    const scrolled = Array.from(report.querySelectorAll(".scroll[id]"), (one) => [one.id, one.scrollLeft]);
    const typed = Array.from(report.querySelectorAll("input[id]"), (one) => [one.id, one.value]);
    const verdict = find("verdict").textContent.trim();
    report.innerHTML = text;
    for (const one of open.map(find)) if (one) one.open = true;
    for (const [name, left] of scrolled) if (find(name)) find(name).scrollLeft = left;
    for (const [name, value] of typed) if (find(name)) find(name).value = value;
    if (id && find(id)) find(id).focus({ preventScroll: true });
    const now = find("verdict").textContent.trim();
    document.title = `${now} · Shadow report`;
    document.dispatchEvent(new Event("shadow:shown"));
    if (now !== verdict) find("announce").textContent = `The verdict is now ${now}.`;
  };

  const refresh = async () => {
    if (isPaused || document.hidden || isBusy()) return;
    try {
      const answer = await fetch(`/fragment${location.search}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (isPaused || isBusy()) return;
      if (text !== shown) replace(text);
      shown = text;
      tell("Live", false);
    } catch {
      tell("No connection; trying again", true);
    }
  };

  const copy = async (button) => {
    let text = "Copied.";
    try {
      await navigator.clipboard.writeText(find(button.dataset.copy).textContent);
    } catch {
      text = "The browser does not allow copying; open the text and select it.";
    }
    find("copied").textContent = text;
    const label = button.textContent;
    button.textContent = text === "Copied." ? "Copied" : "Not allowed";
    setTimeout(() => { button.textContent = label; find("copied").textContent = ""; }, 1500);
  };

  report.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button);
  });
  report.addEventListener("change", (event) => {
    if (event.target.matches(".axes select")) event.target.form.requestSubmit();
  });
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    pause.textContent = isPaused ? "Resume" : "Pause";
    tell(isPaused ? "Paused" : "Live", isPaused);
    refresh();
  });
  document.addEventListener("shadow:changed", refresh);
  setInterval(refresh, EVERY_MS);
})();
