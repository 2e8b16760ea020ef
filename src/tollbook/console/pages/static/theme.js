// The theme that somebody chose, before anything is drawn; without a choice it is the system's.
"use strict";
try {
  const chosen = localStorage.getItem("tollbook-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* storage is forbidden: the system's theme it is */ }
