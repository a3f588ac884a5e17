// Light, dark, or what the system says. The choice stays in this browser.
export type Theme = "system" | "light" | "dark";

const key = "looming-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export function chosenTheme(): Theme {
  try {
    const t = localStorage.getItem(key);
    return t === "light" || t === "dark" ? t : "system";
  } catch {
    return "system"; // storage is off
  }
}

export function chooseTheme(t: Theme) {
  try {
    localStorage.setItem(key, t);
  } catch {
    // storage is off: the choice lasts until the page is closed
  }
  applyTheme(t);
}

export function applyTheme(t: Theme = chosenTheme()) {
  const actual = t === "system" ? (dark.matches ? "dark" : "light") : t;
  document.documentElement.dataset.theme = actual;
}

dark.addEventListener("change", () => applyTheme());
