"use strict";
(() => {
  const report = document.getElementById("report");
  const status = document.getElementById("status");
  const pause = document.getElementById("pause");
  let isPaused = false;

  const refresh = async () => {
    if (isPaused || document.hidden) return;
    try {
      const answer = await fetch("/fragment", { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      // A paused or reading person does not want the page to move under the cursor.
      const focused = document.activeElement;
      if (isPaused || (focused && focused !== report && report.contains(focused) && focused.tagName === "PRE")) return;
      const focusedParent = focused && focused.closest ? focused.closest("details") : null;
      const open = Array.from(report.querySelectorAll("details[open]"), (one) => one.id);
      report.innerHTML = text;
      for (const id of open) {
        const one = document.getElementById(id);
        if (one) one.open = true;
      }
      if (focusedParent) {
        const one = document.getElementById(focusedParent.id);
        if (one) one.querySelector("summary").focus({ preventScroll: true });
      }
      document.title = report.querySelector("h1").textContent.trim() + " · Shadow report";
      if (status.textContent !== "Live") status.textContent = "Live";
    } catch {
      status.textContent = "No connection; trying again";
    }
  };

  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    pause.textContent = isPaused ? "Resume" : "Pause";
    status.textContent = isPaused ? "Paused" : "Live";
    refresh();
  });
  setInterval(refresh, 2000);
})();
