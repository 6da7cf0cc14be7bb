/** Light, dark, or as the system has it; kept in the browser. */

export type Theme = "system" | "light" | "dark";

const KEY = "headwater-theme";

export function chosenTheme(): Theme {
  try {
    const found = localStorage.getItem(KEY);
    return found === "light" || found === "dark" ? found : "system";
  } catch {
    return "system"; // a browser that keeps nothing
  }
}

/** Show it so, and keep that. */
export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // then it holds until the page is left
  }
}
