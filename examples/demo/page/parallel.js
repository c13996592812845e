"use strict";
{
  const button = document.getElementById("fire");
  const progress = document.getElementById("progress");
  const outcome = document.getElementById("outcome");
  const entry = "/api/entries/parallel";
  const total = Number(button.dataset.requests);

  async function ask(path, options) {
    const response = await fetch(path, options);
    if (!response.ok) {
      const { error } = await response.json();
      throw new Error(`${response.status}: ${error}`);
    }
    return response;
  }

  async function fire() {
    // First and alone: for a new visitor it creates the session that the others share.
    await ask(entry, { method: "PUT", body: "0" });
    let done = 0;
    const begin = performance.now();
    const one = async () => {
      await ask("/api/counters/parallel?delay_ms=50", { method: "POST" });
      done += 1;
      progress.value = done;
    };
    await Promise.all(Array.from({ length: total }, one));
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    const sum = await (await ask(entry)).json();
    const lost = total - sum;
    const verdict = lost === 0 ? "Nothing was lost." : `${lost} were lost!`;
    return `${done} requests in ${seconds} s. The counter says ${sum}. ${verdict}`;
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    progress.hidden = false;
    progress.value = 0;
    outcome.textContent = "";
    try {
      outcome.textContent = await fire();
      outcome.className = "outcome good-news";
    } catch (error) {
      outcome.textContent = error.message;
      outcome.className = "outcome bad-news";
    } finally {
      button.disabled = false;
    }
  });
}
