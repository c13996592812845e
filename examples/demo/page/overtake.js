"use strict";
{
  const button = document.getElementById("overtake");
  const outcome = document.getElementById("overtaken");

  async function ask(path, options) {
    const response = await fetch(path, options);
    if (response.status >= 400) throw new Error(`${path} answered ${response.status}`);
    return response;
  }

  const loads = async () => (await (await ask("/api/figures", { credentials: "omit" })).json()).loads;
  const session = async () => (await ask("/api/session")).json();

  async function overtake() {
    // Creates a session if the visitor has none.
    await ask("/api/entries/overtaken", { method: "PUT", body: "0" });
    const before = await loads();
    const write = ask("/api/entries/overtaken?delay_ms=1000", { method: "PUT", body: "1" });
    // Waits until the write has loaded its session.
    while (await loads() === before);
    await ask("/logout", { method: "POST", redirect: "manual" });
    await write;
    return (await session()).new ? "The write came too late, and the session stayed ended." : "The session came back!";
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    outcome.textContent = "";
    try {
      outcome.textContent = await overtake();
      outcome.className = "outcome good-news";
    } catch (error) {
      outcome.textContent = error.message;
      outcome.className = "outcome bad-news";
    } finally {
      button.disabled = false;
    }
  });
}
