"use strict";
(() => {
  const form = document.querySelector(".filter");
  const select = document.getElementById("class-filter");
  const status = document.getElementById("shown");
  const items = [...document.querySelectorAll(".samples > li")].map((element) => ({
    element,
    classes: new Set(JSON.parse(element.dataset.classes)),
  }));
  const show = () => {
    let shown = 0;
    for (const { element, classes } of items) {
      element.hidden = select.value !== "" && !classes.has(select.value);
      shown += element.hidden ? 0 : 1;
    }
    status.textContent = `${shown} of ${items.length} samples`;
  };
  select.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
