// Small things every page needs.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
// A session that ended answers with the page to log in: go there, instead of putting it into a film's row.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!new URL(event.detail.xhr.responseURL).pathname.startsWith("/accounts/login")) return;
  event.detail.shouldSwap = false;
  location.reload();
});
// A date field follows the browser's country, so 3/4 may be March or April: the day is said in words beside it.
const sayDay = (input) => {
  let said = input.nextElementSibling;
  if (!said?.matches("output.said-day")) {
    said = document.createElement("output");
    said.className = "said-day help";
    said.htmlFor = input.id;
    input.after(said);
  }
  const day = input.valueAsDate;
  said.textContent = day
    ? day.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" })
    : "";
};
for (const input of document.querySelectorAll("input[type=date]")) {
  sayDay(input);
  input.addEventListener("input", () => sayDay(input));
}
