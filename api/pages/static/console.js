"use strict";
// Keys, raw JSON and the live log of the console. Everything else works without a script.
(() => {
  const STORED = "grantledger-console-keys";
  const LOG_ROWS = 200;
  const help = document.getElementById("help");
  const find = document.getElementById("find");
  const openHelp = document.getElementById("open-help");
  const keysOn = document.getElementById("keys-on");
  const pause = document.getElementById("pause");
  const tail = document.getElementById("tail");
  let paused = false;

  const stored = () => { try { return localStorage.getItem(STORED) !== "off"; } catch { return true; } };
  const store = (on) => { try { localStorage.setItem(STORED, on ? "on" : "off"); } catch { /* forgotten then */ } };

  const toggleRaw = (button) => {
    const row = document.getElementById(button.getAttribute("aria-controls"));
    row.hidden = !row.hidden;
    button.setAttribute("aria-expanded", String(!row.hidden));
  };
  const entryOf = (element) => element && element.closest(".entry");
  const currentEntry = () => entryOf(document.activeElement) || document.querySelector(".entry");
  const move = (by) => {
    const all = [...document.querySelectorAll(".entry")];
    const at = all.indexOf(entryOf(document.activeElement));
    const next = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)];
    if (next) next.querySelector(".position a").focus();
    return Boolean(next);
  };
  const setPaused = (on) => {
    if (!pause) return;
    paused = on;
    pause.setAttribute("aria-pressed", String(on));
    pause.textContent = on ? "Go on" : "Pause";
  };
  const KEYS = {
    "/": () => { find.focus(); find.select(); return true; },
    "?": () => { help.showModal(); return true; },
    j: () => {
      const entry = currentEntry();
      if (!entry) return false;
      toggleRaw(entry.querySelector(".raw-toggle"));
      entry.querySelector(".position a").focus();
      return true;
    },
    p: () => { setPaused(!paused); return Boolean(pause); },
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    if (event.target.closest("input, select, textarea, pre")) return;
    const arrow = event.key.startsWith("Arrow");
    if (!arrow && !keysOn.checked) return;
    if (Object.hasOwn(KEYS, event.key) && KEYS[event.key]()) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".raw-toggle");
    if (button) toggleRaw(button);
  });
  document.documentElement.classList.add("scripted");
  document.querySelectorAll("[data-slider] input").forEach((slider) => {
    slider.addEventListener("input", () => {
      slider.setAttribute("aria-valuetext", `version ${slider.value} of ${slider.max}`);
    });
  });
  keysOn.checked = stored();
  keysOn.addEventListener("change", () => store(keysOn.checked));
  openHelp.hidden = false;
  openHelp.addEventListener("click", () => help.showModal());
  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => setPaused(!paused));
  }
  if (tail) {
    document.body.addEventListener("htmx:beforeRequest", (event) => {
      if (paused || document.hidden) event.preventDefault();
    });
    document.body.addEventListener("htmx:afterSwap", () => {
      [...tail.querySelectorAll(".entry")].slice(LOG_ROWS).forEach((entry) => {
        if (!entry.contains(document.activeElement)) entry.remove();
      });
    });
  }
})();
