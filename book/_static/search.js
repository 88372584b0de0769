// Opened from a file, a page may not fetch another: the search reads their texts from a script (chapters/search.py).
(() => {
  const own = document.currentScript.src;
  if (window.location.protocol !== "file:" || !window.location.pathname.endsWith("/search.html")) return;
  const texts = new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = new URL("page-texts.js", own);
    script.addEventListener("load", () => resolve(globalThis.pageTexts));
    script.addEventListener("error", () => resolve({}));
    document.head.append(script);
  });
  const root = new URL("..", own).pathname;
  const { fetch } = window;
  window.fetch = async (address, ...options) => {
    const { pathname } = new URL(address, document.baseURI);
    const text = (await texts)[decodeURI(pathname.slice(root.length))];
    return text === undefined ? fetch(address, ...options) : new Response(text);
  };
})();
