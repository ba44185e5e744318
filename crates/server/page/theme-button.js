// The button that chooses the colours: those of the system, light or dark.

const THEMES = ["auto", "light", "dark"];

/** Prepares the button, which names the colours in use. */
export function startTheme(button) {
  const current = () => document.documentElement.dataset.theme ?? "auto";
  const draw = () => (button.textContent = `Theme: ${current()}`);
  button.addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length];
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem("selvedge-theme", theme);
    draw();
    document.dispatchEvent(new Event("selvedge-theme"));
  });
  draw();
}
