// A job's picture as the server draws it, the one of `mkbc graph`: its steps can be chosen here.

/** The picture; `choose` is called with the place of a step's call, in lines and columns from 0. */
export function picture(svg, choose) {
  const drawn = document.adoptNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement);
  for (const step of drawn.querySelectorAll("[data-column]")) {
    const place = { line: step.dataset.line - 1, character: step.dataset.column - 1 };
    step.setAttribute("tabindex", "0");
    step.setAttribute("role", "button");
    step.addEventListener("click", () => choose(place));
    step.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), choose(place)));
  }
  return drawn;
}
