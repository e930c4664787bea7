import { effect, signal } from "@preact/signals";

/** Theme is by day, by night, or as the system has it. */
export type Theme = "system" | "light" | "dark";

const place = "keyhall.theme";

/** theme is the one that was chosen in this browser. */
export const theme = signal<Theme>(stored());

effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
  try {
    if (theme.value === "system") localStorage.removeItem(place);
    else localStorage.setItem(place, theme.value);
  } catch {
    // A browser that keeps nothing has the theme until the page is closed.
  }
});

function stored(): Theme {
  try {
    const found = localStorage.getItem(place);
    return found === "light" || found === "dark" ? found : "system";
  } catch {
    return "system";
  }
}
