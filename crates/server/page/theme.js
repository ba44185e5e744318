// Sets the colours that were chosen before anything is drawn, so that the page does not flash in the other ones. This
// is why it is a script of its own that blocks, and no module.
const chosenTheme = localStorage.getItem("selvedge-theme");
if (chosenTheme === "light" || chosenTheme === "dark") document.documentElement.dataset.theme = chosenTheme;
