// A plain script, run before the first paint, so that a chosen theme does not flash.
(() => {
  const themes = ["auto", "light", "dark"];
  const titles = { auto: "Theme: as the system’s", light: "Theme: light", dark: "Theme: dark" };
  const kept = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  let theme = themes.includes(kept()) ? kept() : "auto";

  function show() {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (!button) return;
    button.innerHTML = `<svg aria-hidden="true"><use href="static/icons.svg#${theme}"/></svg>`;
    button.title = titles[theme];
    button.setAttribute("aria-label", titles[theme]);
  }

  show();
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      try { localStorage.setItem("theme", theme); } catch { /* it holds until the page is closed */ }
      show();
    });
  });
})();
