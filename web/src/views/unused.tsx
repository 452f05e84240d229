// A better model that is here while another one answers: the offer to use it.

import { current, nameOf, unused } from "../models";
import { choose } from "./model_choice";

export function Unused() {
  const model = unused.value;
  const now = current.value;
  if (!model || !now) return null;
  return (
    <section class="better" aria-labelledby="unused">
      <h2 id="unused">{nameOf(model)} is here</h2>
      <p>Your chats in this browser are answered by {nameOf(now)} until you choose it.</p>
      <div class="better-ends">
        <button type="button" class="main-button" onClick={() => choose(model.id)}>Use it</button>
        <button type="button" class="plain-button" onClick={() => choose(now.id)}>Keep {nameOf(now)}</button>
      </div>
      <p class="aside">The terminal and other programs go by <code>models.default</code> in <code>lares.toml</code>: <code>models.default = "{model.id}"</code>.</p>
    </section>
  );
}
