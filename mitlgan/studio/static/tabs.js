// The tabs, by the ARIA pattern: arrow keys, Home and End move among them, and the one reached is shown.

const tabs = [...document.querySelectorAll('[role="tab"]')];
const names = tabs.map((tab) => tab.id.replace("tab-", ""));
let shown = "generate";
let told = () => {};

export const tab = () => shown;

/** Show a tab by name; one that is not there leaves all as it is. */
export function show(name) {
  if (!names.includes(name) || name === shown) return;
  const before = shown;
  shown = name;
  for (const [index, button] of tabs.entries()) {
    const chosen = names[index] === name;
    button.setAttribute("aria-selected", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
    document.getElementById(`panel-${names[index]}`).hidden = !chosen;
  }
  document.title = name === "generate" ? "mitlgan studio" : `${tabs[names.indexOf(name)].textContent} – mitlgan studio`;
  told(name, before);
}

/** Call when a tab is shown, with its name and that of the one before. */
export function onShow(act) {
  told = act;
}

for (const [index, button] of tabs.entries()) {
  button.addEventListener("click", () => show(names[index]));
  button.addEventListener("keydown", (event) => {
    const next = { ArrowRight: index + 1, ArrowLeft: index - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    tabs[next % tabs.length].focus();
    show(names[next % tabs.length]);
  });
}
