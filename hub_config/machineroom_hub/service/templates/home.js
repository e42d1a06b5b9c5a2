// Reset buttons: ask first, then show the service's progress line by line.
"use strict";

const { api, secret } = document.body.dataset;
const dialog = document.querySelector("dialog");

function sure(name) {
  dialog.querySelector(".which").textContent = name;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true })
  );
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const parts = (rest + read.value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

async function reset(card) {
  const place = JSON.parse(card.dataset.machine);
  const button = card.querySelector("button");
  const says = card.querySelector(".progress");
  const state = card.querySelector(".state");
  if (!(await sure(place.at(-1)))) return;
  button.disabled = true;
  says.textContent = "Resetting …";
  try {
    const path = place.map(encodeURIComponent).join("/");
    const response = await fetch(`${api}/machines/${path}/reset`, {
      method: "POST",
      headers: { "X-XSRFToken": secret },
    });
    if (!response.ok) throw new Error((await response.json()).detail);
    let last = { error: "The connection was lost. Reload this page to see how it ended." };
    for await (const line of lines(response)) {
      last = line;
      if (line.message) says.textContent = `${line.message} (${line.percent} %)`;
    }
    if (last.done) {
      state.textContent = last.done.state;
      state.className = `state ${last.done.state}`;
      says.textContent = "Clean again.";
    } else {
      throw new Error(last.error || "The connection was lost. Reload this page to see how it ended.");
    }
  } catch (error) {
    says.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

for (const card of document.querySelectorAll("[data-machine]")) {
  card.querySelector("button").addEventListener("click", () => reset(card));
}
