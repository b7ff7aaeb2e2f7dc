// Adds a button to each text that is there to be copied. Without this script its field is selected by hand.

const said = document.querySelector("[data-said]");

async function copy(field) {
  // A page over http has no clipboard of its own.
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(field.value);
  const before = document.activeElement;
  field.select();
  const done = document.execCommand("copy");
  before?.focus();
  if (!done) throw new Error("not copied");
}

for (const box of document.querySelectorAll("[data-copy]")) {
  const field = box.querySelector("textarea");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${box.dataset.copy}`);
  const press = async () => {
    let shown = "Copied";
    try {
      await copy(field);
    } catch {
      shown = "Select it";
      field.focus();
      field.select();
    }
    button.textContent = shown;
    if (said) said.textContent = `${shown}: ${box.dataset.copy}`;
    setTimeout(() => (button.textContent = "Copy"), 2000);
  };
  button.addEventListener("click", () => void press());
  box.append(button);
}
