// Keeps the token out of the address bar, the history and everything a link could tell: it is read
// from the URL once, kept in the state of this tab's history entry, and sent as a header from then on.
// Without this script the page's links carry the token themselves and everything still works.
"use strict";
(() => {
  const here = new URL(location.href);
  let token = here.searchParams.get("token") || (history.state && history.state.token) || null;
  const was_in_url = here.searchParams.has("token");
  const clean = (address) => {
    const url = new URL(address, location.href);
    url.searchParams.delete("token");
    return url;
  };
  if (was_in_url) history.replaceState({ token }, "", clean(here));

  const told = (kind) => {
    const origins = (document.body.dataset.ancestors || "").split(" ").filter(Boolean);
    // Nothing but the word is told, so any page that frames this one may hear it.
    if (window.parent !== window) {
      for (const origin of origins.filter((one) => !one.includes("*"))) {
        window.parent.postMessage({ type: kind }, origin);
      }
    }
  };

  const fetched = (url) =>
    fetch(url, {
      headers: token ? { authorization: "Bearer " + token } : {},
      credentials: token ? "omit" : "same-origin",
      referrerPolicy: "no-referrer",
    });

  const paint = ({ accent, accentDark }) => {
    if (!/^#[0-9a-fA-F]{6}$/.test(accent) || !/^#[0-9a-fA-F]{6}$/.test(accentDark)) return;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(
      ":root{--accent:" + accent + "}@media(prefers-color-scheme:dark){:root{--accent:" + accentDark + "}}",
    );
    document.adoptedStyleSheets = [sheet];
  };

  const show = async (url) => {
    document.body.setAttribute("aria-busy", "true");
    try {
      const answer = await fetched(url);
      // The page's own style sheet is allowed on that page alone; its colours come as data.
      const text = (await answer.text()).replace(/<style>[^<]*<\/style>/, "");
      const made = new DOMParser().parseFromString(text, "text/html");
      const main = made.querySelector("main");
      document.title = made.title;
      paint(made.body.dataset);
      if (main) document.querySelector("main").replaceWith(document.adoptNode(main));
      document.body.dataset.ancestors = made.body.dataset.ancestors || document.body.dataset.ancestors;
      if (answer.status === 401) told("tollbook-portal-expired");
    } finally {
      document.body.removeAttribute("aria-busy");
    }
  };

  const save = async (url) => {
    const answer = await fetched(url);
    if (!answer.ok) return;
    const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") || "");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = name ? name[1] : "statement";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!token || !link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey) return;
    const url = clean(link.href);
    if (url.origin !== location.origin || !url.pathname.startsWith("/portal/")) return;
    event.preventDefault();
    if (link.hasAttribute("download")) {
      save(url);
    } else {
      history.pushState({ token }, "", url);
      show(url);
    }
  });
  window.addEventListener("popstate", (event) => {
    if (event.state && event.state.token) token = event.state.token;
    if (token) show(clean(location.href));
  });
  // The application that embeds the page may hand over a fresh token before this one expires.
  window.addEventListener("message", (event) => {
    const origins = (document.body.dataset.ancestors || "").split(" ");
    const given = event.data && event.data.type === "tollbook-portal-token" && event.data.token;
    if (typeof given !== "string" || !origins.includes(event.origin)) return;
    token = given;
    history.replaceState({ token }, "", clean(location.href));
    show(clean(location.href));
  });
  // A reload has lost the token from the URL, but not from the history entry.
  if (document.body.dataset.closed) {
    if (token && !was_in_url) show(clean(location.href));
    else told("tollbook-portal-expired");
  }
})();
