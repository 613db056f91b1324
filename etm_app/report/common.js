// What our pages have in common: elements made by hand, colours, light and dark.

const root = document.documentElement;
const color = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

function set(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
const element = (tag, attributes = {}, ...children) => set(document.createElement(tag), attributes, children);

// A browser may keep nothing for a file, or refuse even to say.
const keptTheme = {
  read() {
    try {
      return localStorage.getItem("etm-theme");
    } catch {
      return null;
    }
  },
  write(theme) {
    try {
      localStorage.setItem("etm-theme", theme);
    } catch { /* then it is asked anew */ }
  },
};

// Light or dark as was chosen before, else as the system is, and light on paper; pictures that know colours are painted anew.
function followTheme(repaint) {
  const button = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => root.classList.contains("dark");
  let darkBeforePrint = false;
  function setTheme(dark) {
    root.classList.toggle("dark", dark);
    button.setAttribute("aria-pressed", String(dark));
    repaint();
  }
  setTheme(keptTheme.read() ? keptTheme.read() === "dark" : prefersDark.matches);
  prefersDark.addEventListener("change", (change) => { if (!keptTheme.read()) setTheme(change.matches); });
  button.addEventListener("click", () => {
    setTheme(!isDark());
    keptTheme.write(isDark() ? "dark" : "light");
  });
  addEventListener("beforeprint", () => {
    darkBeforePrint = isDark();
    if (darkBeforePrint) setTheme(false);
  });
  addEventListener("afterprint", () => { if (darkBeforePrint) setTheme(true); });
}
