// A better model that is here while another one answers: the offer to use it.

import { current, decline, exactName, unused } from "../models";
import { choose } from "./model_choice";

export function Unused() {
  const model = unused.value;
  const now = current.value;
  if (!model || !now) return null;
  return (
    <section class="better" aria-labelledby="unused">
      <h2 id="unused">{exactName(model)} is here</h2>
      <p>Your chats in this browser are answered by {exactName(now)} until you choose it.</p>
      <div class="better-ends">
        <button type="button" class="main-button" onClick={() => choose(model.id)}>Use it</button>
        <button type="button" class="plain-button" onClick={() => decline(model.id)}>Keep {exactName(now)}</button>
      </div>
      <p class="aside">The terminal and other programs go by <code>models.default</code> in <code>lares.toml</code>: <code>models.default = "{model.id}"</code>.</p>
    </section>
  );
}
